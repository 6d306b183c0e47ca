//! What comes before any metric.

use autoscaler::scaling::{Action, Bounds, Manual, Mode, Reason, Rollout};

use crate::scene::{NOW, cpu};

#[test]
fn a_rolling_update_is_not_disturbed_but_the_minimum_is_kept() {
    for rollout in [Rollout::Updating, Rollout::RollingBack, Rollout::Paused] {
        let mut scene = cpu(&[99.0, 99.0]);
        scene.observed.rollout = rollout;
        assert_eq!(scene.decide().reason, Reason::Updating);
        scene.policy.bounds = Bounds::new(3, 10).unwrap();
        let decision = scene.decide();
        assert_eq!((decision.wanted, decision.reason), (3, Reason::BelowMinimum));
    }
}

#[test]
fn too_many_replicas_wait_for_the_end_of_an_update() {
    let mut scene = cpu(&[10.0; 12]);
    assert_eq!((scene.decide().wanted, scene.decide().reason), (10, Reason::AboveMaximum));
    scene.observed.rollout = Rollout::Updating;
    assert_eq!((scene.decide().wanted, scene.decide().reason), (12, Reason::Updating));
}

#[test]
fn a_service_at_zero_was_switched_off_unless_zero_is_its_minimum() {
    let mut scene = cpu(&[]);
    assert_eq!((scene.decide().action, scene.decide().reason), (Action::Hold, Reason::SwitchedOff));
    scene.policy.bounds = Bounds::new(0, 2).unwrap();
    assert_eq!(scene.decide().reason, Reason::MetricMissing);
}

#[test]
fn global_services_and_jobs_are_never_scaled() {
    for mode in [Mode::Global, Mode::Job] {
        let mut scene = cpu(&[99.0, 99.0]);
        scene.observed.mode = mode;
        let decision = scene.decide();
        assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::NotReplicated));
    }
}

#[test]
fn a_pause_lasts_as_long_as_it_was_asked_for() {
    let mut scene = cpu(&[99.0, 99.0]);
    scene.history.paused_until_ms = Some(NOW + 30_000);
    let decision = scene.decide();
    assert_eq!((decision.reason, decision.wait_ms), (Reason::Paused, Some(30_000)));
    scene.history.paused_until_ms = Some(NOW);
    assert_eq!(scene.decide().action, Action::Up);
}

#[test]
fn a_count_set_by_hand_is_respected_for_the_hold_time_within_the_bounds() {
    let mut scene = cpu(&[99.0, 99.0]).stepped(2, 3, 3_600);
    scene.history.manual = Some(Manual { replicas: 2, at_ms: NOW - 60_000 });
    let decision = scene.decide();
    assert_eq!((decision.reason, decision.wait_ms), (Reason::Manual, Some(540_000)));
    scene.history.manual = Some(Manual { replicas: 2, at_ms: NOW - 600_000 });
    assert_eq!(scene.decide().wanted, 3);
    scene.history.manual = Some(Manual { replicas: 2, at_ms: NOW });
    scene.policy.bounds = Bounds::new(4, 10).unwrap();
    assert_eq!(scene.decide().wanted, 4);
}

#[test]
fn a_manual_count_from_the_future_is_not_held_for_longer() {
    let mut scene = cpu(&[99.0, 99.0]);
    scene.history.manual = Some(Manual { replicas: 2, at_ms: u64::MAX });
    assert_eq!(scene.decide().wait_ms, Some(600_000));
}

#[test]
fn the_count_before_a_redeploy_comes_back_even_in_the_middle_of_it() {
    let mut scene = cpu(&[99.0, 99.0]);
    scene.observed.rollout = Rollout::Updating;
    scene.observed.before_redeploy = Some(8);
    let decision = scene.decide();
    assert_eq!((decision.wanted, decision.reason), (8, Reason::RestoredAfterRedeploy));
    scene.observed.before_redeploy = Some(50);
    assert_eq!(scene.decide().wanted, 10);
    scene.observed.before_redeploy = Some(1);
    assert_eq!(scene.decide().reason, Reason::Updating);
}
