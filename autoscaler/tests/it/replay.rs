//! `autoscaler replay`, from the file, from an answer of the API, and from a running autoscaler.

use autoscaler::{
    history::{Limits, Recording, Store},
    scaling::Metric,
    simulate::{Model, recorded::Load},
};
use serde_json::Value;

use crate::{
    commands::{autoscaler, beside},
    engine::FakeEngine,
    history::{Directory, batch, point, profile},
    program::{Running, now_ms},
    rounds::START,
    snapshots::FakeCollector,
};

const HOUR_MS: u64 = 3_600_000;

/// Six hours with 4 replicas of half a core each: two quiet, two busy, two quiet.
fn record(directory: &Directory, start_ms: u64) {
    let points = (0..720).map(|i| {
        let cores = if i / 240 == 1 { 2.4 } else { 0.6 };
        point(start_ms + i * 30_000, 4, cores)
    });
    let mut store = Store::open(&directory.0, Limits::default()).unwrap();
    store.append(&batch("s_web", points)).unwrap();
}

fn replay(args: &[&str]) -> (bool, String) {
    let output = autoscaler(&[&["replay"], args].concat(), &[("RUST_BACKTRACE", "0")], "");
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test]
async fn file_answer_and_running_autoscaler_tell_the_same() {
    let directory = Directory::new();
    record(&directory, now_ms() - 7 * HOUR_MS);
    let file = directory.0.join("history.redb");
    let (ok, from_file) = replay(&["web", "--file", file.to_str().unwrap()]);
    assert!(ok, "{from_file}");
    assert!(
        from_file.starts_with("s_web: 6.0 hours, 720 points, cpu peak 2.40 and mean 1.20, 0.50 per replica\n"),
        "{from_file}"
    );
    assert!(from_file.contains("for 33.3 % of the time the replicas had no more to give"), "{from_file}");
    let rows: Vec<_> = from_file.lines().skip_while(|line| !line.starts_with("policy")).collect();
    let names: Vec<_> = rows.iter().filter_map(|row| row.split(' ').next()).collect();
    let policies = ["linear", "exponential", "target", "predictive", "hpa", "static-peak", "static-mean"];
    assert_eq!(names, [&["policy", "recorded"], &policies[..]].concat());
    // 2.4 cores at 70 % of half a core each are 7 replicas: 4 were too few for two of six hours.
    let recorded: Vec<_> = rows[1].split_whitespace().collect();
    assert_eq!((recorded[3], recorded[7], recorded[8]), ("33.33", "24.0", "0"), "{}", rows[1]);

    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    let more = [("HISTORY_DIR", directory.0.to_str().unwrap())];
    let running = Running::start_with(&engine, &collector, &more).await;
    let (ok, locked) = replay(&["web", "--file", file.to_str().unwrap()]);
    assert!(!ok && locked.contains("another process has it open"), "{locked}");
    let (code, from_url) = beside(&["replay", "web"], vec![("PORT", running.address.port().to_string())]).await;
    assert_eq!((code, from_url.as_str()), (Some(0), from_file.as_str()));
    let path = format!("/api/v1/history?service=web&from={}&points=2000", now_ms() - 8 * HOUR_MS);
    let answer = directory.0.join("answer.json");
    std::fs::write(&answer, running.get(&path).await.to_string()).unwrap();
    let (_, from_answer) = replay(&["web", "--file", answer.to_str().unwrap()]);
    assert_eq!(from_answer, from_file);
    let (code, unknown) = beside(&["replay", "none"], vec![("PORT", running.address.port().to_string())]).await;
    assert!(code == Some(1) && unknown.contains("nothing is recorded of such a service"), "{unknown}");
    running.stop.cancel();
}

