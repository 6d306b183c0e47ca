//! The contract between the collector and its readers: one `Snapshot` per round.
//!
//! Absent means *not measured*; it is never written as zero. Times are Unix
//! milliseconds, CPU is in cores, memory in bytes, latency in milliseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Raised when a field changes its meaning. A reader refuses a number it does not know.
pub const CONTRACT: u32 = 1;

/// Everything that was known when a collection round closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// See [`CONTRACT`].
    pub contract: u32,
    /// When the round closed.
    pub taken_at_ms: u64,
    /// Time between two rounds. Three of these without a sample make a task *missing*.
    pub interval_ms: u64,
    /// Every Swarm service, by name.
    pub services: BTreeMap<String, ServiceReading>,
    /// The nodes of the Swarm.
    pub nodes: Vec<NodeReading>,
    /// How each source fared in this round.
    pub sources: Vec<SourceStatus>,
    /// What nginx says of itself, when it could be asked.
    pub balancer: Option<BalancerReading>,
    /// Every database server that answered, also those that are no capacity.
    #[serde(default)]
    pub databases: Vec<DatabaseServer>,
}

/// One Swarm service and what its tasks use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceReading {
    /// Swarm's id of the service.
    pub id: String,
    /// Replicas asked for in the service's specification; `None` for global and job services.
    pub replicas_desired: Option<u64>,
    /// Tasks that run on nodes that are Ready. The engine's own count is wrong after a node is lost.
    pub replicas_running: u64,
    /// Tasks that are wanted, in any state; tasks that ended are not listed.
    pub tasks: Vec<TaskReading>,
    /// Requests as the tasks counted them; `None` when none of them could be read.
    pub http: Option<HttpReading>,
    /// Database connections, for a service that is scaled on them.
    pub connections: Option<ConnectionsReading>,
    /// Cache memory, for a service that is scaled on it.
    pub cache: Option<CacheReading>,
    /// How often the replica that ended by itself most often did so within the last ten minutes.
    #[serde(default)]
    pub restarts: u64,
}

/// One task (container) of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReading {
    /// Swarm's id of the task.
    pub id: String,
    /// The task's number within its service; `None` for global services.
    pub slot: Option<u64>,
    /// Host name of the node it is on; `None` while it is not placed.
    pub node: Option<String>,
    /// Its address on the stack's network, without prefix length.
    pub address: Option<String>,
    /// Where it is in its life.
    pub state: TaskState,
    /// When it entered that state.
    pub since_ms: u64,
    /// Processor use; `None` when not measured.
    pub cpu: Option<Usage>,
    /// Memory use without reclaimable page cache; `None` when not measured.
    pub memory: Option<Usage>,
    /// Whether the engine of its node has paused it. It is not probed then, and Swarm takes it for running.
    #[serde(default)]
    pub paused: bool,
}

/// A task's state, as far as scaling and balancing care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Not started: waits for a node, an image or a resource.
    Pending,
    /// Its container runs, its first healthy probe is outstanding.
    Starting,
    /// Running and, where it has a health check, healthy.
    Running,
    /// Told to stop, still there.
    Stopping,
}

/// A use and what it is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Cores or bytes in use.
    pub used: f64,
    /// Cores or bytes that stand for 100 %.
    pub limit: f64,
    /// Where `limit` comes from.
    pub basis: LimitBasis,
    /// When it was measured, by the clock of the machine that measured.
    pub sampled_at_ms: u64,
}

/// What a percentage is a percentage of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitBasis {
    /// The container's own limit.
    Limit,
    /// No limit is set: its reservation.
    Reservation,
    /// Neither is set: the whole node.
    Node,
}

/// Requests of one service over a sliding window, summed over its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HttpReading {
    /// When the newest count was read.
    pub sampled_at_ms: u64,
    /// Length of the window.
    pub window_ms: u64,
    /// Requests finished in the window.
    pub requests: f64,
    /// Requests per second in the window.
    pub requests_per_second: f64,
    /// Share of answers with status 5xx, 0–100; `None` without requests.
    pub error_rate_percent: Option<f64>,
    /// Median latency; `None` without requests.
    pub p50_ms: Option<f64>,
    /// 95th percentile of latency; `None` without requests.
    pub p95_ms: Option<f64>,
    /// 99th percentile of latency; `None` without requests.
    pub p99_ms: Option<f64>,
}

/// Connection load over the servers of a service; for the standbys, over all that take reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionsReading {
    /// When the newest server was read.
    pub sampled_at_ms: u64,
    /// Client connections that are doing something, over all servers.
    pub active: u64,
    /// Connections that clients may use: maximum less the reserved ones, over all servers.
    pub usable: u64,
    /// Each server.
    pub servers: Vec<DatabaseServer>,
}

