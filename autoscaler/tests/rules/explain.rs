//! One sentence per decision: why the count is what it is, and what would change it.

use autoscaler::scaling::{
    Action, Algorithm, Bounds, Decision, Manual, Metric, Mode, Reason, Rollout, Rule, TaskState, explain::sentence,
};

use crate::scene::{NOW, Scene, cpu};

fn said(scene: &Scene) -> String {
    sentence(&scene.decide())
}

fn errors(scene: Scene, requests: f64) -> Scene {
    scene.judged(Metric::ErrorRate, Rule::ceiling(5.0).unwrap()).http(requests, None, Some(6.0))
}

/// A scene for every reason, changed from one in which nothing happens.
fn scenes() -> Vec<(Reason, Scene)> {
    let change = |mut scene: Scene, change: fn(&mut Scene)| {
        change(&mut scene);
        scene
    };
    let judged = |metric, up, down| cpu(&[50.0; 2]).judged(metric, Rule::band(up, down).unwrap());
    let foreseen = |percent: f64, skill| {
        let mut scene = cpu(&[percent; 3]);
        scene.policy.forecast = true;
        let forecast = serde_json::json!({"at_ms": NOW, "lead_ms": 75_000, "model": "trend", "expected": 0.9,
                                          "margin": 0.1, "skill": skill});
        scene.history.forecasts.insert(Metric::Cpu, serde_json::from_value(forecast).unwrap());
        scene
    };
    vec![
        (Reason::Steady, cpu(&[50.0; 2])),
        (Reason::CpuHigh, cpu(&[90.0; 2])),
        (Reason::MemoryHigh, cpu(&[50.0; 2]).memory(90.0)),
        (Reason::ResponseTimeHigh, judged(Metric::ResponseTime, 1000.0, 200.0).http(99.0, Some(1500.0), None)),
        (Reason::ErrorRateHigh, errors(cpu(&[50.0; 2]), 99.0)),
        (
            Reason::ConnectionsHigh,
            change(judged(Metric::Connections, 80.0, 30.0), |scene| {
                scene.reading().connections = Some(crate::scene::pool(90.0, 100.0, 2));
            }),
        ),
        (
            Reason::CacheHigh,
            change(judged(Metric::Cache, 80.0, 30.0), |scene| {
                scene.reading().cache = Some(crate::scene::pool(90.0, 100.0, 2));
            }),
        ),
        (
            Reason::RequestsHigh,
            cpu(&[50.0; 2]).judged(Metric::Requests, Rule::per_replica(1.0).unwrap()).http(120.0, Some(1.0), None),
        ),
        (
            Reason::Forecast,
            change(foreseen(50.0, 0.5), |scene| {
                scene.history.forecasts.get_mut(&Metric::Cpu).unwrap().expected = 2.0;
            }),
        ),
        (Reason::ForecastForbidsDown, foreseen(10.0, 0.5)),
        (Reason::AllLow, cpu(&[10.0; 3])),
        (Reason::BelowMinimum, change(cpu(&[50.0; 2]), |scene| scene.policy.bounds = Bounds::new(3, 9).unwrap())),
        (Reason::AboveMaximum, change(cpu(&[50.0; 2]), |scene| scene.policy.bounds = Bounds::new(1, 1).unwrap())),
        (Reason::RestoredAfterRedeploy, change(cpu(&[50.0; 2]), |scene| scene.observed.before_redeploy = Some(5))),
        (Reason::NotReplicated, change(cpu(&[50.0; 2]), |scene| scene.observed.mode = Mode::Global)),
        (Reason::Paused, change(cpu(&[50.0; 2]), |scene| scene.history.paused_until_ms = Some(NOW + 30_000))),
        (Reason::SwitchedOff, cpu(&[])),
        (Reason::Updating, change(cpu(&[50.0; 2]), |scene| scene.observed.rollout = Rollout::Updating)),
        (
            Reason::Manual,
            change(cpu(&[50.0; 2]), |scene| {
                scene.history.manual = Some(Manual { replicas: 2, at_ms: NOW - 60_000 });
            }),
        ),
        (Reason::NoData, change(cpu(&[50.0; 2]), |scene| scene.observed.reading = None)),
        (Reason::StaleData, change(cpu(&[50.0; 2]), |scene| scene.reading().taken_at_ms = 0)),
        (Reason::MetricMissing, judged(Metric::Cache, 80.0, 30.0).not_judged(Metric::Cpu)),
        (Reason::ErrorsForbidDown, errors(cpu(&[10.0; 3]), 5.0)),
        (Reason::ErrorsNotLoad, change(errors(cpu(&[50.0; 2]), 99.0), |scene| scene.history.error_ups = 3)),
        (Reason::WouldBounce, cpu(&[10.0; 2]).memory(38.0)),
        (Reason::AtMaximum, cpu(&[99.0; 10])),
        (Reason::AtMinimum, cpu(&[1.0])),
        (
            Reason::StabilizingDown,
            change(cpu(&[5.0; 3]), |scene| {
                scene.history = autoscaler::scaling::History::first_sight(None, 3, NOW - 59_500);
            }),
        ),
        (
            Reason::StabilizingUp,
            change(cpu(&[99.0; 3]), |scene| {
                scene.policy.up_window_ms = 60_000;
                scene.history = autoscaler::scaling::History::first_sight(None, 3, NOW - 20_000);
            }),
        ),
        (Reason::Cooldown, cpu(&[5.0; 3]).stepped(2, 3, 77)),
        (Reason::UpCooldown, change(cpu(&[99.0; 3]).stepped(2, 3, 60), |scene| scene.policy.up_cooldown_ms = 90_000)),
        (
            Reason::WaitingForReplicas,
            change(cpu(&[150.0; 3]).stepped(2, 3, 30), |scene| {
                scene.tasks()[2].state = TaskState::Starting;
            }),
        ),
        (Reason::WaitingForSample, cpu(&[99.0; 3]).stepped(2, 3, 0)),
        (Reason::StepLimit, change(cpu(&[99.0; 3]), |scene| scene.policy.step_up = Some(0))),
        (Reason::NoRoom, change(cpu(&[99.0; 3]), |scene| scene.observed.room = Some(3))),
    ]
}

