//! Missing, newborn and stale: they may hold or raise, never lower.

use autoscaler::scaling::{Action, Algorithm, Metric, Reason, Task, TaskState};

use crate::scene::{NOW, cpu, task};

#[test]
fn a_missing_replica_counts_as_full_when_the_vote_is_down() {
    let mut scene = cpu(&[19.0, 19.0, 19.0]);
    assert_eq!(scene.decide().action, Action::Down);
    // (19 + 19 + 100) / 3 = 46 %.
    scene.tasks()[2].cpu = None;
    let decision = scene.decide();
    assert_eq!((decision.action, decision.proposals[&Metric::Cpu].missing), (Action::Hold, 1));
}

#[test]
fn missing_and_newborn_replicas_count_as_idle_when_the_vote_is_up() {
    let mut scene = cpu(&[90.0, 90.0, 90.0]);
    scene.tasks()[2].cpu = None;
    // 180 / 3 = 60 %.
    assert_eq!(scene.decide().action, Action::Hold);
    scene.tasks()[0] = task(Some(130.0));
    assert_eq!(scene.decide().wanted, 4);
    scene.tasks()[2] = task(Some(500.0));
    scene.tasks()[2].since_ms = NOW - 14_000;
    scene.tasks()[0] = task(Some(90.0));
    assert_eq!((scene.decide().action, scene.decide().proposals[&Metric::Cpu].newborn), (Action::Hold, 1));
}

#[test]
fn replicas_that_are_asked_for_but_not_listed_are_paid_for_too() {
    let mut scene = cpu(&[90.0, 90.0]);
    scene.observed.replicas = 3;
    assert_eq!((scene.decide().wanted, scene.decide().proposals[&Metric::Cpu].missing), (3, 1));
}

#[test]
fn replicas_that_are_not_listed_do_not_count_as_idle_ones_when_the_vote_is_down() {
    for algorithm in Algorithm::ALL {
        // Two idle replicas are all that is known of ten.
        let mut scene = cpu(&[5.0; 2]).with(*algorithm);
        scene.observed.replicas = 10;
        let decision = scene.decide();
        assert_eq!((decision.action, decision.proposals[&Metric::Cpu].missing), (Action::Hold, 8), "{algorithm:?}");
        // Of one that is listed as young, it is known that its use says nothing.
        scene.tasks().extend([task(None); 8].map(|young| Task { since_ms: NOW, ..young }));
        assert_eq!(scene.decide().action, Action::Down, "{algorithm:?}");
    }
}

#[test]
fn replicas_that_are_leaving_do_not_count() {
    let mut scene = cpu(&[90.0, 90.0, 0.0]);
    scene.observed.replicas = 2;
    scene.tasks()[2].state = TaskState::Stopping;
    assert_eq!(scene.decide().wanted, 3);
}

#[test]
fn without_any_sample_nothing_happens() {
    let mut scene = cpu(&[50.0, 50.0]);
    for task in scene.tasks() {
        task.cpu = None;
    }
    assert_eq!(scene.decide().reason, Reason::MetricMissing);
    scene.observed.reading = None;
    assert_eq!(scene.decide().reason, Reason::NoData);
}

#[test]
fn a_sample_older_than_three_intervals_is_none() {
    let mut scene = cpu(&[5.0, 5.0]);
    for task in scene.tasks() {
        task.cpu.as_mut().unwrap().at_ms = NOW - 15_000;
    }
    assert_eq!(scene.decide().action, Action::Down);
    scene.tasks()[0].cpu.as_mut().unwrap().at_ms = NOW - 15_001;
    assert_eq!(scene.decide().action, Action::Hold);
}

#[test]
fn a_stale_reading_or_one_from_the_future_holds() {
    for taken_at_ms in [0, NOW - 15_001, NOW + 10_001, u64::MAX] {
        let mut scene = cpu(&[99.0, 99.0]);
        scene.reading().taken_at_ms = taken_at_ms;
        assert_eq!(scene.decide().reason, Reason::StaleData, "{taken_at_ms}");
    }
}

#[test]
fn numbers_that_cannot_be_true_are_missing() {
    for (used, limit) in [(f64::NAN, 1.0), (-1.0, 1.0), (0.0, 0.0), (0.0, f64::INFINITY), (0.0, -1.0), (1e300, 1.0)] {
        let mut scene = cpu(&[5.0, 5.0]);
        let sample = scene.tasks()[0].cpu.as_mut().unwrap();
        (sample.used, sample.limit) = (used, limit);
        assert_eq!(scene.decide().action, Action::Hold, "{used} of {limit}");
    }
}