#[test]
fn policies_of_ones_own_stand_beside_what_was() {
    let directory = Directory::new();
    record(&directory, START);
    let path = |name: &str| directory.0.join(name).to_str().unwrap().to_owned();
    let policy = |most: u64| {
        format!(
            r#"{{"bounds": {{"min": 2, "max": {most}}}, "algorithm": "target", "metrics": {{"cpu": {{"up": 70, "down": 20}},
                    "memory": {{"up": 80, "down": 40}}}}}}"#
        )
    };
    std::fs::write(path("eager.json"), policy(20)).unwrap();
    std::fs::write(path("thrifty.json"), policy(3)).unwrap();
    let (file, eager, thrifty, chart) =
        (path("history.redb"), path("eager.json"), path("thrifty.json"), path("chart.svg"));
    let own = ["web", "--file", &file, "--policy", &eager, "--policy", &thrifty, "--svg", &chart, "--json"];
    let (ok, text) = replay(&own);
    assert!(ok, "{text}");
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["recorded", "eager", "thrifty", "static-peak", "static-mean"]);
    let value = |row: usize, name: &str| rows[row][name].as_f64().unwrap();
    assert!(value(1, "time_under_percent") < 2.0 && value(2, "time_under_percent") > 30.0, "{text}");
    assert!(value(2, "replica_hours") < value(1, "replica_hours"), "{text}");
    assert_eq!(std::fs::read_to_string(&chart).unwrap().matches("<text").count(), rows.len());
    let (_, both) = replay(&[&own[..], &["--algorithm", "linear"]].concat());
    assert_eq!(serde_json::from_str::<Vec<Value>>(&both).unwrap().len(), rows.len() + 1);
}

#[test]
fn what_cannot_be_replayed_is_refused_with_the_reason() {
    let directory = Directory::new();
    record(&directory, START);
    let file = directory.0.join("history.redb");
    let file = file.to_str().unwrap();
    for (args, word) in [
        (vec!["shop", "--file", file], "shop: there are s_web"),
        (vec!["web", "--file", "/nowhere"], "/nowhere"),
        (vec!["web", "--file", file, "--days", "0"], "--days 0"),
        (vec!["web", "--file", file, "--algorithm", "magic"], "--algorithm magic"),
        (vec!["web", "--file", file, "--url", "http://localhost"], "cannot be used with"),
        (vec!["web", "--url", "http://127.0.0.1:1"], "does not answer: Connection refused"),
        (vec!["web", "--file", env!("CARGO_MANIFEST_PATH")], "cannot be used"),
    ] {
        let (ok, text) = replay(&args);
        assert!(!ok && text.contains(word), "{args:?}: {text}");
    }
    let (ok, text) = replay(&["web", "--file", file, "--days", "0.1"]);
    assert!(ok && text.starts_with("s_web: 2.4 hours"), "{text}");
    let (_, help) = replay(&["--help"]);
    assert!(help.contains("What it cannot: the work is that of the system as it was."), "{help}");
}

#[test]
fn gaps_and_exhausted_replicas_are_told_apart_from_what_was_measured() {
    let recording = |points: Vec<_>| Recording {
        service: "web".into(),
        from_ms: START,
        to_ms: START + HOUR_MS,
        step_ms: 30_000,
        profile: Some(profile()),
        points,
    };
    // Ten minutes, a gap of two hours, and ten minutes in full use.
    let mut points: Vec<_> = (0..20).map(|i| point(START + i * 30_000, 2, 0.5)).collect();
    points.extend((0..20).map(|i| point(START + 2 * HOUR_MS + 600_000 + i * 30_000, 2, 0.98)));
    let load = Load::of(&recording(points.clone())).unwrap();
    assert_eq!((load.metric, load.whole, load.gaps_ms), (Metric::Cpu, Some(0.5), 2 * HOUR_MS + 30_000));
    let share = 100.0 * 600.0 / load.trace.seconds();
    assert!((load.saturated_percent - share).abs() < 1e-9, "{} is not {share}", load.saturated_percent);
    // Recorded are the counts that were asked for; what was added serves when it has started.
    points[5].replicas = 3;
    points[6].replicas = 3;
    let model = Model { capacity: 0.5, start_up_ms: 12_000, interval_ms: 30_000, target: 70.0 };
    let was = Load::of(&recording(points.clone())).unwrap().as_it_was(&model);
    assert_eq!(was.run.supply.changes(), [(0.0, 2), (162.0, 3), (210.0, 2)]);
    assert_eq!((was.measures.actions, was.run.actions[0]), (2, (150.0, true)));
    points.reverse();
    assert!(Load::of(&recording(points)).unwrap_err().contains("order"));
    assert!(Load::of(&recording(Vec::new())).unwrap_err().contains("no work is recorded"));
}
