use std::{sync::Arc, time::Duration};

use collector::{
    agent::{
        self,
        report::{Report, TaskSample},
    },
    clock,
    fetch::Fetcher,
    round::Rounds,
    serve,
};
use shared::snapshot::Snapshot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::{collector, eventually};

/// A collector's pages over a channel that the test feeds, and their base address.
async fn pages(started_ms: u64) -> (watch::Sender<Option<Arc<Snapshot>>>, String) {
    let (publish, latest) = watch::channel(None);
    let pages = serve::Pages {
        latest,
        started_ms,
        max_age: Duration::from_secs(15),
        stack: "s".into(),
        capacity: watch::channel(None).1,
    };
    let listener = shared::serve::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = serve::router(pages, shared::prom::install().unwrap());
    tokio::spawn(shared::serve::serve(listener, router, shared::serve::Limits::default(), CancellationToken::new()));
    (publish, base)
}

async fn get(url: String) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn before_the_first_round_there_is_a_problem_and_no_zero() {
    let (_publish, base) = pages(clock::unix_ms()).await;
    for page in ["snapshot", "upstream", "capacity"] {
        let (status, body) = get(format!("{base}/{page}")).await;
        assert_eq!(status, 503);
        assert!(body.contains("no collection round has closed yet"), "{body}");
    }
    let (status, metrics) = get(format!("{base}/metrics")).await;
    assert!(status == 200 && metrics.contains("process_") && !metrics.contains("api_"), "{metrics}");
    let (status, health) = get(format!("{base}/health")).await;
    assert!(status == 200 && health.contains("\"starting\""), "{health}");
}

#[tokio::test]
async fn a_failing_source_degrades_and_only_rounds_that_stopped_are_unhealthy() {
    let (publish, base) = pages(clock::unix_ms()).await;
    let fresh = Rounds::new(&collector(&[])).unwrap().run_once().await;
    publish.send_replace(Some(fresh.clone()));
    let (status, health) = get(format!("{base}/health")).await;
    assert!(status == 200 && health.contains("\"degraded\"") && health.contains("\"swarm\""), "{health}");

    let stopped = Snapshot { taken_at_ms: clock::unix_ms() - 20_000, ..Snapshot::clone(&fresh) };
    publish.send_replace(Some(Arc::new(stopped)));
    let (status, health) = get(format!("{base}/health")).await;
    assert!(status == 503 && health.contains("\"stalled\""), "{health}");

    let (_publish, base) = pages(clock::unix_ms() - 20_000).await;
    assert_eq!(get(format!("{base}/health")).await.0, 503, "a first round that never came");
}

#[tokio::test]
async fn the_snapshot_is_the_contract_and_an_unknown_upstream_is_null() {
    let (publish, base) = pages(clock::unix_ms()).await;
    let snapshot = Rounds::new(&collector(&[])).unwrap().run_once().await;
    publish.send_replace(Some(snapshot.clone()));
    let fetcher = Fetcher::tcp(Duration::from_secs(5), 1 << 20).unwrap();
    assert_eq!(fetcher.json::<Snapshot>(&format!("{base}/snapshot")).await.unwrap(), *snapshot);
    let upstream: serde_json::Value = fetcher.json(&format!("{base}/upstream")).await.unwrap();
    assert_eq!(upstream["tasks"], serde_json::Value::Null);
    assert_eq!(upstream["capacity"], serde_json::Value::Null);
    assert_eq!(upstream["limit"], serde_json::Value::Null);
}

#[tokio::test]
async fn an_agent_whose_engine_fell_silent_stops_repeating_its_last_samples() {
    let (publish, latest) = watch::channel(None);
    let router = agent::pages::router(latest, Duration::from_millis(500), shared::prom::install().unwrap());
    let listener = shared::serve::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shared::serve::serve(listener, router, shared::serve::Limits::default(), CancellationToken::new()));
    assert_eq!(get(format!("{base}/stats")).await.0, 503, "before the first round");

    let now_ms = clock::unix_ms();
    let sample = TaskSample {
        container_id: "c".into(),
        sampled_at_ms: now_ms,
        cpu: None,
        memory_bytes: Some(1),
        cpu_limit_cores: None,
        memory_limit_bytes: None,
        paused: false,
    };
    let tasks = [("t".to_owned(), sample)].into();
    publish.send_replace(Some(Arc::new(Report { interval_ms: 500, taken_at_ms: now_ms, told_at_ms: now_ms, tasks })));
    let fetcher = Fetcher::tcp(Duration::from_secs(5), 1 << 20).unwrap();
    let told = async || fetcher.json::<Report>(&format!("{base}/stats")).await.unwrap();
    let first = told().await;
    assert_eq!((first.tasks.len(), first.taken_at_ms), (1, now_ms));
    assert!(get(format!("{base}/health")).await.1.contains("\"ok\""));
    eventually("its samples are gone", async || told().await.tasks.is_empty().then_some(())).await;
    assert!(clock::unix_ms() > now_ms + 1_500, "not before three intervals");
    let (status, health) = get(format!("{base}/health")).await;
    assert!(status == 200 && health.contains("\"stale\""), "{health}");
}
