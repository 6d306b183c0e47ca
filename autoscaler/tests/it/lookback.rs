//! The program with a history: what it learnt and decided is there in its next life, however
//! the last one ended, and a history that cannot be kept stops nothing.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use autoscaler::{
    history::{Keeper, Limits, Store, follow::follow, keeper::Query, store::FILE},
    scaling::{Forecast, Metric},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    engine::FakeEngine,
    history::{Directory, batch, point},
    program::{Running, now_ms},
    rounds::{START, Stage, labels},
    snapshots::{FakeCollector, snapshot},
};

#[tokio::test]
async fn decisions_and_readings_of_a_former_life_are_shown() {
    let (engine, collector, directory) = (FakeEngine::start().await, FakeCollector::start().await, Directory::new());
    engine.add("s_past", 2, labels());
    let more = [("HISTORY_DIR", directory.0.to_str().unwrap())];
    let begun = now_ms();
    let path = format!("/api/v1/history?service=past&from={begun}&to={}&points=2000", begun + 3_600_000);
    for life in [1, 2] {
        collector.say(&snapshot("s_past", now_ms(), &[90.0, 90.0]));
        let running = Running::start_with(&engine, &collector, &more).await;
        let decisions = "/api/v1/decisions?service=past&action=up";
        let events = running.until(decisions, |answer| answer["decisions"][0]["applied"] == true).await;
        assert_eq!(events["decisions"].as_array().unwrap().len(), 1, "the first life's decision, once: {events}");
        running.until("/health", |health| health["status"] == "ok").await;
        let history = recorded(&running, &path).await;
        assert_eq!((history["service"].as_str(), history["step_ms"].as_u64()), (Some("s_past"), Some(2_000)));
        assert_eq!(history["policy"]["bounds"]["max"], 5);
        if life == 1 {
            let first = &history["points"][0];
            assert_eq!((first["replicas"].as_u64(), first["desired"].as_u64()), (Some(2), Some(3)), "{first}");
            assert_eq!(first["readings"]["cpu"], 90.0);
            assert_eq!(first["work"]["cpu"], json!({"total": 0.9, "whole": 0.5}));
            assert!(first["floor"].is_null() && first["at_ms"].as_u64().unwrap() >= begun);
        }
        running.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), running.program).await.unwrap().unwrap();
    }
    let store = Store::open(&directory.0, Limits::default()).unwrap();
    assert_eq!(store.reader().unwrap().points("s_past", 0, u64::MAX).unwrap().len(), 2, "one of each life");
}

