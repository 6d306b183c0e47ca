//! Stabilisation and cooldown: different things, and both hold.

use autoscaler::scaling::{Action, Decision, History, Metric, Reason, Recommendation, Rule};

use crate::scene::{NOW, cpu};

fn outcome(decision: &Decision) -> (Action, Reason, Option<u64>) {
    (decision.action, decision.reason, decision.wait_ms)
}

#[test]
fn after_any_action_no_scale_down_and_no_reversal() {
    let held = (Action::Hold, Reason::Cooldown, Some(60_000));
    assert_eq!(outcome(&cpu(&[5.0; 3]).stepped(2, 3, 60).decide()), held);
    assert_eq!(outcome(&cpu(&[5.0; 3]).stepped(4, 3, 60).decide()), held);
    assert_eq!(outcome(&cpu(&[99.0; 3]).stepped(4, 3, 60).decide()), held);
    assert_eq!(cpu(&[5.0; 3]).stepped(2, 3, 120).decide().action, Action::Down);
    assert_eq!(cpu(&[99.0; 3]).stepped(4, 3, 120).decide().action, Action::Up);
}

#[test]
fn a_further_scale_up_comes_when_the_last_step_proved_too_small() {
    let mut scene = cpu(&[99.0; 3]).stepped(2, 3, 30);
    scene.tasks()[2].since_ms = NOW - 20_000;
    assert_eq!(scene.decide().wanted, 4);
    // Not past its warm-up.
    scene = cpu(&[150.0; 3]).stepped(2, 3, 30);
    scene.tasks()[2].since_ms = NOW - 14_000;
    assert_eq!(outcome(&scene.decide()), (Action::Hold, Reason::WaitingForReplicas, None));
}

#[test]
fn a_replica_that_never_becomes_ready_forbids_a_rescue_no_longer_than_the_cooldown() {
    let mut scene = cpu(&[150.0; 3]).stepped(2, 3, 119);
    scene.tasks().pop();
    assert_eq!(scene.decide().reason, Reason::WaitingForReplicas);
    scene = scene.stepped(2, 3, 120);
    assert_eq!(scene.decide().wanted, 4);
}

#[test]
fn a_count_that_was_handed_back_is_no_step_down_and_holds_no_rescue() {
    assert_eq!(cpu(&[99.0; 3]).stepped(3, 3, 30).decide().wanted, 4);
    assert_eq!(cpu(&[5.0; 3]).stepped(3, 3, 30).decide().reason, Reason::Cooldown);
}

#[test]
fn a_sample_from_before_the_last_step_proves_nothing() {
    let mut scene = cpu(&[99.0; 3]).stepped(2, 3, 0);
    assert_eq!(scene.decide().reason, Reason::WaitingForSample);
    scene.history.last.as_mut().unwrap().at_ms = NOW - 1_500;
    assert_eq!(scene.decide().wanted, 4);
}

#[test]
fn latency_counts_again_when_its_whole_window_lies_behind_the_step() {
    let slow = |seconds_ago| {
        let scene = cpu(&[50.0; 3]).judged(Metric::ResponseTime, Rule::band(1000.0, 200.0).unwrap());
        scene.http(900.0, Some(2000.0), None).stepped(2, 3, seconds_ago).decide()
    };
    assert_eq!(slow(30).reason, Reason::WaitingForSample);
    assert_eq!(slow(32).reason, Reason::ResponseTimeHigh);
}

#[test]
fn a_scale_up_cooldown_is_a_strict_pause() {
    let mut scene = cpu(&[99.0; 3]).stepped(2, 3, 60);
    scene.policy.up_cooldown_ms = 90_000;
    assert_eq!(outcome(&scene.decide()), (Action::Hold, Reason::UpCooldown, Some(30_000)));
}

#[test]
fn a_scale_down_waits_until_the_last_higher_recommendation_is_old() {
    let mut scene = cpu(&[5.0; 4]);
    let recommend = |seconds_ago: u64, replicas| Recommendation { at_ms: NOW - seconds_ago * 1_000, replicas };
    scene.history.recommendations = vec![recommend(119, 4), recommend(30, 3)];
    assert_eq!(outcome(&scene.decide()), (Action::Hold, Reason::StabilizingDown, Some(1_000)));
    scene.history.recommendations[0] = recommend(120, 4);
    assert_eq!(scene.decide().wanted, 3);
}

#[test]
fn a_scale_up_window_asks_for_agreement_too() {
    let mut scene = cpu(&[99.0; 4]);
    scene.policy.up_window_ms = 60_000;
    scene.history.recommendations = vec![Recommendation { at_ms: NOW - 20_000, replicas: 4 }];
    assert_eq!(outcome(&scene.decide()), (Action::Hold, Reason::StabilizingUp, Some(40_000)));
}

#[test]
fn what_is_seen_for_the_first_time_does_not_shrink_at_once() {
    let mut scene = cpu(&[5.0; 4]);
    scene.history = History::first_sight(None, 4, NOW);
    assert_eq!(outcome(&scene.decide()), (Action::Hold, Reason::StabilizingDown, Some(120_000)));
}

#[test]
fn the_first_reading_after_a_blind_time_does_not_shrink_at_once() {
    let mut scene = cpu(&[5.0; 4]);
    let blind = {
        let mut blind = scene.clone();
        blind.observed.reading = None;
        blind.decide()
    };
    scene.history.note(&blind, &scene.policy, NOW - 30_000);
    assert_eq!(outcome(&scene.decide()), (Action::Hold, Reason::StabilizingDown, Some(90_000)));
}

#[test]
fn a_clock_that_is_set_back_makes_no_recommendation_forgotten_nor_last_for_ever() {
    let mut scene = cpu(&[5.0; 4]);
    scene.history.recommendations = vec![Recommendation { at_ms: NOW + 3_600_000, replicas: 4 }];
    let decision = scene.decide();
    assert_eq!(outcome(&decision), (Action::Hold, Reason::StabilizingDown, Some(120_000)));
    scene.history.note(&decision, &scene.policy, NOW - 60_000);
    assert_eq!(outcome(&scene.decide()), (Action::Hold, Reason::StabilizingDown, Some(60_000)));
    scene.history.note(&decision, &scene.policy, NOW - 120_000);
    assert_eq!(outcome(&scene.decide()), (Action::Down, Reason::AllLow, None));
}

#[test]
fn recommendations_that_flutter_for_hours_are_kept_for_their_window_and_no_longer() {
    let mut history = History::default();
    let mut scene = cpu(&[50.0; 4]);
    scene.policy.down_window_ms = Some(86_400_000);
    for second in 0..5_000 {
        let decision = Decision { recommended: second % 3, ..scene.decide() };
        history.note(&decision, &scene.policy, NOW + second * 1_000);
    }
    assert_eq!(history.recommendations.len(), 1_000);
    scene.policy.down_window_ms = Some(120_000);
    history.note(&scene.decide(), &scene.policy, NOW + 5_000_000);
    assert!(history.recommendations.len() <= 122, "{}", history.recommendations.len());
}
