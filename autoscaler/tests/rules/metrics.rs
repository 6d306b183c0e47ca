//! What each metric says, and what they say together.

use autoscaler::scaling::{Action, Bounds, Metric, Reason, Rule, Vote};

use crate::scene::{NOW, Scene, cpu, pool};

fn band(up: f64, down: f64) -> Rule {
    Rule::band(up, down).unwrap()
}

fn outcome(scene: &Scene) -> (u64, Reason) {
    let decision = scene.decide();
    (decision.wanted, decision.reason)
}

#[test]
fn thresholds_are_above_for_up_and_at_or_below_for_down() {
    assert_eq!(outcome(&cpu(&[70.0, 70.0])), (2, Reason::Steady));
    assert_eq!(outcome(&cpu(&[70.1, 70.1])), (3, Reason::CpuHigh));
    assert_eq!(outcome(&cpu(&[20.1, 20.1])), (2, Reason::Steady));
    assert_eq!(outcome(&cpu(&[20.0, 20.0])), (1, Reason::AllLow));
}

#[test]
fn percentages_are_sum_over_sum() {
    // 0.95 of a half core and 0.05 of one: averaged shares are 50 %, the sum is 35 %.
    let mut scene = cpu(&[95.0, 5.0]);
    scene.tasks()[1].cpu = scene.tasks()[1].cpu.map(|s| autoscaler::scaling::Sample { used: 0.05, limit: 1.0, ..s });
    let value = scene.decide().proposals[&Metric::Cpu].value.unwrap();
    assert!((value - 35.0).abs() < 1e-9, "{value}");
}

#[test]
fn one_high_metric_scales_up_and_every_metric_must_agree_to_scale_down() {
    assert_eq!(outcome(&cpu(&[50.0, 50.0]).memory(81.0)), (3, Reason::MemoryHigh));
    assert_eq!(outcome(&cpu(&[10.0, 10.0]).memory(60.0)), (2, Reason::Steady));
    assert_eq!(outcome(&cpu(&[10.0, 10.0, 10.0]).memory(40.0)), (2, Reason::AllLow));
}

#[test]
fn latency_speaks_only_with_enough_requests_and_silence_forbids_nothing() {
    let slow = |requests, cpu_percent: f64| {
        cpu(&[cpu_percent; 2]).judged(Metric::ResponseTime, band(1000.0, 200.0)).http(requests, Some(1500.0), None)
    };
    assert_eq!(outcome(&slow(20.0, 50.0)), (3, Reason::ResponseTimeHigh));
    assert_eq!(outcome(&slow(19.0, 50.0)), (2, Reason::Steady));
    assert_eq!(outcome(&slow(19.0, 10.0)), (1, Reason::AllLow));
    let quiet = cpu(&[10.0; 2]).judged(Metric::ResponseTime, band(1000.0, 200.0)).http(0.0, None, None);
    assert_eq!(outcome(&quiet), (1, Reason::AllLow));
}

#[test]
fn latency_that_is_not_measured_forbids_a_scale_down() {
    let mut scene = cpu(&[10.0; 2]).judged(Metric::ResponseTime, band(1000.0, 200.0));
    assert_eq!(outcome(&scene), (2, Reason::MetricMissing));
    scene = scene.http(500.0, Some(10.0), None);
    assert_eq!(outcome(&scene), (1, Reason::AllLow));
    scene.reading().http.as_mut().unwrap().at_ms = NOW - 16_000;
    assert_eq!(outcome(&scene), (2, Reason::MetricMissing));
}

#[test]
fn errors_scale_up_three_times_at_most_and_forbid_a_scale_down() {
    let failing = |cpu_percent: f64, requests| {
        cpu(&[cpu_percent; 3]).judged(Metric::ErrorRate, Rule::ceiling(5.0).unwrap()).http(requests, None, Some(6.0))
    };
    let mut scene = failing(10.0, 100.0);
    assert_eq!(outcome(&scene), (4, Reason::ErrorRateHigh));
    scene.history.error_ups = 3;
    assert_eq!(outcome(&scene), (3, Reason::ErrorsNotLoad));
    assert_eq!(outcome(&failing(10.0, 5.0)), (3, Reason::ErrorsForbidDown));
    scene = failing(99.0, 100.0);
    scene.history.error_ups = 3;
    assert_eq!(outcome(&scene), (4, Reason::CpuHigh));
}

