//! Manners in a Swarm that others use too: what they do in between is seen, and decides.

use autoscaler::{
    operate::Order,
    scaling::{Reason, Step},
    swarm::Swarm,
};
use serde_json::{Value, json};

use crate::{
    rounds::{START, Stage, labels, swarm},
    snapshots::snapshot,
    troubles::Trouble,
};

/// A stage under load whose first write is overtaken by somebody who does this.
async fn overtaken(by: fn(&mut Value)) -> Stage {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.engine.inner.lock().unwrap().overtaken_with = Some(by);
    // Calls in order: list, update (overtaken), read again.
    stage.engine.trouble_at(&[(1, Trouble::Overtake)]);
    stage.round(START, 90.0).await;
    stage
}

#[tokio::test]
async fn a_write_that_somebody_overtook_is_decided_anew_on_what_they_did() {
    type Case = (fn(&mut Value), u64, Option<Reason>);
    let cases: [Case; 6] = [
        // Two are at 90 %, and the third, not listed yet, counts as idle.
        (|_| {}, 3, Some(Reason::Steady)),
        (|service| service["Spec"]["Mode"]["Replicated"]["Replicas"] = json!(4), 4, Some(Reason::Manual)),
        (|service| service["Spec"]["Labels"]["swarm.autoscaler.maximum"] = json!("2"), 2, Some(Reason::AtMaximum)),
        (|service| service["UpdateStatus"] = json!({"State": "updating"}), 2, Some(Reason::Updating)),
        (|service| service["Spec"]["Labels"]["swarm.autoscaler"] = json!("false"), 2, None),
        (|service| service["Spec"]["Mode"] = json!({"Global": {}}), 0, Some(Reason::NotReplicated)),
    ];
    for (number, (by, replicas, reason)) in cases.into_iter().enumerate() {
        let mut stage = overtaken(by).await;
        assert_eq!(stage.engine.try_replicas("s_web").unwrap_or(0), replicas, "case {number}");
        let bodies = stage.engine.inner.lock().unwrap().bodies.len();
        assert_eq!(bodies, if number == 0 { 2 } else { 1 }, "case {number}: nothing is sent blindly a second time");
        // One round later it still stands.
        stage.collector.say(&snapshot("s_web", START, &[90.0, 90.0]));
        stage.rounder.run(START + 1_000).await;
        assert_eq!(stage.engine.try_replicas("s_web").unwrap_or(0), replicas, "case {number}");
        let status = stage.board.service("s_web", None);
        assert_eq!(status.and_then(|status| Some(status.detail?.decision.reason)), reason, "case {number}");
    }
}

#[tokio::test]
async fn a_service_that_is_removed_while_it_is_written_is_forgotten() {
    let mut stage = overtaken(|service| service["ID"] = json!("another")).await;
    assert!(stage.board.services().is_empty());
    assert_eq!(stage.board.rounds().swarm_error, None);
    stage.engine.inner.lock().unwrap().services.clear();
    stage.rounder.run(START + 1).await;
    assert!(stage.board.services().is_empty());
}

#[tokio::test]
async fn somebody_who_always_overtakes_is_left_for_the_next_round() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.engine.trouble_at(&[(1, Trouble::Overtake), (3, Trouble::Overtake), (5, Trouble::Overtake)]);
    stage.round(START, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.engine.inner.lock().unwrap().bodies.len()), (2, 3));
    let status = stage.board.service("s_web", None).unwrap();
    assert!(status.why.contains("writing that failed: the service was changed in between"), "{}", status.why);
    stage.round(START + 1, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
}

#[tokio::test]
async fn services_that_come_go_or_change_their_labels_are_noticed_in_the_next_round() {
    let mut stage = Stage::new().await;
    let names = |stage: &Stage| stage.board.services().into_iter().map(|s| s.service).collect::<Vec<_>>();
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 50.0).await;
    assert_eq!(names(&stage), ["s_web"]);

    stage.engine.add("s_new", 2, labels());
    stage.engine.add("s_other", 2, json!({"com.docker.stack.namespace": "s"}));
    stage.round(START + 1, 50.0).await;
    assert_eq!(names(&stage), ["s_new", "s_web"]);

    stage.engine.change("s_other", |spec| spec["Labels"] = labels());
    stage.engine.change("s_new", |spec| spec["Labels"]["swarm.autoscaler"] = json!("false"));
    stage.engine.change("s_web", |spec| spec["Labels"]["swarm.autoscaler.cpu.up"] = json!("40"));
    stage.round(START + 2, 50.0).await;
    assert_eq!(names(&stage), ["s_other", "s_web"]);
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::CpuHigh));

    stage.engine.inner.lock().unwrap().services.retain(|service| service["Spec"]["Name"] == "s_web");
    stage.round(START + 3, 30.0).await;
    assert_eq!(names(&stage), ["s_web"]);
}

