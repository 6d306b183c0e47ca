//! The simulator: its arithmetic against a worked example, its model against common sense.

use autoscaler::simulate::{self, Measures, Model, Row, Steps, Trace, report};

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn the_worked_example_comes_out() {
    let supply = Steps::new(
        &[(0, 1), (2, 2), (3, 1), (5, 3), (9, 7), (11, 6), (12, 8), (14, 2)].map(|(t, n)| (f64::from(t), n)),
    );
    let demand = Steps::new(&[(0, 1), (7, 5), (16, 3), (17, 2), (19, 4)].map(|(t, n)| (f64::from(t), n)));
    let m = Measures::elastic(&supply, &demand, 20.0);
    assert!(close(m.missing, 13.0 / 20.0) && close(m.surplus, 16.0 / 20.0), "{m:?}");
    assert!(close(m.time_under_percent, 30.0) && close(m.time_over_percent, 40.0), "{m:?}");
    assert!(close(m.jitter, 8.0 / 20.0), "{m:?}");
    // From 7 to 9, from 14 to 17, and from 19 on.
    assert!(close(m.recovery_mean_seconds, 2.0) && close(m.recovery_longest_seconds, 3.0), "{m:?}");
    // Two of five for two seconds, three of five for two, one of three for one, two of four for one.
    let under = 2.0 * 0.4 + 2.0 * 0.6 + 1.0 / 3.0 + 0.5;
    assert!(close(m.under_percent, 100.0 * under / 20.0), "{m:?}");
}

#[test]
fn traces_are_read_with_times_or_steps_and_refused_with_the_line() {
    let steps = Trace::parse("step,requests\n0,60\n1,120\n2,0\n", 60_000).unwrap();
    assert_eq!((steps.at(0), steps.at(60_000), steps.at(179_999), steps.seconds()), (1.0, 2.0, 0.0, 180.0));
    assert_eq!((steps.peak(), steps.mean()), (2.0, 1.0));
    let times = Trace::parse("1998-06-19T00:00:00Z,600\n1998-06-19T00:01:00Z,0", 1).unwrap();
    assert_eq!((times.at(times.start_ms()), times.seconds()), (10.0, 120.0));
    assert!(close(Trace::parse("1700000000,5\n1700000005,5", 60_000).unwrap().at(1_700_000_007_000), 1.0));
    for (text, word) in [
        ("", "no rows"),
        ("a,b", "no rows"),
        ("0,1\nx,2", "line 2"),
        ("0,1\n1,-2", "line 2"),
        ("0,1\n1,NaN", "line 2"),
        ("0,1\n1,1e16", "line 2"),
        ("1,1\n1,2", "not after"),
    ] {
        let error = Trace::parse(text, 60_000).unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
    }
}

/// Ten minutes each at 10, 200 and 10 requests per second.
fn surge() -> Trace {
    let rows: Vec<_> =
        (0..30).map(|minute| format!("{minute},{}", if minute / 10 == 1 { 12_000 } else { 600 })).collect();
    Trace::parse(&rows.join("\n"), 60_000).unwrap()
}

fn rows(names: &[&str]) -> Vec<Row> {
    let model = Model { capacity: 20.0, start_up_ms: 15_000, interval_ms: 10_000, target: 70.0 };
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let candidates = simulate::candidates(&names, &simulate::usual_policy().unwrap(), &surge(), &model).unwrap();
    simulate::run(candidates, &surge(), &model, &|_| {})
}

#[test]
fn a_fixed_count_for_the_peak_loses_nothing_and_one_for_the_mean_does() {
    let rows = rows(&[]);
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["static-peak", "static-mean"]);
    let (peak, mean) = (rows[0].measures, rows[1].measures);
    assert_eq!((peak.lost_percent, peak.time_under_percent, peak.actions), (0.0, 0.0, 0));
    assert!(mean.lost_percent > 10.0 && mean.replica_hours < peak.replica_hours, "{mean:?}");
    // 200 / (20 × 70 %) are 15 replicas for half an hour.
    assert!(close(peak.replica_hours, 7.5), "{peak:?}");
}

