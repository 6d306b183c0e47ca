//! Whole rounds: read, decide, act.

use std::{sync::Arc, time::Duration};

use autoscaler::{
    board::Board, collector::Collector, operate::Operator, round::Rounder, scaling::Reason, settings::Defaults,
    swarm::Engine,
};
use serde_json::{Value, json};

use crate::{
    engine::FakeEngine,
    snapshots::{FakeCollector, snapshot},
    troubles::Trouble,
};

pub(crate) const START: u64 = 1_800_000_000_000;

/// For one call of a server that may be in trouble.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);

const MOST_BYTES: usize = 1 << 20;

pub(crate) struct Stage {
    pub(crate) engine: FakeEngine,
    pub(crate) collector: FakeCollector,
    pub(crate) board: Arc<Board>,
    pub(crate) rounder: Rounder<Engine>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
        let board = Arc::<Board>::default();
        let rounder = rounder(&engine, &collector, &board);
        Self { engine, collector, board, rounder }
    }

    /// One round in which every task uses so much CPU.
    pub(crate) async fn round(&mut self, at_ms: u64, cpu_percent: f64) {
        let n = usize::try_from(self.engine.replicas("s_web")).unwrap();
        self.collector.say(&snapshot("s_web", at_ms, &vec![cpu_percent; n]));
        self.rounder.run(at_ms).await;
    }

    /// The autoscaler dies and starts anew.
    pub(crate) fn restart(&mut self) {
        self.board = Arc::default();
        self.rounder = rounder(&self.engine, &self.collector, &self.board);
    }

    /// What stands behind the calls that change something.
    pub(crate) fn operator(&self) -> Operator<Engine> {
        Operator::new(swarm(&self.engine), Arc::clone(&self.board), Defaults::default(), Some("s".into()))
    }

    pub(crate) fn reason(&self) -> Reason {
        self.board.service("web", Some("s")).unwrap().detail.unwrap().decision.reason
    }
}

fn rounder(engine: &FakeEngine, collector: &FakeCollector, board: &Arc<Board>) -> Rounder<Engine> {
    let collector = Collector::with_limits(&collector.url(), PATIENCE, MOST_BYTES).unwrap();
    Rounder::new(swarm(engine), collector, Defaults::default(), Some("s".into()), Arc::clone(board))
}

pub(crate) fn swarm(engine: &FakeEngine) -> Engine {
    Engine::with_limits(&engine.socket, PATIENCE, MOST_BYTES).unwrap()
}

pub(crate) fn labels() -> Value {
    json!({"com.docker.stack.namespace": "s", "swarm.autoscaler": "true", "swarm.autoscaler.minimum": "2",
           "swarm.autoscaler.maximum": "5"})
}

#[tokio::test]
async fn load_scales_up_and_its_end_scales_down_again() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
    let spec = stage.engine.spec("s_web");
    assert_eq!(spec["FieldOfTomorrow"].to_string(), "1.0");
    assert_eq!(spec["TaskTemplate"]["Healthcheck"]["Test"][0], "x");
    stage.round(START + 30_000, 5.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::StabilizingDown));
    stage.round(START + 150_000, 5.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 2);
    stage.round(START + 600_000, 0.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (2, Reason::AtMinimum));
    let applied: Vec<_> = stage.board.events(|e| e.applied, 10).iter().map(|e| (e.from, e.to)).collect();
    assert_eq!(applied, [(3, 2), (2, 3)]);
}

#[tokio::test]
async fn a_conflict_is_read_again_and_decided_again() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.collector.say(&snapshot("s_web", START, &[90.0, 90.0]));
    // Calls in order: list, update (overtaken), read again, update (overtaken), read again.
    stage.engine.trouble_at(&[(1, Trouble::Overtake), (3, Trouble::Overtake)]);
    stage.rounder.run(START).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
    assert_eq!(stage.board.events(|e| e.error.is_some(), 10).len(), 0);
}

#[tokio::test]
async fn wrong_labels_leave_the_service_alone_and_say_so() {
    let mut stage = Stage::new().await;
    let mut wrong = labels();
    wrong["swarm.autoscaler.maximun"] = json!("9");
    stage.engine.add("s_web", 2, wrong);
    stage.round(START, 99.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 2);
    let status = stage.board.service("s_web", None).unwrap();
    assert_eq!(status.config_errors, ["swarm.autoscaler.maximun: no such label"]);
}

#[tokio::test]
async fn a_dry_run_decides_and_does_not_act() {
    let mut stage = Stage::new().await;
    let mut dry = labels();
    dry["swarm.autoscaler.dry-run"] = json!("true");
    stage.engine.add("s_web", 2, dry);
    stage.round(START, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (2, Reason::CpuHigh));
    let why = stage.board.service("s_web", None).unwrap().why;
    assert!(why.starts_with("dry run, nothing is done: from 2 to 3: cpu 90.0 %"), "{why}");
}

#[tokio::test]
async fn a_redeploy_is_undone_at_once_a_human_is_respected() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 4, labels());
    stage.round(START, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 5);
    // A stack file knows neither our label nor our count.
    let redeploy = |spec: &mut Value| {
        spec["Labels"] = labels();
        spec["Mode"]["Replicated"]["Replicas"] = json!(2);
    };
    stage.engine.change("s_web", redeploy);
    stage.round(START + 1_000, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (5, Reason::RestoredAfterRedeploy));
    // The same while the autoscaler itself is being replaced.
    stage.engine.change("s_web", redeploy);
    stage.restart();
    stage.round(START + 2_000, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (5, Reason::RestoredAfterRedeploy));
    stage.engine.change("s_web", |spec| spec["Mode"]["Replicated"]["Replicas"] = json!(3));
    stage.round(START + 3_000, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::Manual));
}

#[tokio::test]
async fn a_restart_neither_forgets_the_cooldown_nor_shrinks_at_once() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 4, labels());
    stage.round(START, 0.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (4, Reason::StabilizingDown));
    stage.round(START + 120_000, 0.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
    stage.restart();
    stage.round(START + 121_000, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::Cooldown));
    stage.round(START + 240_000, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 4);
}

#[tokio::test]
async fn a_window_raises_the_minimum_while_it_lasts() {
    let mut stage = Stage::new().await;
    let mut labels = labels();
    // START is a Friday, 08:00 UTC.
    labels["swarm.autoscaler.schedule.morning"] = json!("start=0 8 * * 5; end=0 9 * * 5; minimum=4");
    stage.engine.add("s_web", 2, labels);
    stage.round(START - 1, 50.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 2);
    stage.round(START, 50.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (4, Reason::BelowMinimum));
    let detail = stage.board.service("s_web", None).unwrap().detail.unwrap();
    assert_eq!((detail.schedules, detail.policy.bounds.min()), (vec!["morning".to_owned()], 4));
}

#[tokio::test]
async fn no_replica_is_asked_for_that_no_node_can_take() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.engine.change("s_web", |spec| spec["TaskTemplate"]["Placement"] = json!({"MaxReplicas": 3}));
    let node = json!({"ID": "n", "Spec": {"Availability": "active"}, "Status": {"State": "ready"},
                      "Description": {"Hostname": "n"}});
    stage.engine.inner.lock().unwrap().nodes.push(node);
    stage.round(START, 99.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
    stage.round(START + 60_000, 99.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::NoRoom));
}
