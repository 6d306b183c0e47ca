//! Forecasts: learnt from work, judged against knowing nothing, and only ever raising.

use autoscaler::scaling::{
    Action, Algorithm, Forecast, Forecaster, Foresight, Metric, Observed, Reason, Rule, Step, decide, forecast::Model,
};

use crate::scene::{NOW, Scene, cpu};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const LEAD: u64 = 75_000;

/// Feeds `work` every `step_ms` for so long, and gives the last forecast.
fn learn(forecaster: &mut Forecaster, from: u64, length: u64, step_ms: u64, work: impl Fn(u64) -> f64) -> Forecast {
    let mut last = None;
    for at in (0..length).step_by(usize::try_from(step_ms).unwrap()).map(|offset| from + offset) {
        last = forecaster.learn(work(at), at, LEAD).or(last);
    }
    last.unwrap()
}

/// Numbers between -1 and 1 that look random and are the same in every run.
fn noise(at: u64) -> f64 {
    let mixed =
        (at / 1_000).wrapping_mul(6_364_136_223_846_793_005).rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as f64 / f64::from(u32::MAX) * 2.0 - 1.0
}

#[test]
fn a_rise_is_foreseen_within_the_first_minutes_at_any_interval() {
    for step_ms in [1_000, 5_000, 30_000] {
        let rise = |at: u64| 100.0 + (at - NOW) as f64 / 1_000.0;
        let forecast = learn(&mut Forecaster::default(), NOW, 10 * MINUTE, step_ms, rise);
        let truth = rise(forecast.at_ms + LEAD);
        assert!((forecast.expected - truth).abs() < 0.05 * truth, "{step_ms}: {forecast:?} {truth}");
        assert!(forecast.is_trusted(), "{forecast:?}");
    }
}

#[test]
fn before_there_are_verdicts_nothing_is_trusted() {
    let forecast = learn(&mut Forecaster::default(), NOW, 3 * MINUTE, 30_000, |at| (at - NOW) as f64);
    assert_eq!((forecast.skill, forecast.is_trusted()), (None, false));
}

#[test]
fn work_that_stands_still_or_jumps_without_a_pattern_earns_no_trust_by_luck() {
    let still = learn(&mut Forecaster::default(), NOW, HOUR, 30_000, |_| 100.0);
    assert!(!still.is_trusted(), "{still:?}");
    assert!((still.expected - 100.0).abs() < 1e-6);
    // A random walk: the present is the best that can be said of the future.
    let walk = |at: u64| 500.0 + (NOW..=at).step_by(30_000).map(|t| 20.0 * noise(t)).sum::<f64>();
    let walk = learn(&mut Forecaster::default(), NOW, 2 * HOUR, 30_000, walk);
    assert!(walk.skill.unwrap() < 0.1, "{walk:?}");
}

#[test]
fn noise_is_smoothed_and_its_size_is_the_margin() {
    let noisy = learn(&mut Forecaster::default(), NOW, 2 * HOUR, 30_000, |at| 100.0 + 20.0 * noise(at));
    assert!((noisy.expected - 100.0).abs() < 15.0, "{noisy:?}");
    assert!((10.0..35.0).contains(&noisy.margin), "{noisy:?}");
}

#[test]
fn a_daily_rush_is_foreseen_from_the_third_day_on() {
    let midnight = NOW - NOW % DAY;
    // Quiet but for a sudden rush at nine, and each day on a somewhat higher level.
    let day = |at: u64| {
        let minute = (at % DAY) / MINUTE;
        let higher = 30.0 * ((at - midnight) / DAY) as f64;
        let rush = if (540..600).contains(&minute) { 300.0 } else { 0.0 };
        100.0 + higher + rush + 40.0 * ((at % DAY) as f64 / DAY as f64 * std::f64::consts::TAU).sin()
    };
    let mut forecaster = Forecaster::default();
    let mut lead = |from: u64, length: u64| {
        let mut last = None;
        for at in (from..from + length).step_by(30_000) {
            last = forecaster.learn(day(at), at, 5 * MINUTE).or(last);
        }
        last.unwrap()
    };
    let first_day = lead(midnight, 9 * HOUR);
    assert_eq!(first_day.model, Model::Trend);
    let third_day = lead(midnight + 9 * HOUR, 2 * DAY - MINUTE);
    assert!(matches!(third_day.model, Model::Day | Model::UsualDay) && third_day.is_trusted(), "{third_day:?}");
    // Five minutes before, the trend knows of nothing.
    assert!(third_day.expected > 1.5 * first_day.expected, "{third_day:?} {first_day:?}");
}

#[test]
fn a_rush_at_the_same_minute_of_every_day_is_foreseen_one_lead_time_before_it() {
    let midnight = NOW - NOW % DAY;
    let day = |at: u64| 100.0 + noise(at) + if (540..600).contains(&((at % DAY) / MINUTE)) { 500.0 } else { 0.0 };
    let mut forecaster = Forecaster::default();
    let nine = midnight + 3 * DAY + 540 * MINUTE;
    let before = learn(&mut forecaster, midnight, nine - midnight - LEAD, 30_000, day);
    assert!(before.expected < 120.0, "{before:?}");
    let due = learn(&mut forecaster, nine - LEAD + 15_000, 30_000, 30_000, day);
    assert!((550.0..650.0).contains(&due.expected) && due.is_trusted(), "{due:?}");
    assert_eq!(due.model, Model::UsualDay);
}