/// One Postgres server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseServer {
    /// Its address on the stack's network.
    pub address: String,
    /// Primary or standby, by its own word (`pg_is_in_recovery()`).
    pub role: DatabaseRole,
    /// Client connections that are doing something.
    pub active: u64,
    /// Client connections, idle ones too.
    pub total: u64,
    /// `max_connections` less the reserved ones.
    pub usable: u64,
    /// `max_connections`.
    pub max: u64,
    /// Whether a standby is streaming; `None` on a primary.
    pub streaming: Option<bool>,
    /// Bytes a standby is behind; `None` on a primary or when unknown.
    pub lag_bytes: Option<u64>,
    /// Seconds for which a standby is behind at least; `None` on a primary or when unknown.
    pub lag_seconds: Option<f64>,
    /// When the last backup of its database was begun; `None` when there is none of it.
    #[serde(default)]
    pub backed_up_at_ms: Option<u64>,
}

/// What a Postgres server says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseRole {
    /// Takes writes.
    Primary,
    /// Replays the primary's log and takes reads.
    Standby,
}

/// Memory of the cache, summed over its shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheReading {
    /// When the newest shard was read.
    pub sampled_at_ms: u64,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes allowed (`maxmemory`); 0 when a shard has no bound.
    pub max_bytes: u64,
    /// Each shard.
    pub servers: Vec<CacheServer>,
}

/// One Redis shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheServer {
    /// Its address on the stack's network.
    pub address: String,
    /// Bytes in use.
    pub used_bytes: u64,
    /// `maxmemory`.
    pub max_bytes: u64,
    /// Keys held.
    pub keys: u64,
}

/// A node of the Swarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeReading {
    /// Swarm's id of the node.
    pub id: String,
    /// Host name.
    pub hostname: String,
    /// Whether the managers see it as Ready.
    pub ready: bool,
    /// Whether it takes new tasks (availability `active`).
    pub active: bool,
    /// Cores.
    pub cores: f64,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// How one source fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// One of a fixed set: `swarm`, `agent`, `http`, `postgres`, `redis`, `nginx`.
    pub name: String,
    /// Whether this round's reading is whole.
    pub ok: bool,
    /// How long it took.
    pub duration_ms: u64,
    /// When it last succeeded; `None` if never.
    pub last_success_ms: Option<u64>,
    /// What went wrong, for people.
    pub error: Option<String>,
}

/// What the balancers say, summed over all of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BalancerReading {
    /// When it was read.
    pub sampled_at_ms: u64,
    /// Open client connections.
    pub active_connections: u64,
    /// Requests since nginx started.
    pub requests_total: u64,
    /// Requests per second since the round before; `None` in the first round.
    pub requests_per_second: Option<f64>,
    /// What they have added up since they started; `None` when none could tell.
    #[serde(default)]
    pub account: Option<BalancerAccount>,
    /// Tries by the address of an api task, over the last `recent_ms`.
    #[serde(default)]
    pub recent: BTreeMap<String, Tries>,
    /// See `recent`; 0 before the second round.
    #[serde(default)]
    pub recent_ms: u64,
}

/// Requests as the balancers saw them, and what they let through.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BalancerAccount {
    /// Balancers that told.
    pub balancers: u64,
    /// Answers to clients by class of status, `2xx` to `5xx`.
    pub answers: BTreeMap<String, u64>,
    /// Requests that were refused by the limit.
    pub limited: u64,
    /// Tries beyond the first of a request.
    pub retries: u64,
    /// Requests that took at most so many seconds on their last try.
    pub latency_buckets: Vec<(f64, u64)>,
    /// The time of all of these tries.
    pub latency_seconds: f64,
    /// Their number.
    pub latency_count: u64,
    /// Tries by the address of an api task.
    pub upstreams: BTreeMap<String, Tries>,
    /// Addresses of api tasks that get no requests from at least one of them.
    #[serde(default)]
    pub left_out: BTreeMap<String, LeftOut>,
    /// The limit in force.
    pub limit: Option<BalancerLimit>,
}

/// Why a balancer sends a task no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// It does not answer.
    Silent,
    /// It answers with failures, and the others do not.
    Failing,
}

/// What one api task got from the balancers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tries {
    /// Requests that were sent to it.
    pub requests: u64,
    /// Of these, without an answer or answered with 5xx.
    pub failures: u64,
    /// Time until its answers, summed.
    pub seconds: f64,
}

/// The limit that balancers apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct BalancerLimit {
    /// Replicas that it counts on.
    pub level: u64,
    /// What all balancers together let through; `None` when the limit is off.
    pub requests_per_second: Option<f64>,
    /// Of that, for one client at one balancer; `None` when one may take all.
    pub client_requests_per_second: Option<f64>,
    /// Since the collector confirmed the level; `None` before the first time.
    pub age_seconds: Option<f64>,
}
