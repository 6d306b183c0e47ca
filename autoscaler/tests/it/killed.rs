//! Killed without warning at any moment, and started again, also while another one still runs
//! elsewhere: what the label says is all that is left, and it is enough.

use std::{
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use autoscaler::{scaling::Step, state::State};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    engine::FakeEngine,
    program::now_ms,
    rounds::labels,
    snapshots::{FakeCollector, snapshot},
};

const COOLDOWN_MS: u64 = 800;

/// Between two snapshots: rarer than rounds, so that most rounds see one that they know.
const SAMPLING: Duration = Duration::from_millis(150);

/// The program in a process of its own, which is killed when this is dropped.
struct Victim {
    process: Child,
    started_ms: u64,
    lives: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.lives.lock().unwrap().push((self.started_ms, now_ms()));
    }
}

/// One service, what kills and starts its autoscaler, and what was seen of it.
struct Scene {
    engine: FakeEngine,
    collector: FakeCollector,
    random: StdRng,
    /// From when to when each process lived.
    lives: Arc<Mutex<Vec<(u64, u64)>>>,
    /// When each snapshot was taken.
    samples: Arc<Mutex<Vec<u64>>>,
}

impl Scene {
    fn start(&self) -> Victim {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autoscaler"));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let cooldown = (COOLDOWN_MS as f64 / 1000.0).to_string();
        let settings = [
            ("BIND_ADDRESS", "127.0.0.1"),
            ("PORT", &free),
            ("STACK_NAME", "s"),
            ("CHECK_INTERVAL", "0.1"),
            ("COOLDOWN_PERIOD", &cooldown),
            ("COLLECTOR_URL", &self.collector.url()),
            ("DOCKER_SOCKET", self.engine.socket.to_str().unwrap()),
        ];
        command.env_clear().envs(settings).stdout(Stdio::null()).stderr(Stdio::null());
        Victim { started_ms: now_ms(), process: command.spawn().unwrap(), lives: Arc::clone(&self.lives) }
    }

    /// Keeps the collector's snapshot fresh: a load of so many percent of one replica, shared out.
    fn load(&self, percent: f64) -> DropGuard {
        let stop = CancellationToken::new();
        let (stopped, guard) = (stop.clone(), stop.drop_guard());
        let (engine, collector, samples) = (self.engine.clone(), self.collector.clone(), Arc::clone(&self.samples));
        tokio::spawn(async move {
            while !stopped.is_cancelled() {
                let (n, now) = (engine.replicas("s_web"), now_ms());
                let each = vec![percent / n as f64; usize::try_from(n).unwrap()];
                samples.lock().unwrap().push(now);
                collector.say(&snapshot("s_web", now, &each));
                tokio::time::sleep(SAMPLING).await;
            }
        });
        guard
    }

    /// Kills and restarts at random moments under a load until the count is reached.
    async fn until(&mut self, percent: f64, lives_ms: std::ops::Range<u64>, reached: fn(u64) -> bool) {
        let _load = self.load(percent);
        for _ in 0..100 {
            let mut victim = self.start();
            self.pass(lives_ms.clone()).await;
            if self.random.random_bool(0.3) {
                // Elsewhere another one is started while this one is still there.
                let other = self.start();
                self.pass(0..200).await;
                victim = other;
                self.pass(lives_ms.clone()).await;
            }
            drop(victim);
            if reached(self.engine.replicas("s_web")) {
                return;
            }
        }
        panic!("it stays at {}", self.engine.replicas("s_web"));
    }

    async fn pass(&mut self, lives_ms: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.random.random_range(lives_ms))).await;
    }

    fn steps(&self) -> Vec<Step> {
        let step = |spec: &serde_json::Value| {
            let state = json!({"swarm.autoscaler.state": spec["Labels"]["swarm.autoscaler.state"]});
            let step = State::read(&serde_json::from_value(state).unwrap()).unwrap().step.unwrap();
            assert_eq!(spec["Mode"]["Replicated"]["Replicas"], step.to);
            step
        };
        self.engine.inner.lock().unwrap().written.iter().map(step).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_neither_doubles_a_step_nor_forgets_a_cooldown_nor_shrinks_on_first_sight() {
    let seed = rand::random();
    // For the output of a run that fails.
    println!("seed {seed}");
    let mut scene = Scene {
        engine: FakeEngine::start().await,
        collector: FakeCollector::start().await,
        random: StdRng::seed_from_u64(seed),
        lives: Arc::default(),
        samples: Arc::default(),
    };
    scene.engine.add("s_web", 2, labels());
    // So that many a life ends between a write and its answer.
    scene.engine.inner.lock().unwrap().slowness = Duration::from_millis(80);
    scene.until(600.0, 20..250, |n| n == 5).await;
    scene.until(1.0, 100..1_300, |n| n == 2).await;
    scene.until(600.0, 20..250, |n| n > 2).await;

    let (steps, lives, samples) = (scene.steps(), scene.lives.lock().unwrap(), scene.samples.lock().unwrap());
    for step in &steps {
        assert_eq!(step.from.abs_diff(step.to), 1, "a double step: {steps:?}");
        let seen_for_long = |(start, end): &(u64, u64)| start + COOLDOWN_MS <= step.at_ms && step.at_ms <= *end;
        assert!(step.to > step.from || lives.iter().any(seen_for_long), "{step:?} on first sight: {lives:?}");
    }
    for pair in steps.windows(2) {
        let [last, next] = pair else { unreachable!() };
        assert_eq!(last.to, next.from, "{steps:?}");
        let further_up = last.to > last.from && next.to > next.from;
        let waited = next.at_ms - last.at_ms >= COOLDOWN_MS;
        let proved = samples.iter().any(|at| last.at_ms < *at && *at <= next.at_ms);
        assert!(if further_up { proved } else { waited }, "{last:?} {next:?} {samples:?}");
    }
    assert_eq!(steps.iter().map(|s| s.to).take(6).collect::<Vec<_>>(), [3, 4, 5, 4, 3, 2]);
    assert!(lives.len() >= steps.len(), "too few deaths to prove anything: {lives:?}");
}