/// A hump from eight to four, five days of seven.
fn week(at: u64) -> f64 {
    let (day, hour) = ((at - NOW) / DAY % 7, ((at - NOW) % DAY) as f64 / HOUR as f64);
    let hump = (hour / 8.0 * std::f64::consts::PI).sin();
    100.0 + if day < 5 && hour < 8.0 { 400.0 * hump } else { 0.0 } + noise(at)
}

#[test]
fn a_weekend_is_foreseen_from_the_third_week_on() {
    let mut forecaster = Forecaster::default();
    let mut lead = |from: u64, to: u64| {
        let mut last = None;
        for at in (from..to).step_by(300_000) {
            last = forecaster.learn(week(at), at, 10 * MINUTE).or(last);
        }
        last.unwrap()
    };
    // Half an hour into the third Saturday the hump of the day before was well on its way.
    let early = |day: u64| NOW + day * DAY + 30 * MINUTE;
    let saturday = lead(NOW, early(19));
    let by_the_week = |forecast: Forecast| matches!(forecast.model, Model::Week | Model::UsualWeek);
    assert!(by_the_week(saturday) && saturday.expected < 110.0, "{saturday:?}");
    let monday = lead(early(19), early(21));
    assert!(by_the_week(monday) && monday.expected > 180.0 && monday.is_trusted(), "{monday:?}");
}

#[test]
fn what_is_learnt_stops_growing_after_two_weeks() {
    let mut forecaster = Forecaster::default();
    let mut size = |from: u64, to: u64| {
        for at in (NOW + from * DAY..NOW + to * DAY).step_by(300_000) {
            forecaster.learn(100.0 + noise(at), at, LEAD);
        }
        format!("{forecaster:?}").len()
    };
    let (two_weeks, four_weeks) = (size(0, 16), size(16, 30));
    assert!(four_weeks < two_weeks + two_weeks / 50, "{two_weeks} {four_weeks}");
}

#[test]
fn a_time_that_does_not_go_forward_teaches_nothing() {
    let mut forecaster = Forecaster::default();
    assert!(forecaster.learn(1.0, NOW, LEAD).is_some());
    assert_eq!(forecaster.learn(2.0, NOW, LEAD), None);
    assert_eq!(forecaster.learn(2.0, NOW - 1, LEAD), None);
    assert_eq!(forecaster.learn(f64::NAN, NOW + 1, LEAD), None);
    assert_eq!(forecaster.learn(1e16, NOW + 1, LEAD), None);
}

#[test]
fn a_clock_that_is_set_back_by_far_begins_anew_instead_of_being_waited_for() {
    let mut forecaster = Forecaster::default();
    learn(&mut forecaster, NOW + DAY, HOUR, 30_000, |at| at as f64 / 1e9);
    assert_eq!(forecaster.learn(1.0, NOW + DAY + 55 * MINUTE, LEAD), None);
    let forecast = forecaster.learn(1.0, NOW, LEAD).unwrap();
    assert_eq!((forecast.expected, forecast.skill), (1.0, None));
}

#[test]
fn a_model_is_judged_only_beside_what_was_known_at_the_same_moments() {
    let midnight = NOW - NOW % DAY;
    // Two days of swings every hour, and a third on which nothing happens: whoever speaks of
    // yesterday's swings is wrong, and was silent while "same as now" was wrong all the time.
    let work = |at: u64| match at - midnight {
        since if since < 2 * DAY => 300.0 + 200.0 * ((at % HOUR) as f64 / HOUR as f64 * std::f64::consts::TAU).sin(),
        _ => 300.0 + noise(at),
    };
    let mut forecaster = Forecaster::default();
    let forecast = learn(&mut forecaster, midnight, 2 * DAY + 20 * MINUTE, 30_000, work);
    assert!(forecast.model == Model::Trend || !forecast.is_trusted(), "{forecast:?}");
}

/// Three replicas at so many percent of half a core each, and a forecast of so many cores.
fn foreseen(percent: f64, expected: f64, skill: Option<f64>) -> Scene {
    let mut scene = cpu(&[percent; 3]);
    scene.policy.forecast = true;
    let forecast = Forecast { at_ms: NOW - 1_000, lead_ms: LEAD, model: Model::Trend, expected, margin: 0.1, skill };
    scene.history.forecasts.insert(Metric::Cpu, forecast);
    scene
}