/// A part of the history, as soon as there is any.
async fn recorded(running: &Running, path: &str) -> Value {
    let asked = async {
        loop {
            let (status, text) = running.call(Method::GET, path).await;
            if status == 200 {
                return serde_json::from_str(&text).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap()
}

#[tokio::test]
async fn a_question_about_the_past_that_makes_no_sense_is_refused() {
    let (engine, collector, directory) = (FakeEngine::start().await, FakeCollector::start().await, Directory::new());
    let with = Running::start_with(&engine, &collector, &[("HISTORY_DIR", directory.0.to_str().unwrap())]).await;
    let without = Running::start(&engine, &collector).await;
    for (running, query, status, word) in [
        (&with, "", 400, "service"),
        (&with, "service=web&from=yesterday", 400, "Unix milliseconds"),
        (&with, "service=web&since=1", 400, "unknown field"),
        (&with, "service=web&from=2&to=2", 400, "from=2, to=2"),
        (&with, "service=web&points=0", 400, "from 1 to 2000"),
        (&with, "service=web&points=2001", 400, "from 1 to 2000"),
        (&with, "service=none", 404, "nothing is recorded"),
        (&without, "service=web", 404, "HISTORY_DIR is not set"),
    ] {
        let (got, text) = running.call(Method::GET, &format!("/api/v1/history?{query}")).await;
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((got, problem["status"].as_u64()), (status, Some(u64::from(status))), "{query}: {text}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{query}: {text}");
    }
    with.stop.cancel();
    without.stop.cancel();
}

/// The forecast in the rounds of a life that begins at `start`, with a load that keeps rising.
async fn forecast(stage: &mut Stage, past: Option<&Keeper>, start: u64, rounds: u64) -> Option<Forecast> {
    for round in 0..rounds {
        let at_ms = start + round * 30_000;
        let cores = 0.3 + (at_ms - START) as f64 / 30_000.0 * 0.002;
        let percent = 100.0 * cores / 0.5 / stage.engine.replicas("s_web") as f64;
        stage.round(at_ms, percent).await;
        if let Some(past) = past {
            // An answer means that everything asked for before it is answered.
            let query = Query { names: vec!["s_web".into()], from_ms: 0, to_ms: u64::MAX, most: 1 };
            let _ = past.query(query).await;
        }
    }
    let detail = stage.board.service("s_web", None).unwrap().detail.unwrap();
    detail.decision.outlooks.get(&Metric::Cpu).map(|outlook| outlook.forecast)
}

#[tokio::test]
async fn a_forecast_goes_on_after_a_restart_instead_of_beginning_anew() {
    let directory = Directory::new();
    let mut stage = Stage::new().await;
    let mut predictive = labels();
    predictive["swarm.autoscaler.algorithm"] = json!("predictive");
    stage.engine.add("s_web", 2, predictive);
    let mut before = None;
    for (life, rounds) in [(0, 80), (80, 2)] {
        stage.restart();
        let keeper = Keeper::start(directory.place(Limits::default()), Arc::clone(&stage.board), START).unwrap();
        stage.rounder = stage.rounder.with_past(Some(keeper.clone()));
        let following = tokio::spawn(follow(Arc::clone(&stage.board), keeper.clone()));
        tokio::task::yield_now().await;
        let forecast = forecast(&mut stage, Some(&keeper), START + life * 30_000, rounds).await.unwrap();
        let skill = forecast.skill.unwrap_or_else(|| panic!("nothing is known after {rounds} rounds"));
        assert!(skill > 0.0, "{forecast:?}");
        if let Some(before) = before.replace(skill) {
            assert!((skill - before).abs() < 0.1, "{before} before, {skill} after");
        }
        stage.board.close();
        following.await.unwrap();
    }
    stage.restart();
    let anew = forecast(&mut stage, None, START + 82 * 30_000, 2).await.unwrap();
    assert_eq!(anew.skill, None, "without a history two rounds teach nothing");
}

/// The program in a process of its own, killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    address: String,
}

impl Process {
    /// With more settings, and no room for files larger than so many KiB.
    pub(crate) fn start(
        engine: &FakeEngine,
        collector: &FakeCollector,
        more: &[(&str, &str)],
        most_kib: Option<u64>,
    ) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let limit = most_kib.map_or("unlimited".to_owned(), |kib| (2 * kib).to_string());
        // The shell counts in halves of a KiB; without the signal, writing fails as on a full disk.
        let script = r#"trap "" XFSZ; ulimit -f "$1"; exec "$2""#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh", &limit, env!("CARGO_BIN_EXE_autoscaler")]);
        let settings = [
            ("BIND_ADDRESS", "127.0.0.1"),
            ("PORT", &free),
            ("STACK_NAME", "s"),
            ("CHECK_INTERVAL", "0.1"),
            ("COLLECTOR_URL", &collector.url()),
            ("DOCKER_SOCKET", engine.socket.to_str().unwrap()),
        ];
        command.env_clear().envs(settings).envs(more.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), address: format!("http://127.0.0.1:{free}") }
    }

    async fn until(&self, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let asked = async {
            loop {
                if let Ok(response) = reqwest::get(format!("{}{path}", self.address)).await {
                    let text = response.text().await.unwrap();
                    if wanted(&text) {
                        return text;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap_or_else(|_| panic!("{path}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_loses_nothing_that_was_written() {
    let (engine, collector, directory) = (FakeEngine::start().await, FakeCollector::start().await, Directory::new());
    let mut dry = labels();
    dry["swarm.autoscaler.dry-run"] = json!("true");
    engine.add("s_web", 2, dry);
    // A load that changes its mind: every round decides something else, which is written at once.
    let feed = collector.clone();
    let feeding = tokio::spawn(async move {
        for percent in [50.0, 95.0].into_iter().cycle() {
            feed.say(&snapshot("s_web", now_ms(), &[percent; 2]));
            tokio::time::sleep(Duration::from_millis(70)).await;
        }
    });
    let (mut points, mut decisions) = (0, 0);
    for life in 0..30_u64 {
        let process = Process::start(&engine, &collector, &[("HISTORY_DIR", directory.0.to_str().unwrap())], None);
        // From the opening of the file to the middle of the rounds.
        tokio::time::sleep(Duration::from_millis(15 + life * 173 % 450)).await;
        drop(process);
        if directory.0.join(FILE).exists() {
            let store = Store::open(&directory.0, Limits::default()).unwrap();
            let reader = store.reader().unwrap();
            let now = reader.points("s_web", 0, u64::MAX).unwrap().len();
            let decided = reader.decisions(usize::MAX).unwrap().len();
            assert!(now >= points && decided >= decisions, "life {life}: {points} → {now}, {decisions} → {decided}");
            (points, decisions) = (now, decided);
        }
        assert!(!directory.0.join("history.redb.broken").exists(), "life {life}");
    }
    feeding.abort();
    assert!(points > 5 && decisions > 10, "{points} points and {decisions} decisions prove nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_is_told_and_stops_no_scaling() {
    let (engine, collector, directory) = (FakeEngine::start().await, FakeCollector::start().await, Directory::new());
    engine.add("s_web", 2, labels());
    let mut store = Store::open(&directory.0, Limits::default()).unwrap();
    store.append(&batch("s_web", (0..300).map(|i| point(START + i * 30_000, 2, 0.5)))).unwrap();
    drop(store);
    let kib = std::fs::metadata(directory.0.join(FILE)).unwrap().len() / 1024;
    // There is room for what is there, and none for what a few hundred services add.
    (0..400).for_each(|number| engine.add(&format!("s_{number}"), 2, labels()));
    collector.say(&snapshot("s_web", now_ms(), &[90.0, 90.0]));
    let process = Process::start(&engine, &collector, &[("HISTORY_DIR", directory.0.to_str().unwrap())], Some(kib));
    let health = process.until("/health", |text| text.contains("no history is kept")).await;
    assert!(health.contains("degraded"), "{health}");
    process.until("/api/v1/services/web", |text| text.contains(r#""replicas":3"#)).await;
    let metrics = process.until("/metrics", |text| text.contains("autoscaler_history_kept 0")).await;
    let lost = metrics.lines().find_map(|line| line.strip_prefix("autoscaler_history_points_lost_total "));
    assert!(lost.unwrap().parse::<u64>().unwrap() >= 400, "{lost:?}");
    drop(process);
    let store = Store::open(&directory.0, Limits::default()).unwrap();
    assert_eq!(store.reader().unwrap().points("s_web", 0, START * 2).unwrap().len(), 300);
}

#[tokio::test]
async fn a_place_that_is_no_directory_is_told_and_stops_no_scaling() {
    let (engine, collector, directory) = (FakeEngine::start().await, FakeCollector::start().await, Directory::new());
    engine.add("s_homeless", 2, labels());
    collector.say(&snapshot("s_homeless", now_ms(), &[90.0, 90.0]));
    std::fs::write(directory.0.join("file"), "").unwrap();
    let within = directory.0.join("file/within");
    let running = Running::start_with(&engine, &collector, &[("HISTORY_DIR", within.to_str().unwrap())]).await;
    let health = running.until("/health", |health| health["why"].to_string().contains("no history is kept")).await;
    assert!(health["status"] == "degraded" && health["why"].to_string().contains("file/within"), "{health}");
    running.until("/api/v1/services", |list| list["services"][0]["replicas"] == 3).await;
    let (status, text) = running.call(Method::GET, "/api/v1/history?service=homeless").await;
    assert!(status == 503 && text.contains("the log tells why"), "{text}");
    running.stop.cancel();
}