#[tokio::test]
async fn a_service_that_was_removed_and_made_anew_is_another_one() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 90.0).await;
    stage.engine.inner.lock().unwrap().services.clear();
    stage.engine.add("s_web", 2, labels());
    stage.engine.inner.lock().unwrap().services[0]["ID"] = json!("id-anew");
    // The collector still speaks of the former one.
    stage.round(START + 1_000, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (2, Reason::NoData));
}

#[tokio::test]
async fn updates_and_rollbacks_under_way_or_paused_are_not_disturbed() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    for state in ["updating", "paused", "rollback_started", "rollback_paused"] {
        stage.engine.rollout("s_web", state);
        stage.round(START, 90.0).await;
        assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (2, Reason::Updating), "{state}");
        let why = stage.board.service("s_web", None).unwrap().why;
        assert_eq!(why, "stays at 2 until a rolling update or rollback ends, which is under way or paused");
    }
    for (number, state) in (1..).zip(["completed", "rollback_completed"]) {
        stage.engine.rollout("s_web", state);
        stage.round(START + number * 60_000, 90.0).await;
        assert_eq!(stage.engine.replicas("s_web"), 2 + number, "{state}");
    }
}

/// A round in which the first task is paused, or none is.
async fn round_with_a_paused_task(stage: &mut Stage, at_ms: u64, paused: bool) {
    let mut snapshot = snapshot("s_web", at_ms, &[50.0, 50.0]);
    snapshot["services"]["s_web"]["tasks"][0]["paused"] = json!(paused);
    stage.collector.say(&snapshot);
    stage.rounder.run(at_ms).await;
}

fn forced(stage: &Stage) -> Option<u64> {
    stage.engine.spec("s_web")["TaskTemplate"]["ForceUpdate"].as_u64()
}

#[tokio::test]
async fn a_task_that_stays_paused_has_the_tasks_replaced_once() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    for seconds in [0, 30, 59] {
        round_with_a_paused_task(&mut stage, START + seconds * 1_000, true).await;
        assert_eq!(forced(&stage), None, "{seconds}");
    }
    let warnings = stage.board.service("s_web", None).unwrap().warnings;
    assert_eq!(warnings, ["a task is paused: after 60 s every task is replaced, one after the other"]);
    round_with_a_paused_task(&mut stage, START + 60_000, true).await;
    assert_eq!((forced(&stage), stage.engine.replicas("s_web"), stage.reason()), (Some(1), 2, Reason::Steady));
    // Under way, and then done; what the collector says may be a little behind.
    stage.engine.rollout("s_web", "updating");
    round_with_a_paused_task(&mut stage, START + 62_000, true).await;
    stage.engine.rollout("s_web", "completed");
    round_with_a_paused_task(&mut stage, START + 90_000, true).await;
    round_with_a_paused_task(&mut stage, START + 92_000, false).await;
    assert_eq!(
        (forced(&stage), stage.reason()),
        (Some(1), Reason::Steady),
        "no hand is suspected behind our own write"
    );
    assert!(stage.board.service("s_web", None).unwrap().warnings.is_empty());
}

#[tokio::test]
async fn a_paused_task_is_left_to_whoever_is_at_work_on_its_service() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 4] = [
        ("an update is under way", |service| service["UpdateStatus"] = json!({"State": "updating"})),
        ("an update was stopped", |service| service["UpdateStatus"] = json!({"State": "paused"})),
        ("a dry run", |service| service["Spec"]["Labels"]["swarm.autoscaler.dry-run"] = json!("true")),
        ("an operator paused the service", |service| {
            let until = format!("paused-until={}", START + 3_600_000);
            service["Spec"]["Labels"]["swarm.autoscaler.state"] = json!(until);
        }),
    ];
    for (what, change) in cases {
        let mut stage = Stage::new().await;
        stage.engine.add("s_web", 2, labels());
        change(&mut stage.engine.inner.lock().unwrap().services[0]);
        for seconds in [0, 60, 120] {
            round_with_a_paused_task(&mut stage, START + seconds * 1_000, true).await;
        }
        assert!(stage.engine.inner.lock().unwrap().bodies.is_empty(), "{what}");
        let warnings = stage.board.service("s_web", None).unwrap().warnings;
        assert_eq!(warnings, ["a task is paused, which Swarm does not notice"], "{what}");
    }
}