#[test]
fn a_trusted_forecast_raises_at_once_to_what_will_be_needed() {
    // 2.0 + 0.1 cores at 70 % of 0.5 each.
    let decision = foreseen(50.0, 2.0, Some(0.3)).decide();
    assert_eq!((decision.wanted, decision.reason), (6, Reason::Forecast));
    assert!(autoscaler::scaling::explain::sentence(&decision).contains("cpu in 75 s for 6 replicas"));
    let mut bounded = foreseen(50.0, 2.0, Some(0.3));
    bounded.policy.step_up = Some(2);
    assert_eq!(bounded.decide().wanted, 5);
}

#[test]
fn without_skill_or_without_being_asked_for_it_is_shown_and_does_not_act() {
    for skill in [None, Some(0.0), Some(-0.5), Some(f64::NAN)] {
        let decision = foreseen(50.0, 2.0, skill).decide();
        assert_eq!((decision.action, decision.outlooks[&Metric::Cpu].acts), (Action::Hold, false));
        assert_eq!(decision.outlooks[&Metric::Cpu].floor, 6);
    }
    let mut scene = foreseen(50.0, 2.0, Some(0.9));
    scene.policy.forecast = false;
    assert_eq!((scene.decide().action, scene.decide().outlooks.len()), (Action::Hold, 0));
}

#[test]
fn a_forecast_delays_a_scale_down_and_never_causes_one() {
    let decision = foreseen(10.0, 0.9, Some(0.3)).decide();
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::ForecastForbidsDown));
    assert_eq!(foreseen(10.0, 0.1, Some(0.3)).decide().wanted, 2);
    assert_eq!(foreseen(50.0, 0.0, Some(0.9)).decide().action, Action::Hold);
}

#[test]
fn an_old_forecast_and_a_sum_with_a_gap_say_nothing() {
    let mut scene = foreseen(50.0, 2.0, Some(0.3));
    scene.history.forecasts.get_mut(&Metric::Cpu).unwrap().at_ms = NOW - 16_000;
    assert_eq!(scene.decide().action, Action::Hold);
    scene = foreseen(50.0, 2.0, Some(0.3));
    scene.tasks()[1].cpu = None;
    assert_eq!(scene.decide().action, Action::Hold);
}

/// A service of replicas that serve 100 requests per second each, looked at every 30 s.
fn requests(n: u64, per_second: f64, at: u64, last: Option<Step>) -> Observed {
    let mut scene = cpu(&vec![10.0; usize::try_from(n).unwrap()]).http(30.0 * per_second, None, None);
    scene.reading().taken_at_ms = at;
    scene.reading().http.as_mut().unwrap().at_ms = at;
    for task in scene.tasks() {
        task.since_ms = last.map_or(0, |step| step.at_ms + 20_000);
        task.cpu.as_mut().unwrap().at_ms = at;
    }
    scene.observed
}

#[test]
fn it_looks_ahead_as_far_as_a_replica_takes_to_start_and_two_rounds() {
    let mut scene = cpu(&[]).not_judged(Metric::Cpu);
    scene = scene.judged(Metric::Requests, Rule::per_replica(100.0).unwrap());
    scene.policy.forecast = true;
    let mut foresight = Foresight::default();
    let mut lead = |n, at: u64, last| {
        let expected = foresight.look(&scene.policy, &requests(n, 100.0, at, last), last, at);
        expected[&Metric::Requests].lead_ms
    };
    // Nothing is known: 15 s to start, and the collector's interval of 5 s.
    assert_eq!(lead(2, NOW, None), 25_000);
    assert_eq!(lead(2, NOW + 30_000, None), 15_000 + 60_000);
    // The replica of this step was ready after 20 s.
    let step = Some(Step { from: 2, to: 3, at_ms: NOW + 30_000 });
    assert_eq!(lead(3, NOW + 60_000, step), 20_000 + 60_000);
    // The same step teaches once.
    assert_eq!(lead(3, NOW + 90_000, step), 20_000 + 60_000);
}

#[test]
fn on_a_rise_the_replicas_are_there_before_the_load_is() {
    let lost = |forecast: bool| {
        let mut scene = cpu(&[]).not_judged(Metric::Cpu).with(Algorithm::Target);
        scene = scene.judged(Metric::Requests, Rule::per_replica(100.0).unwrap());
        scene.policy.forecast = forecast;
        let mut foresight = Foresight::default();
        let (mut n, mut ready, mut history, mut lost) = (1, 1, autoscaler::scaling::History::default(), 0.0);
        for at in (NOW..NOW + 30 * MINUTE).step_by(30_000) {
            let load = 50.0 + (at - NOW) as f64 / MINUTE as f64 * 28.0;
            lost += (load - 100.0 * ready as f64).max(0.0);
            ready = n;
            let observed = requests(n, load, at, history.last);
            history.forecasts.extend(foresight.look(&scene.policy, &observed, history.last, at));
            let decision = decide(&scene.policy, &observed, &history, at);
            history.note(&decision, &scene.policy, at);
            if decision.action != Action::Hold {
                n = decision.wanted;
                history.applied(&decision, at);
            }
        }
        lost
    };
    let (with, without) = (lost(true), lost(false));
    assert!(with < 0.5 * without, "{with} {without}");
}
