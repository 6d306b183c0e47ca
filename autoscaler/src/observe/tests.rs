use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    collector,
    labels::{self, Labelled},
    scaling::{Action, Decision, Foresight, History, Reason, decide, explain},
    settings::Defaults,
    spoiled::{change, spoiled},
    swarm,
};

const NOW: u64 = 1_800_000_000_000;

/// Three replicas of which everything is measured and everything is low.
fn idle() -> Value {
    let usage = |used: f64, limit: f64| json!({"used": used, "limit": limit, "basis": "limit", "sampled_at_ms": NOW});
    let task = |slot: u64| {
        json!({"id": format!("t{slot}"), "slot": slot, "node": "n", "address": "10.0.0.2", "state": "running",
               "since_ms": NOW - 600_000, "cpu": usage(0.01, 0.5), "memory": usage(3e7, 1e8)})
    };
    let http = json!({"sampled_at_ms": NOW, "window_ms": 30_000, "requests": 300.0, "requests_per_second": 10.0,
                      "error_rate_percent": 0.0, "p50_ms": 5.0, "p95_ms": 9.0, "p99_ms": 9.5});
    let database = json!({"address": "a", "role": "standby", "active": 1, "total": 3, "usable": 97, "max": 100,
                          "streaming": true, "lag_bytes": 0, "lag_seconds": 0.0});
    let connections =
        json!({"sampled_at_ms": NOW, "active": 3, "usable": 291, "servers": [database, database, database]});
    let shard = json!({"address": "a", "used_bytes": 10, "max_bytes": 1000, "keys": 1});
    let cache = json!({"sampled_at_ms": NOW, "used_bytes": 30, "max_bytes": 3000, "servers": [shard, shard, shard]});
    json!({"contract": 1, "taken_at_ms": NOW, "interval_ms": 5000, "sources": [], "balancer": null, "nodes": [
               {"id": "n", "hostname": "n", "ready": true, "active": true, "cores": 2.0, "memory_bytes": 4_000_000_000_u64}],
           "services": {"web": {"id": "web", "replicas_desired": 3, "replicas_running": 3, "http": http,
               "tasks": [task(1), task(2), task(3)], "connections": connections, "cache": cache}}})
}

fn service() -> Service {
    swarm::from_json(&json!({"ID": "web", "Version": {"Index": 1}, "Spec": {
        "Name": "web", "Mode": {"Replicated": {"Replicas": 3}}, "Labels": {
            "swarm.autoscaler": "true", "swarm.autoscaler.minimum": "1", "swarm.autoscaler.algorithm": "predictive",
            "swarm.autoscaler.requests.per-replica": "100",
            "swarm.autoscaler.metrics": "cpu,memory,response-time,error-rate,connections,cache,requests"}}}))
}

/// What a snapshot comes to, in the same steps as in a round.
fn decision(snapshot: &Value) -> Option<Decision> {
    let snapshot = collector::parse(&snapshot.to_string()).ok()?;
    let (service, nodes) = (service(), swarm::nodes_from_json(&json!([{"ID": "n", "Description": {"Hostname": "n"}}])));
    let Labelled::Yes(directions) = labels::parse(&service.labels, &Defaults::default()) else { unreachable!() };
    let room = Room::new(&nodes, std::slice::from_ref(&service), &snapshot);
    let view = View { snapshot: Some(&snapshot), room: Some(room) };
    let (observed, mut history) = (observe(&service, None, &view), History::default());
    history.forecasts = Foresight::default().look(&directions.policy, &observed, None, NOW);
    let _ = warnings(&service, &view);
    Some(decide(&directions.policy, &observed, &history, NOW))
}

/// Members without which, or with anything impossible in which, it is not known that all is low.
const VITAL: [&str; 21] = [
    "/taken_at_ms",
    "/services/web/id",
    "/services/web/tasks/1/state",
    "/services/web/tasks/1/cpu",
    "/services/web/tasks/1/cpu/used",
    "/services/web/tasks/1/cpu/limit",
    "/services/web/tasks/1/cpu/sampled_at_ms",
    "/services/web/tasks/1/memory",
    "/services/web/tasks/1/memory/limit",
    "/services/web/http",
    "/services/web/http/sampled_at_ms",
    "/services/web/http/requests",
    "/services/web/http/requests_per_second",
    "/services/web/http/error_rate_percent",
    "/services/web/http/p95_ms",
    "/services/web/connections",
    "/services/web/connections/sampled_at_ms",
    "/services/web/connections/usable",
    "/services/web/cache",
    "/services/web/cache/sampled_at_ms",
    "/services/web/cache/max_bytes",
];