#[tokio::test]
async fn a_pause_that_nobody_tells_of_any_more_replaces_nothing() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    round_with_a_paused_task(&mut stage, START, true).await;
    stage.collector.fall_silent();
    for seconds in [60, 120] {
        stage.rounder.run(START + seconds * 1_000).await;
    }
    assert!(stage.engine.inner.lock().unwrap().bodies.is_empty());
    // Somebody else writes in between: it is tried again in the next round.
    stage.engine.trouble_at(&[(1, Trouble::Overtake)]);
    round_with_a_paused_task(&mut stage, START + 121_000, true).await;
    assert_eq!(forced(&stage), None);
    round_with_a_paused_task(&mut stage, START + 122_000, true).await;
    assert_eq!(forced(&stage), Some(1));
}

#[tokio::test]
async fn a_count_that_somebody_sets_by_hand_is_respected_whether_or_not_we_ever_acted() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 10.0).await;
    stage.engine.change("s_web", |spec| spec["Mode"]["Replicated"]["Replicas"] = json!(5));
    for seconds in [1, 130, 600] {
        stage.round(START + seconds * 1_000, 10.0).await;
        assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (5, Reason::Manual), "{seconds}");
    }
    // The hold time of ten minutes is over, and all the while fewer were recommended.
    stage.round(START + 601_000, 10.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 5);
    stage.round(START + 721_000, 10.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 4);
}

#[tokio::test]
async fn a_count_set_by_hand_is_respected_by_an_autoscaler_that_was_away_meanwhile() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 90.0).await;
    stage.engine.change("s_web", |spec| spec["Mode"]["Replicated"]["Replicas"] = json!(5));
    stage.restart();
    for seconds in [200, 700] {
        stage.round(START + seconds * 1_000, 10.0).await;
        assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (5, Reason::Manual), "{seconds}");
    }
}

#[tokio::test]
async fn a_count_set_by_hand_is_handed_back_by_resuming() {
    for by_order in [true, false] {
        let mut stage = Stage::new().await;
        stage.engine.add("s_web", 2, labels());
        stage.round(START, 50.0).await;
        if by_order {
            stage.operator().carry_out("web", Order::Scale { replicas: 3 }, START).await.unwrap();
        } else {
            stage.engine.change("s_web", |spec| spec["Mode"]["Replicated"]["Replicas"] = json!(3));
        }
        stage.round(START + 1_000, 90.0).await;
        assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::Manual));
        stage.operator().carry_out("web", Order::Resume, START + 2_000).await.unwrap();
        stage.round(START + 3_000, 90.0).await;
        assert_eq!(stage.engine.replicas("s_web"), 4, "by order: {by_order}");
    }
}

#[tokio::test]
async fn a_rollback_that_takes_back_a_step_is_no_human_and_the_cooldown_goes_on() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 90.0).await;
    let before = stage.engine.spec("s_web");
    stage.round(START + 20_000, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 4);
    stage.engine.change("s_web", |spec| *spec = before);
    stage.round(START + 40_000, 10.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::StabilizingDown));
    let last = stage.board.service("s_web", None).unwrap().detail.unwrap().history.last;
    assert_eq!(last, Some(Step { from: 2, to: 3, at_ms: START + 20_000 }));
    stage.round(START + 60_000, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 4);
}

/// Notes of an autoscaler whose clock was a day ahead.
#[tokio::test]
async fn a_note_from_tomorrow_holds_no_longer_than_one_of_now() {
    let tomorrow = START + 86_400_000;
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 3, labels());
    let note = |text: String| move |spec: &mut Value| spec["Labels"]["swarm.autoscaler.state"] = json!(text);
    stage.engine.change("s_web", note(format!("from=2 to=3 at={tomorrow}")));
    stage.round(START, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::WaitingForSample));
    stage.round(START + 1_000, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 4, "a rescue waits for no clock");

    stage.engine.change("s_web", note(format!("from=3 to=4 at={tomorrow}")));
    stage.restart();
    for seconds in [10, 120] {
        stage.round(START + seconds * 1_000, 10.0).await;
        assert_eq!(stage.engine.replicas("s_web"), 4, "{seconds}");
    }
    stage.round(START + 130_000, 10.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);

    stage.engine.change("s_web", note(format!("manual=3 manual-at={tomorrow}")));
    stage.restart();
    stage.round(START + 200_000, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::Manual));
    stage.round(START + 799_000, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::Manual));
    stage.round(START + 800_000, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 4);
}

