//! Killed without warning at any moment, and started again: what the label says is all that
//! is left, and it is enough.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use autoscaler::{scaling::Step, state::State};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    engine::FakeEngine,
    program::now_ms,
    rounds::labels,
    snapshots::{FakeCollector, snapshot},
};

const COOLDOWN_MS: u64 = 1_000;

/// The program in a process of its own, which is killed when this is dropped.
struct Victim {
    process: Child,
    started_ms: u64,
}

impl Victim {
    fn start(engine: &FakeEngine, collector: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autoscaler"));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let settings = [
            ("BIND_ADDRESS", "127.0.0.1"),
            ("PORT", &free),
            ("STACK_NAME", "s"),
            ("CHECK_INTERVAL", "0.1"),
            ("COOLDOWN_PERIOD", "1"),
            ("COLLECTOR_URL", collector),
            ("DOCKER_SOCKET", engine.socket.to_str().unwrap()),
        ];
        command.env_clear().envs(settings).stdout(Stdio::null()).stderr(Stdio::null());
        Self { started_ms: now_ms(), process: command.spawn().unwrap() }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Keeps the collector's snapshot fresh: a load of so many percent of one replica, shared out.
fn load(percent: f64, engine: FakeEngine, collector: FakeCollector) -> (DropGuard, FakeCollector) {
    let stop = CancellationToken::new();
    let (stopped, guard) = (stop.clone(), stop.drop_guard());
    let feed = collector.clone();
    tokio::spawn(async move {
        while !stopped.is_cancelled() {
            let n = engine.replicas("s_web");
            feed.say(&snapshot("s_web", now_ms(), &vec![percent / n as f64; usize::try_from(n).unwrap()]));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    (guard, collector)
}

/// Kills and restarts at moments spread over the rounds until the count is reached.
async fn until(
    wanted: u64,
    engine: &FakeEngine,
    collector: &str,
    lives_ms: impl Iterator<Item = u64>,
    starts: &mut Vec<u64>,
) {
    for life in lives_ms {
        let victim = Victim::start(engine, collector);
        starts.push(victim.started_ms);
        tokio::time::sleep(Duration::from_millis(life)).await;
        drop(victim);
        if engine.replicas("s_web") == wanted {
            return;
        }
    }
    panic!("{} is not {wanted}", engine.replicas("s_web"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_neither_doubles_a_step_nor_forgets_a_cooldown_nor_shrinks_on_first_sight() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_web", 2, labels());
    let url = collector.url();
    let mut starts = Vec::new();
    // Lives from 30 ms to half a second: in the middle of the start, of a round, of a write.
    let short = (0..60_u64).map(|i| 30 + i * 137 % 470);
    let (busy, collector) = load(600.0, engine.clone(), collector);
    until(5, &engine, &url, short, &mut starts).await;
    drop(busy);
    let (_idle, _collector) = load(1.0, engine.clone(), collector);
    let longer = (0..60_u64).map(|i| 200 + i * 331 % 1_500);
    until(2, &engine, &url, longer, &mut starts).await;

    let written = engine.inner.lock().unwrap().written.clone();
    let steps: Vec<Step> = written
        .iter()
        .map(|spec| {
            let state = json!({"swarm.autoscaler.state": spec["Labels"]["swarm.autoscaler.state"]});
            let step = State::read(&serde_json::from_value(state).unwrap()).unwrap().step.unwrap();
            assert_eq!(spec["Mode"]["Replicated"]["Replicas"], step.to);
            step
        })
        .collect();
    assert_eq!(
        steps.iter().map(|s| (s.from, s.to)).collect::<Vec<_>>(),
        [(2, 3), (3, 4), (4, 5), (5, 4), (4, 3), (3, 2)]
    );
    for pair in steps.windows(2).filter(|pair| pair[1].to < pair[1].from) {
        assert!(pair[1].at_ms - pair[0].at_ms >= COOLDOWN_MS, "{pair:?}");
    }
    for step in steps.iter().filter(|step| step.to < step.from) {
        let seen_since = starts.iter().filter(|started| **started <= step.at_ms).max().unwrap();
        assert!(step.at_ms - seen_since >= COOLDOWN_MS, "{step:?} after a start at {seen_since}");
    }
    assert!(starts.len() > steps.len(), "too few deaths to prove anything: {starts:?}");
}