#[test]
fn every_reason_can_be_reached_and_has_a_sentence_of_its_own() {
    let mut sentences = std::collections::BTreeSet::new();
    for (reason, scene) in scenes() {
        let decision = scene.decide();
        assert_eq!(decision.reason, reason, "{decision:?}");
        let said = sentence(&decision);
        assert!(!said.contains('\n') && said.len() < 300, "{said}");
        // A wait is told in seconds, rounded up, and only where it is a matter of time.
        let seconds = decision.wait_ms.map(|ms| format!("for another {} s", ms.div_ceil(1000)));
        assert_eq!(said.contains("for another"), seconds.is_some(), "{said}");
        assert!(seconds.is_none_or(|seconds| said.contains(&seconds)), "{said}");
        assert!(sentences.insert(said.clone()), "{said}");
    }
    let all = serde_json::to_value(schemars::schema_for!(Reason)).unwrap();
    assert_eq!(sentences.len(), all["oneOf"].as_array().unwrap().len(), "a reason has no scene");
}

#[test]
fn the_usual_causes_are_named_with_what_would_change_them() {
    let sentences: Vec<_> = scenes().iter().map(|(reason, scene)| (*reason, said(scene))).collect();
    let of = |reason| sentences.iter().find(|(other, _)| *other == reason).unwrap().1.as_str();
    let reading = "cpu 5.0 %, up above 70, down to 20";
    assert_eq!(
        of(Reason::Cooldown),
        format!("stays at 3: the metrics ask for 2 ({reading}), but the cooldown lasts for another 43 s")
    );
    assert_eq!(
        of(Reason::StabilizingDown),
        format!(
            "stays at 3: the metrics ask for 2 ({reading}), but a higher recommendation is too recent for another 61 s"
        )
    );
    assert_eq!(
        of(Reason::AtMaximum),
        "stays at 10: only a higher maximum would let it grow, this one is reached (cpu 99.0 %, up above 70, down to 20)"
    );
    assert_eq!(
        of(Reason::AtMinimum),
        "stays at 1: only a lower minimum would let it shrink, this one is reached (cpu 1.0 %, up above 70, down to 20)"
    );
    assert_eq!(of(Reason::Steady), "stays at 2: no threshold is crossed (cpu 50.0 %, up above 70, down to 20)");
    assert_eq!(of(Reason::CpuHigh), "from 2 to 3: cpu 90.0 %, up above 70, down to 20");
    assert_eq!(of(Reason::Manual), "stays at 2: somebody set this count by hand, which is respected for another 540 s");
    assert_eq!(of(Reason::Paused), "stays at 2: paused by an operator for another 30 s");
    assert_eq!(of(Reason::MetricMissing), "stays at 2: not measured: cache");
    assert_eq!(of(Reason::Forecast), "from 3 to 6: more work is coming (cpu in 75 s for 6 replicas)");
}

#[test]
fn a_decision_carries_all_that_led_to_it() {
    let scene = cpu(&[99.0; 8]).memory(50.0).with(Algorithm::Exponential);
    let Decision { from, wanted, action, recommended, held_by, proposals, .. } = scene.decide();
    assert_eq!((from, wanted, action, recommended), (8, 10, Action::Up, 10));
    assert_eq!((held_by, proposals[&Metric::Cpu].replicas), (Some(Reason::AtMaximum), Some(16)));
    assert_eq!(proposals[&Metric::Memory].value, Some(50.0));
}