#[tokio::test]
async fn a_clock_that_is_set_back_forgets_no_cooldown_and_waits_for_no_clock() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 3, labels());
    stage.round(START + 3_600_000, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 4);
    // An hour back.
    for seconds in [0, 60, 119] {
        stage.round(START + seconds * 1_000, 10.0).await;
        assert_eq!(stage.engine.replicas("s_web"), 4, "{seconds}");
    }
    stage.round(START + 120_000, 10.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
}

#[tokio::test]
async fn global_services_and_jobs_are_refused_with_the_reason() {
    for mode in [json!({"Global": {}}), json!({"ReplicatedJob": {"MaxConcurrent": 1}}), json!({"GlobalJob": {}})] {
        let mut stage = Stage::new().await;
        stage.engine.add("s_web", 2, labels());
        stage.engine.change("s_web", |spec| spec["Mode"] = mode);
        stage.collector.say(&snapshot("s_web", START, &[99.0, 99.0]));
        stage.rounder.run(START).await;
        let why = stage.board.service("web", Some("s")).unwrap().why;
        assert_eq!(why, "left alone: only replicated services can be scaled, not global ones or jobs");
        let refused = stage.operator().carry_out("web", Order::Scale { replicas: 3 }, START).await.unwrap_err();
        assert_eq!(refused.to_string(), "only replicated services can be scaled, not global ones or jobs");
        assert!(stage.engine.inner.lock().unwrap().bodies.is_empty());
    }
}

/// A service as an engine of tomorrow might write it: unknown fields everywhere, numbers that
/// no machine type holds, keys in odd order, escapes, and white space.
const TOMORROW: &str = r#" {"Version":{"Index":10,"Epoch":1e3},"ID":"id-s_web","Spec" : {
  "Zeta":[1.50e+3,-0.0,1E400,18446744073709551616,0.1000000000000000055511151231257827],
  "Mode":{"Future":{"a":null},"Replicated":{"Spread":"\u00e9v\u0065n","Replicas": 2 ,"Ceiling":9007199254740993}},
  "Labels":{"zz":"\u003cb\u003e \/ \u2028 \ud83d\ude80","com.docker.stack.namespace":"s",
    "\u0061b\u0026c":"","swarm.autoscaler":"true","swarm.autoscaler.maximum":"5"},
  "TaskTemplate":{"ContainerSpec":{"Healthcheck":{"Test":["CMD","true"]},"Sandbox":{"Level":12345678901234567890123}},
    "Resources":{"Limits":{"NanoCPUs":1e9,"Pids":1.0}},"Placement":{"MaxReplicas":0,"Tiers":[[]]}},
  "Name":"s_web","EndpointSpec":{"Ports":[{"Name":"\"p\""}]},"":{"":""} },"PreviousSpec":null,"Extra":[{}]}"#;

#[tokio::test]
async fn what_is_written_back_is_what_was_read_to_the_byte() {
    let mut stage = Stage::new().await;
    stage.engine.inner.lock().unwrap().verbatim = Some(format!("[{TOMORROW}]"));
    stage.collector.say(&snapshot("s_web", START, &[90.0, 90.0]));
    stage.rounder.run(START).await;
    let spec = &TOMORROW[TOMORROW
        .find(
            r#"{
  "Zeta""#,
        )
        .unwrap()..=TOMORROW.find(r#"},"PreviousSpec""#).unwrap()];
    let state = format!(r#","swarm.autoscaler.state":"from=2 to=3 at={START}"}}"#);
    let expected = spec
        .replace(r#""Replicas": 2 ,"#, r#""Replicas": 3 ,"#)
        .replace(r#""swarm.autoscaler.maximum":"5"}"#, &format!(r#""swarm.autoscaler.maximum":"5"{state}"#));
    assert_eq!(stage.engine.inner.lock().unwrap().bodies, [expected]);
}

#[tokio::test]
async fn an_update_names_the_version_that_was_read() {
    let stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    let swarm = swarm(&stage.engine);
    let old = swarm.service("s_web").await.unwrap();
    stage.engine.change("s_web", |spec| spec["Labels"]["x"] = json!("y"));
    assert!(swarm.scale(&old, 3, "s").await.is_err());
    assert_eq!(stage.engine.replicas("s_web"), 2);
    swarm.scale(&swarm.service("s_web").await.unwrap(), 3, "s").await.unwrap();
    assert_eq!((stage.engine.replicas("s_web"), &stage.engine.spec("s_web")["Labels"]["x"]), (3, &json!("y")));
}