#[test]
fn every_policy_follows_a_surge_up_and_down_and_the_faster_lose_less() {
    let rows = rows(&["linear", "exponential", "target", "hpa", "predictive"]);
    let named = |name: &str| rows.iter().find(|row| row.name == name).unwrap().measures;
    for row in rows.iter().filter(|row| !row.name.starts_with("static")) {
        let supply = row.run.supply.changes();
        let most = supply.iter().map(|step| step.1).max().unwrap();
        assert!((10..=30).contains(&most) && supply.last().unwrap().1 < most, "{}: {supply:?}", row.name);
        assert!(row.measures.replica_hours < named("static-peak").replica_hours * 1.5, "{}", row.name);
    }
    assert!(named("target").lost_percent < named("linear").lost_percent);
    assert!(named("exponential").lost_percent < named("linear").lost_percent);
    assert!(named("predictive").lost_percent <= named("linear").lost_percent);
}

#[test]
fn the_whole_trace_passes_once_for_every_policy() {
    let model = Model { capacity: 20.0, start_up_ms: 0, interval_ms: 7_000, target: 70.0 };
    let candidates =
        simulate::candidates(&["hpa".to_owned()], &simulate::usual_policy().unwrap(), &surge(), &model).unwrap();
    let passed = std::cell::Cell::new(0);
    let rows = simulate::run(candidates, &surge(), &model, &|ms| passed.set(passed.get() + ms));
    assert_eq!(passed.get(), rows.len() as u64 * 30 * 60_000);
}

#[test]
fn the_same_trace_gives_the_same_report() {
    let (first, second) = (rows(&["predictive"]), rows(&["predictive"]));
    assert_eq!(report::table(&first), report::table(&second));
    let chart = report::svg(&first, surge().seconds());
    assert_eq!(chart, report::svg(&second, surge().seconds()));
    assert_eq!(chart.matches("<path").count(), 3 * first.len());
    assert!(!chart.contains("NaN") && chart.ends_with("</svg>\n"));
}

#[test]
fn an_unknown_policy_is_refused_with_the_known_ones() {
    let model = Model { capacity: 1.0, start_up_ms: 0, interval_ms: 1_000, target: 70.0 };
    let base = simulate::usual_policy().unwrap();
    let error = simulate::candidates(&["magic".to_owned()], &base, &surge(), &model).unwrap_err();
    assert!(error.contains("linear, exponential, target, predictive, hpa"), "{error}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]

    #[test]
    fn a_load_that_stands_still_comes_to_rest_in_the_model_too(
        load in 1.0..900.0_f64, start in 1_u64..60, start_up_ms in 0_u64..60_000, interval_ms in 5_000_u64..60_000
    ) {
        let trace = Trace::parse(&format!("0,{}\n1,{0}\n", load * 7_200.0), 7_200_000).unwrap();
        let model = Model { capacity: 20.0, start_up_ms, interval_ms, target: 70.0 };
        let names = ["linear", "exponential", "target", "predictive", "hpa"].map(str::to_owned);
        let mut candidates = simulate::candidates(&names, &simulate::usual_policy().unwrap(), &trace, &model).unwrap();
        candidates.iter_mut().for_each(|candidate| candidate.start = start);
        for row in simulate::run(candidates, &trace, &model, &|_| {}) {
            let turns = row.run.actions.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
            // Doubling may overshoot once.
            proptest::prop_assert!(turns <= 1, "{}: {:?}", row.name, row.run.actions);
            // 60 replicas to come and go one by one, each at its cooldown of two minutes.
            let last = row.run.actions.last().map_or(0.0, |action| action.0);
            proptest::prop_assert!(last < 3.0 * 3_600.0, "{}: {:?}", row.name, row.run.actions);
        }
    }
}

proptest::proptest! {
    #[test]
    fn a_trace_of_any_text_is_refused_or_makes_sense(
        rows in proptest::collection::vec(("[0-9]{0,20}|.{0,4}", "[0-9.e-]{0,6}|.{0,4}"), 0..6), step_ms in proptest::prelude::any::<u64>()
    ) {
        let lines: Vec<_> = rows.iter().map(|(time, requests)| format!("{time},{requests}")).collect();
        if let Ok(trace) = Trace::parse(&lines.join("\n"), step_ms) {
            let (peak, mean) = (trace.peak(), trace.mean());
            proptest::prop_assert!(peak.is_finite() && mean.is_finite() && 0.0 <= mean && mean <= peak * 1.000_001, "{mean} {peak}");
            proptest::prop_assert!(trace.start_ms() < trace.end_ms() && trace.seconds() > 0.0, "{trace:?}");
        }
    }
}
