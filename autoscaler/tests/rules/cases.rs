//! Worked cases of the `target` rule and of stabilisation, from `tests/cases.json`.

use autoscaler::scaling::{Action, Algorithm, Bounds, Metric, Policy, Reason, Recommendation, Rule, Sample, TaskState};
use serde::Deserialize;
use serde_json::Value;

use crate::scene::{NOW, Scene, cpu, task};

#[derive(Deserialize)]
struct Cases {
    ratio: Vec<RatioCase>,
    windows: Vec<WindowCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatioCase {
    id: String,
    current: u64,
    target: f64,
    usage: Vec<Option<f64>>,
    limits: Option<Vec<f64>>,
    #[serde(default)]
    unready: Vec<usize>,
    #[serde(default)]
    ignored: Vec<usize>,
    expected: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowCase {
    id: String,
    current: u64,
    desired: u64,
    recommendations: Vec<(u64, u64)>,
    up_window: u64,
    down_window: u64,
    expected: u64,
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("../cases.json")).unwrap()
}

/// No bounds to speak of, no history, and no pause.
fn unbounded(scene: Scene) -> Scene {
    let policy = Policy { bounds: Bounds::new(0, 1_000).unwrap(), cooldown_ms: 0, ..scene.policy };
    Scene { policy, ..scene }.with(Algorithm::Target)
}

fn ratio_scene(case: &RatioCase) -> Scene {
    let mut scene = unbounded(cpu(&[])).judged(Metric::Cpu, Rule::band(case.target, 1.0).unwrap());
    scene.observed.replicas = case.current;
    for (index, usage) in case.usage.iter().enumerate() {
        let limit = case.limits.as_ref().map_or(1_000.0, |limits| limits[index]);
        let mut task = task(None);
        task.cpu = usage.map(|used| Sample { used, limit, at_ms: NOW - 1_000 });
        if case.unready.contains(&index) {
            task.since_ms = NOW - 1_000;
        }
        if case.ignored.contains(&index) {
            task.state = TaskState::Stopping;
        }
        scene.tasks().push(task);
    }
    scene
}

#[test]
fn every_ratio_case_holds() {
    let cases = cases().ratio;
    assert_eq!(cases.len(), 11);
    for case in cases {
        let decision = ratio_scene(&case).decide();
        match case.expected.as_u64() {
            Some(expected) => assert_eq!(decision.wanted, expected, "{}: {decision:?}", case.id),
            None => {
                assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::MetricMissing), "{}", case.id)
            }
        }
    }
}

#[test]
fn every_window_case_holds() {
    let cases = cases().windows;
    assert_eq!(cases.len(), 5);
    for case in cases {
        let mut scene = unbounded(cpu(&[])).not_judged(Metric::Cpu);
        scene = scene.judged(Metric::Requests, Rule::per_replica(1.0).unwrap()).http(
            30.0 * case.desired as f64,
            None,
            None,
        );
        scene.observed.replicas = case.current;
        scene.policy.up_window_ms = case.up_window * 1_000;
        scene.policy.down_window_ms = Some(case.down_window * 1_000);
        let ago = |(replicas, seconds)| Recommendation { at_ms: NOW - seconds * 1_000, replicas };
        scene.history.recommendations = case.recommendations.iter().copied().map(ago).collect();
        let decision = scene.decide();
        assert_eq!(decision.wanted, case.expected, "{}: {decision:?}", case.id);
    }
}

#[test]
fn within_a_tenth_of_the_target_nothing_happens() {
    let at = |percent| unbounded(cpu(&[percent; 10])).judged(Metric::Cpu, Rule::band(50.0, 1.0).unwrap()).decide();
    assert_eq!((at(55.0).wanted, at(45.0).wanted), (10, 10));
    assert_eq!((at(55.1).wanted, at(44.9).wanted), (12, 9));
}

#[test]
fn target_adds_one_for_latency_and_lets_the_others_say_how_many_go() {
    let slow = |p95, percent: f64| {
        let scene = unbounded(cpu(&[percent; 6])).judged(Metric::ResponseTime, Rule::band(1000.0, 200.0).unwrap());
        scene.http(900.0, Some(p95), None).decide()
    };
    assert_eq!((slow(1500.0, 70.0).wanted, slow(1500.0, 70.0).reason), (7, Reason::ResponseTimeHigh));
    assert_eq!(slow(500.0, 20.0).action, Action::Hold);
    assert_eq!((slow(100.0, 20.0).wanted, slow(100.0, 20.0).reason), (2, Reason::AllLow));
}

#[test]
fn a_target_of_one_metric_goes_at_the_pace_of_the_algorithm() {
    let scene = cpu(&[100.0; 4]).judged(Metric::Cpu, Rule::target(50.0).unwrap());
    assert_eq!(scene.decide().wanted, 5);
    assert_eq!(scene.with(Algorithm::Target).decide().wanted, 8);
}

#[test]
fn connections_are_shared_out_too() {
    let scene = |used| {
        let mut scene = unbounded(cpu(&[1.0; 4])).not_judged(Metric::Cpu);
        scene = scene.judged(Metric::Connections, Rule::per_replica(20.0).unwrap());
        scene.reading().connections = Some(crate::scene::pool(used, 400.0, 4));
        scene.decide().wanted
    };
    assert_eq!((scene(101.0), scene(80.0), scene(41.0)), (6, 4, 3));
}

#[test]
fn standbys_beside_a_primary_come_to_their_target() {
    let scene = |used| {
        let mut scene = unbounded(cpu(&[1.0; 2])).not_judged(Metric::Cpu);
        scene = scene.judged(Metric::Connections, Rule::band(50.0, 10.0).unwrap());
        scene.reading().connections = Some(crate::scene::pool(used, 300.0, 3));
        scene.decide().wanted
    };
    // 3 servers at 80 % are 5 at 48 %, of which one is the primary.
    assert_eq!((scene(240.0), scene(150.0), scene(45.0)), (4, 2, 0));
}

#[test]
fn a_rule_that_does_not_fit_its_metric_is_refused() {
    let parse = |rules: &str| {
        serde_json::from_str::<Policy>(&format!(r#"{{"bounds": {{"min": 1, "max": 2}}, "metrics": {rules}}}"#))
    };
    assert!(parse(r#"{"cpu": {"target": 50}, "connections": {"per_replica": 20}}"#).is_ok());
    for rules in
        [r#"{"cpu": {"per_replica": 1}}"#, r#"{"response_time": {"target": 50}}"#, r#"{"requests": {"up": 5}}"#]
    {
        let error = parse(rules).unwrap_err().to_string();
        assert!(error.contains("does not fit"), "{error}");
    }
}
