use proptest::prelude::*;

use super::*;
use crate::scaling::{Algorithm, Metric, Rule};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let key = |key: &str| if key.starts_with('.') { format!("{PREFIX}{key}") } else { key.to_owned() };
    pairs.iter().map(|(name, value)| (key(name), (*value).to_owned())).collect()
}

fn parsed(pairs: &[(&str, &str)]) -> Labelled {
    parse(&labels(pairs), &Defaults::default())
}

fn policy(pairs: &[(&str, &str)]) -> Policy {
    match parsed(&[&[(PREFIX, "true")], pairs].concat()) {
        Labelled::Yes(directions) => directions.policy,
        other => panic!("{other:?}"),
    }
}

fn problem(pairs: &[(&str, &str)]) -> String {
    match parsed(&[&[(PREFIX, "true")], pairs].concat()) {
        Labelled::Wrong(problems) => problems.join("\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_switch_alone_takes_everything_from_the_settings() {
    let policy = policy(&[]);
    assert_eq!((policy.bounds.min(), policy.bounds.max()), (2, 10));
    assert_eq!(policy.metrics.keys().copied().collect::<Vec<_>>(), [Metric::Cpu, Metric::Memory]);
    assert_eq!(policy.metrics[&Metric::Cpu], Rule::Band { up: 70.0, down: 20.0 });
    assert_eq!((policy.cooldown_ms, policy.hold_ms), (120_000, 600_000));
}

#[test]
fn every_label_is_read() {
    let policy = policy(&[
        (".minimum", "0"),
        (".maximum", "3"),
        (".algorithm", "exponential"),
        (".cooldown.up", "0.5"),
        (".cooldown.down", "60"),
        (".cpu.up", "60"),
        (".cpu.down", "10"),
        (".memory.up", "90"),
        (".memory.down", "50"),
        (".response-time.up", "500"),
        (".response-time.down", "100"),
        (".error-rate.up", "2"),
        (".connections.up", "75"),
        (".connections.down", "25"),
        (".cache.up", "85"),
        (".cache.down", "35"),
        (".requests.per-replica", "120"),
        (".step.up", "2"),
        (".step.down", "1"),
        (".hold", "30"),
        (".warm-up", "5"),
        (".metrics", "cpu, memory,response-time,error-rate,connections,cache,requests"),
        (".metrics.port", "3000"),
        (".metrics.path", "/metrics"),
        (".dry-run", "false"),
        (".schedule.sale", "start=0 0 1 12 *; end=0 0 24 12 *; maximum=40"),
        (".state", "anything"),
    ]);
    assert_eq!((policy.bounds.min(), policy.bounds.max(), policy.algorithm), (0, 3, Algorithm::Exponential));
    assert_eq!((policy.up_cooldown_ms, policy.cooldown_ms), (500, 60_000));
    assert_eq!((policy.step_up, policy.step_down), (Some(2), Some(1)));
    assert_eq!((policy.hold_ms, policy.warm_up_ms), (30_000, 5_000));
    let rules: Vec<_> = policy.metrics.values().copied().collect();
    let band = |up, down| Rule::Band { up, down };
    assert_eq!(
        rules,
        [
            band(60.0, 10.0),
            band(90.0, 50.0),
            band(500.0, 100.0),
            Rule::Ceiling { up: 2.0 },
            band(75.0, 25.0),
            band(85.0, 35.0),
            Rule::PerReplica { per_replica: 120.0 }
        ]
    );
}

#[test]
fn a_metrics_port_brings_latency_and_errors() {
    let metrics = policy(&[(".metrics.port", "80")]).metrics;
    assert!(metrics.contains_key(&Metric::ResponseTime) && metrics.contains_key(&Metric::ErrorRate));
    assert_eq!(policy(&[(".metrics", "connections")]).metrics.into_keys().collect::<Vec<_>>(), [Metric::Connections]);
}

#[test]
fn connections_can_be_shared_out_instead() {
    let metrics = policy(&[(".metrics", "connections"), (".connections.per-replica", "20")]).metrics;
    assert_eq!(metrics[&Metric::Connections], Rule::PerReplica { per_replica: 20.0 });
    assert!(problem(&[(".connections.per-replica", "0")]).contains("per-replica=0: allowed is a number above 0"));
}

#[test]
fn a_dry_run_for_all_can_be_lifted_for_one() {
    let base = Defaults { dry_run: true, ..Defaults::default() };
    let dry = |pairs: &[(&str, &str)]| match parse(&labels(&[&[(PREFIX, "true")], pairs].concat()), &base) {
        Labelled::Yes(directions) => directions.dry_run,
        other => panic!("{other:?}"),
    };
    assert!(dry(&[]) && !dry(&[(".dry-run", "false")]));
}

#[test]
fn predictive_is_linear_with_a_forecast_and_any_algorithm_can_have_one() {
    let pace = |pairs: &[(&str, &str)]| (policy(pairs).algorithm, policy(pairs).forecast);
    assert_eq!(pace(&[(".algorithm", "predictive")]), (Algorithm::Linear, true));
    assert_eq!(pace(&[(".algorithm", "target"), (".forecast", "true")]), (Algorithm::Target, true));
    assert_eq!(pace(&[(".algorithm", "predictive"), (".forecast", "false")]), (Algorithm::Linear, false));
}

#[test]
fn what_is_mistyped_is_named_with_key_value_and_way_out() {
    assert_eq!(problem(&[(".maximun", "4")]), "swarm.autoscaler.maximun: no such label");
    assert!(problem(&[(".minimum", "two")]).contains(".minimum=two: allowed is"));
    assert!(problem(&[(".minimum", "5"), (".maximum", "3")]).contains("bounds 5 to 3"));
    assert!(problem(&[(".cpu.up", "10")]).contains("thresholds up 10 and down 20"));
    assert!(problem(&[(".cpu.up", "NaN")]).contains("thresholds"));
    assert!(problem(&[(".algorithm", "magic")]).contains("allowed is one of linear"));
    assert!(problem(&[(".metrics", "cpu,ram")]).contains("allowed are cpu, memory"));
    assert!(problem(&[(".metrics", "requests")]).contains("requests.per-replica"));
    assert!(problem(&[(".cooldown.down", "-1")]).contains("from 0 to 86400"));
    assert!(problem(&[(".step.up", "0")]).contains("whole number from 1"));
    assert!(problem(&[(".metrics.path", "metrics")]).contains("begins with /"));
    assert!(problem(&[(".metrics.port", "0")]).contains("port"));
    assert!(problem(&[(".schedule.x", "daily")]).starts_with("swarm.autoscaler.schedule.x: `daily`: allowed is"));
    assert!(problem(&[(".dry-run", "yes")]).contains("allowed is one of true"));
    assert!(matches!(parsed(&[(PREFIX, "on")]), Labelled::Wrong(problems) if problems[0].contains("true or false")));
}

#[test]
fn a_slip_in_the_switch_itself_is_loud_too() {
    let wrong = |pairs: &[(&str, &str)]| match parsed(pairs) {
        Labelled::Wrong(problems) => problems.join("\n"),
        other => panic!("{other:?}"),
    };
    assert_eq!(wrong(&[(".enabled", "true")]), "swarm.autoscaler.enabled: no such label");
    assert_eq!(wrong(&[("swarm.autoscalers", "true"), (".minimum", "3")]), "swarm.autoscalers: no such label");
    assert!(wrong(&[(".enabled", "true"), (".min_replicas", "3")]).contains("several autoscalers"));
    assert!(wrong(&[("swarm.autoscale", "yes"), (".minimum", "3")]).contains("several autoscalers"));
}

#[test]
fn all_problems_come_at_once() {
    assert_eq!(problem(&[(".minimum", "x"), (".step.up", "x"), (".wrong", "x")]).lines().count(), 3);
}

#[test]
fn without_the_switch_a_service_is_not_ours() {
    assert_eq!(parsed(&[]), Labelled::No);
    assert_eq!(parsed(&[("other", "label")]), Labelled::No);
    assert_eq!(parsed(&[(PREFIX, "false"), (".maximun", "3")]), Labelled::No);
    assert_eq!(parsed(&[(".role", "autoscaler")]), Labelled::No);
    assert_eq!(parsed(&[(".metrics.port", "3000"), (".metrics.path", "/metrics")]), Labelled::No);
}

#[test]
fn labels_of_other_autoscalers_mean_what_they_meant_there() {
    let of = |pairs: &[(&str, &str)]| match parsed(pairs) {
        Labelled::Yes(directions) => directions.policy,
        other => panic!("{other:?}"),
    };
    let enabled = of(&[(".enable", "true"), (".max_replicas", "8"), (".ram.threshold", "90"), (".cooldown", "2")]);
    assert_eq!((enabled.bounds.min(), enabled.bounds.max()), (1, 8));
    assert_eq!((enabled.cooldown_ms, enabled.up_cooldown_ms), (120_000, 120_000));
    let band = |up, down| Rule::Band { up, down };
    assert_eq!(enabled.metrics.values().copied().collect::<Vec<_>>(), [band(80.0, 20.0), band(90.0, 40.0)]);
    assert_eq!(of(&[(".enable", "true"), (".cooldown", "30s")]).cooldown_ms, 30_000);

    let percentage = of(&[("swarm.autoscale", "true"), ("swarm.autoscale.percentage-max", "60")]);
    assert_eq!((percentage.bounds.min(), percentage.bounds.max()), (2, 15));
    assert_eq!(percentage.metrics, BTreeMap::from([(Metric::Cpu, band(60.0, 25.0))]));
    let stubborn = of(&[("swarm.autoscale", "true"), ("swarm.autoscale.disable-manual-replicas", "true")]);
    assert_eq!(stubborn.hold_ms, 0);
    assert_eq!(parsed(&[("swarm.autoscale", "false"), ("swarm.autoscale.min", "x")]), Labelled::No);
    assert_eq!(parsed(&[(".max_replicas", "8")]), Labelled::No);
}

#[test]
fn our_own_note_stays_beside_labels_of_other_autoscalers() {
    assert!(matches!(parsed(&[(".enable", "true"), (".state", "from=1 to=2 at=3")]), Labelled::Yes(_)));
}

#[test]
fn a_mistake_in_another_dialect_is_named_in_its_words() {
    let wrong = |pairs: &[(&str, &str)]| match parsed(pairs) {
        Labelled::Wrong(problems) => problems.join("\n"),
        other => panic!("{other:?}"),
    };
    assert!(
        wrong(&[(".enable", "true"), (".min_replicas", "two")]).contains("swarm.autoscaler.min_replicas=two: allowed")
    );
    assert!(wrong(&[(".enable", "true"), (".cooldown", "soon")]).contains("swarm.autoscaler.cooldown=soon"));
    assert!(wrong(&[(".enable", "maybe")]).contains("swarm.autoscaler.enable"));
    assert!(
        wrong(&[("swarm.autoscale", "true"), ("swarm.autoscale.mini", "1")]).contains("swarm.autoscale.mini: no such")
    );
}

#[test]
fn two_dialects_or_two_masters_are_loud() {
    let wrong = |pairs: &[(&str, &str)]| match parsed(pairs) {
        Labelled::Wrong(problems) => problems.join("\n"),
        other => panic!("{other:?}"),
    };
    assert!(wrong(&[(PREFIX, "true"), (".enable", "true")]).contains("several autoscalers"));
    assert!(
        wrong(&[(".enable", "true"), (".minimum", "1")]).contains("swarm.autoscaler.minimum, swarm.autoscaler.enable")
    );
    assert!(wrong(&[("swarm.autoscale", "true"), (".enable", "true")]).contains("several autoscalers"));
    assert!(wrong(&[(PREFIX, "true"), ("sablier.enable", "true")]).contains("sablier.enable=true"));
    assert!(wrong(&[(PREFIX, "true"), ("swarm.cronjob.enable", "true")]).contains("steered by somebody else"));
    assert!(wrong(&[(".enable", "true"), ("swarm.cronjob.enable", "1")]).contains("swarm.cronjob.enable=1"));
    assert!(matches!(parsed(&[(PREFIX, "true"), ("sablier.enable", "false")]), Labelled::Yes(_)));
    for off in [&[(PREFIX, "false"), (".enable", "false")][..], &[(PREFIX, "0"), ("swarm.autoscale.min", "2")]] {
        assert_eq!(parsed(off), Labelled::No);
    }
    assert_eq!(parsed(&[("sablier.enable", "true")]), Labelled::No);
}

proptest! {
    #[test]
    fn any_labels_give_an_answer_and_never_a_panic(
        pairs in proptest::collection::btree_map("(swarm\\.autoscaler)?(\\.[a-z-]{1,9}){0,3}", ".{0,12}", 0..8)
    ) {
        let mut pairs = pairs;
        pairs.insert(PREFIX.to_owned(), "true".to_owned());
        prop_assert!(parse(&pairs, &Defaults::default()) != Labelled::No);
    }
    #[test]
    fn what_is_understood_makes_sense_whatever_was_written(
        pairs in proptest::collection::btree_map(any_label(), any_value(), 0..5), now_ms in any::<u64>()
    ) {
        if let Labelled::Yes(directions) = parse(&pairs, &Defaults::default()) {
            let Directions { policy, .. } = directions.at(now_ms);
            prop_assert!(policy.bounds.min() <= policy.bounds.max() && policy.bounds.max() > 0);
            prop_assert!(policy.metrics.iter().all(|(metric, rule)| rule.fits(*metric)));
            prop_assert!(policy.step_up != Some(0) && policy.step_down != Some(0));
            let day = 86_400_000;
            prop_assert!(policy.cooldown_ms <= day && policy.up_cooldown_ms <= day && policy.hold_ms <= day);
            // What the thresholds are is for Rule to check, and it does so again on the way back.
            let text = serde_json::to_string(&policy).unwrap();
            prop_assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
        }
    }
}

/// A label that is known, to us or to another autoscaler, or nearly so.
fn any_label() -> impl Strategy<Value = String> {
    let ours = [
        "",
        ".minimum",
        ".maximum",
        ".algorithm",
        ".forecast",
        ".metrics",
        ".metrics.port",
        ".metrics.path",
        ".cpu.up",
        ".cpu.down",
        ".memory.up",
        ".response-time.up",
        ".error-rate.up",
        ".connections.per-replica",
        ".requests.per-replica",
        ".cooldown.up",
        ".cooldown.down",
        ".hold",
        ".warm-up",
        ".step.up",
        ".step.down",
        ".dry-run",
        ".schedule.x",
        ".state",
        ".role",
        ".enable",
        ".min_replicas",
        ".max_replicas",
        ".cpu.threshold",
        ".cooldown",
        ".maximun",
    ];
    let theirs = ["swarm.autoscale", "swarm.autoscale.min", "swarm.autoscale.percentage-max", "sablier.enable"];
    let ours = ours.map(|key| format!("{PREFIX}{key}"));
    proptest::sample::select(ours.into_iter().chain(theirs.map(str::to_owned)).collect::<Vec<_>>())
}

fn any_value() -> impl Strategy<Value = String> {
    let words = [
        "true",
        "false",
        "0",
        "1",
        "5",
        "",
        " 7 ",
        "-1",
        "NaN",
        "inf",
        "1e9",
        "1e400",
        "0.5",
        "18446744073709551616",
        "30s",
        "linear",
        "predictive",
        "cpu,requests",
        "/m",
        "start=0 8 * * *; end=0 9 * * *; minimum=4",
    ];
    prop_oneof![3 => proptest::sample::select(words.map(str::to_owned).to_vec()), 1 => any::<String>(), 1 => "[0-9.e-]{0,8}"]
}