fn impossible() -> impl Strategy<Value = Option<Value>> {
    proptest::sample::select(vec![
        None,
        Some(json!(null)),
        Some(json!("low")),
        Some(json!(-1)),
        Some(json!(-1e300)),
        Some(json!([])),
        Some(json!({})),
        Some(json!(u64::MAX)),
    ])
}

#[test]
fn when_all_is_low_it_is_lowered() {
    assert_eq!(decision(&idle()).unwrap().action, Action::Down);
}

#[test]
fn a_service_without_limits_is_measured_against_something_else_and_warned_of() {
    let mut snapshot = idle();
    change(&mut snapshot, "/services/web/tasks/1/cpu/basis", Some(json!("node")));
    change(&mut snapshot, "/services/web/tasks/2/memory/basis", Some(json!("reservation")));
    let snapshot = collector::parse(&snapshot.to_string()).unwrap();
    let view = View { snapshot: Some(&snapshot), room: None };
    let warnings = warnings(&service(), &view);
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].starts_with("no CPU limit is set") && warnings[1].starts_with("no memory limit is set"));
    assert_eq!(super::warnings(&service(), &View::default()), [] as [String; 0]);
}

#[test]
fn a_task_that_waits_for_its_image_is_no_lack_of_room() {
    let with = |node: Value| {
        let mut snapshot = idle();
        for task in ["0", "1"] {
            change(&mut snapshot, &format!("/services/web/tasks/{task}/cpu/used"), Some(json!(1.0)));
        }
        change(&mut snapshot, "/services/web/tasks/2/state", Some(json!("pending")));
        change(&mut snapshot, "/services/web/tasks/2/node", Some(node));
        let snapshot = collector::parse(&snapshot.to_string()).unwrap();
        let observed = observe(&service(), None, &View { snapshot: Some(&snapshot), room: None });
        let Labelled::Yes(directions) = labels::parse(&service().labels, &Defaults::default()) else { unreachable!() };
        decide(&directions.policy, &observed, &History::default(), NOW)
    };
    assert_eq!((with(json!(null)).action, with(json!(null)).reason), (Action::Hold, Reason::NoRoom));
    assert_eq!((with(json!("n")).action, with(json!("n")).reason), (Action::Up, Reason::CpuHigh));
}

proptest! {
    #[test]
    fn a_snapshot_with_an_impossible_or_missing_reading_never_lowers(
        path in proptest::sample::select(VITAL.to_vec()), leaf in impossible()
    ) {
        let mut snapshot = idle();
        change(&mut snapshot, path, leaf.clone());
        let decision = decision(&snapshot);
        let harmless = decision.as_ref().is_none_or(|decision| decision.action != Action::Down);
        prop_assert!(harmless, "{path} {leaf:?}: {decision:?}");
    }

    #[test]
    fn a_snapshot_with_anything_wrong_in_it_is_refused_or_decided_on(snapshot in spoiled(idle())) {
        if let Some(decision) = decision(&snapshot) {
            prop_assert!((1..=10).contains(&decision.wanted), "{decision:?}");
            prop_assert!(!explain::sentence(&decision).is_empty());
        }
    }

    #[test]
    fn a_snapshot_that_is_cut_short_is_refused(cut in 0_usize..2_000) {
        let text = idle().to_string();
        prop_assert!(collector::parse(&text[..cut.min(text.len() - 1)]).is_err());
    }
}

#[test]
fn a_snapshot_from_yesterday_or_tomorrow_is_stale() {
    for taken_at_ms in [0, NOW - 86_400_000, NOW + 86_400_000, u64::MAX] {
        let mut snapshot = idle();
        change(&mut snapshot, "/taken_at_ms", Some(json!(taken_at_ms)));
        assert_eq!(decision(&snapshot).unwrap().reason, Reason::StaleData, "{taken_at_ms}");
    }
}