#[test]
fn errors_start_to_count_anew_only_when_they_are_measured_to_be_gone() {
    let scene = |requests, percent| {
        let mut scene = cpu(&[50.0; 3]).judged(Metric::ErrorRate, Rule::ceiling(5.0).unwrap());
        scene = scene.http(requests, None, percent);
        scene.history.error_ups = 3;
        let decision = scene.decide();
        scene.history.note(&decision, &scene.policy, NOW);
        scene.history.error_ups
    };
    assert_eq!((scene(100.0, Some(6.0)), scene(5.0, Some(6.0)), scene(100.0, None)), (3, 3, 3));
    assert_eq!((scene(100.0, Some(5.0)), scene(0.0, None)), (0, 0));
}

#[test]
fn no_errors_and_no_load_scale_down() {
    let scene = cpu(&[10.0; 3]).judged(Metric::ErrorRate, Rule::ceiling(5.0).unwrap()).http(100.0, None, Some(0.0));
    assert_eq!(outcome(&scene), (2, Reason::AllLow));
}

#[test]
fn a_total_is_shared_out_whatever_the_present_count_is() {
    let at = |n: usize| {
        let scene = cpu(&vec![50.0; n]).not_judged(Metric::Cpu);
        scene.judged(Metric::Requests, Rule::per_replica(10.0).unwrap()).http(1_500.0, None, None)
    };
    // 50 requests per second at 10 each.
    assert_eq!(at(4).decide().wanted, 5);
    assert_eq!(at(5).decide().action, Action::Hold);
    assert_eq!(at(6).decide().wanted, 5);
}

#[test]
fn standbys_come_from_zero_with_the_connections_and_go_with_them() {
    let scene = |n: usize, used, servers| {
        let mut scene = cpu(&vec![1.0; n]).not_judged(Metric::Cpu).judged(Metric::Connections, band(80.0, 30.0));
        scene.policy.bounds = Bounds::new(0, 2).unwrap();
        scene.reading().connections = Some(pool(used, 97.0 * servers as f64, servers));
        scene
    };
    assert_eq!(outcome(&scene(0, 90.0, 1)), (1, Reason::ConnectionsHigh));
    assert_eq!(outcome(&scene(0, 10.0, 1)), (0, Reason::AtMinimum));
    assert_eq!(outcome(&scene(1, 20.0, 2)), (0, Reason::AllLow));
    // Once there are standbys, only they take reads; the last one's go back to the primary.
    assert_eq!(outcome(&scene(1, 90.0, 1)), (2, Reason::ConnectionsHigh));
    assert_eq!(outcome(&scene(1, 20.0, 1)), (0, Reason::AllLow));
    assert_eq!(outcome(&scene(2, 20.0, 2)), (1, Reason::AllLow));
}

#[test]
fn a_cache_without_a_bound_is_not_measured() {
    let mut scene = cpu(&[1.0]).not_judged(Metric::Cpu).judged(Metric::Cache, band(80.0, 30.0));
    scene.reading().cache = Some(pool(1e9, 0.0, 1));
    assert_eq!(outcome(&scene), (1, Reason::MetricMissing));
    scene.reading().cache = Some(pool(9e8, 1e9, 1));
    assert_eq!(outcome(&scene), (2, Reason::CacheHigh));
}

#[test]
fn fewer_replicas_that_would_be_too_few_at_once_are_not_tried() {
    // 2 × 38 % is 76 % of one, over nine tenths of 80 %.
    let scene = cpu(&[10.0; 2]).memory(38.0);
    assert_eq!(outcome(&scene), (2, Reason::WouldBounce));
    assert_eq!(outcome(&cpu(&[10.0; 3]).memory(38.0)), (2, Reason::AllLow));
    // Two that are not asked for are still there: 4 × 20 % is 80 % of the one that would be left.
    let mut scene = cpu(&[20.0; 4]);
    scene.observed.replicas = 2;
    assert_eq!(outcome(&scene), (2, Reason::WouldBounce));
}

#[test]
fn at_a_bound_the_bound_is_the_reason() {
    let mut scene = cpu(&[99.0; 10]);
    assert_eq!(outcome(&scene), (10, Reason::AtMaximum));
    assert_eq!(scene.decide().recommended_reason, Reason::CpuHigh);
    scene = cpu(&[1.0]);
    assert_eq!(outcome(&scene), (1, Reason::AtMinimum));
}

#[test]
fn each_metric_is_shown_with_its_vote() {
    let decision = cpu(&[90.0; 2]).memory(60.0).decide();
    let votes: Vec<_> = decision.proposals.values().map(|p| (p.vote, p.replicas, p.measured)).collect();
    assert_eq!(votes, [(Vote::Up, Some(3), 2), (Vote::Stay, None, 2)]);
}
