//! How far one action goes, and what cuts it.

use autoscaler::scaling::{Action, Algorithm, Reason, Task, TaskState};

use crate::scene::{NOW, cpu, task};

#[test]
fn linear_goes_by_one() {
    assert_eq!(cpu(&[100.0; 4]).decide().wanted, 5);
    assert_eq!(cpu(&[1.0; 4]).decide().wanted, 3);
}

#[test]
fn exponential_grows_by_half_doubles_when_far_over_and_shrinks_by_one() {
    let at = |percent: f64, n| cpu(&vec![percent; n]).with(Algorithm::Exponential);
    assert_eq!(at(75.0, 2).decide().wanted, 3);
    assert_eq!(at(75.0, 3).decide().wanted, 5);
    assert_eq!(at(75.0, 4).decide().wanted, 6);
    assert_eq!(at(95.0, 4).decide().wanted, 8);
    assert_eq!(at(99.0, 8).decide().wanted, 10);
    assert_eq!(at(10.0, 4).decide().wanted, 3);
}

#[test]
fn exponential_doubles_from_the_second_scale_up_in_a_row_until_it_is_quiet() {
    let mut scene = cpu(&[75.0; 4]).with(Algorithm::Exponential);
    let first = scene.decide();
    scene.history.note(&first, &scene.policy, NOW);
    scene.history.applied(&first, NOW - 600_000);
    assert_eq!((first.wanted, scene.decide().wanted), (6, 8));
    let quiet = cpu(&[50.0; 4]).decide();
    scene.history.note(&quiet, &scene.policy, NOW);
    assert_eq!(scene.decide().wanted, 6);
}

#[test]
fn waiting_for_the_last_step_is_no_quiet_moment() {
    let mut scene = cpu(&[90.0; 4]).with(Algorithm::Exponential);
    let first = scene.decide();
    scene.history.note(&first, &scene.policy, NOW);
    scene.history.applied(&first, NOW - 600_000);
    // The two new ones are young, and could bring 90 % down to 60 %.
    let mut waiting = cpu(&[90.0; 4]);
    waiting.tasks().extend([Task { since_ms: NOW, ..task(None) }; 2]);
    waiting.observed.replicas = 6;
    assert_eq!(waiting.decide().action, Action::Hold);
    scene.history.note(&waiting.decide(), &scene.policy, NOW);
    // Neither is a round in which nothing was measured.
    let blind = cpu(&[]).decide();
    scene.history.note(&blind, &scene.policy, NOW);
    assert_eq!(scene.decide().wanted, 8);
}

#[test]
fn step_limits_cut_one_action() {
    let mut scene = cpu(&[99.0; 4]).with(Algorithm::Exponential);
    scene.policy.step_up = Some(2);
    let decision = scene.decide();
    assert_eq!((decision.wanted, decision.held_by), (6, Some(Reason::StepLimit)));
}

#[test]
fn a_cut_at_the_maximum_is_told() {
    let decision = cpu(&[99.0; 8]).with(Algorithm::Exponential).decide();
    assert_eq!((decision.wanted, decision.reason, decision.held_by), (10, Reason::CpuHigh, Some(Reason::AtMaximum)));
}

#[test]
fn replicas_that_cannot_be_placed_are_not_asked_for_again() {
    let mut scene = cpu(&[99.0; 3]);
    scene.tasks().push(task(None));
    scene.observed.replicas = 4;
    let waiting = &mut scene.tasks()[3];
    (waiting.state, waiting.since_ms) = (TaskState::Pending, NOW - 61_000);
    let decision = scene.decide();
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::NoRoom));
    scene.tasks()[3].since_ms = NOW - 59_000;
    assert_eq!(scene.decide().wanted, 5);
}

#[test]
fn no_more_is_asked_for_than_the_nodes_can_place() {
    let mut scene = cpu(&[99.0; 4]).with(Algorithm::Exponential);
    scene.observed.room = Some(6);
    let decision = scene.decide();
    assert_eq!((decision.wanted, decision.held_by), (6, Some(Reason::NoRoom)));
    // Less room than there are replicas is no reason to remove any.
    for room in [4, 0] {
        scene.observed.room = Some(room);
        let decision = scene.decide();
        assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::NoRoom));
    }
}
