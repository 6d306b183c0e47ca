//! The engine's answers, reduced to what is used. A field that the engine leaves out or
//! sends as `null` is `None`; states are text, since engines add new ones.

use std::collections::HashMap;

use serde::Deserialize;

/// An entry of `GET /containers/json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The container's id.
    pub id: String,
    /// Its labels; Swarm's task id is one of them.
    pub labels: Option<HashMap<String, String>>,
    /// `running`, `paused`, …
    pub state: Option<String>,
}

/// `GET /containers/{id}/json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspect {
    /// What the container was started with.
    pub host_config: Option<HostConfig>,
}

/// Limits of a container; 0 means none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// Cores in billionths.
    pub nano_cpus: Option<i64>,
    /// Microseconds of processor time in a period.
    pub cpu_quota: Option<i64>,
    /// The period in microseconds.
    pub cpu_period: Option<i64>,
    /// Bytes.
    pub memory: Option<i64>,
}

/// `GET /containers/{id}/stats`.
#[derive(Debug, Clone, Deserialize)]
pub struct Stats {
    /// When the engine read the counters, RFC 3339.
    pub read: Option<String>,
    /// Processor counters.
    pub cpu_stats: Option<CpuStats>,
    /// Memory; an empty object for a container that just ended.
    pub memory_stats: Option<MemoryStats>,
}

/// Processor counters.
#[derive(Debug, Clone, Deserialize)]
pub struct CpuStats {
    /// Time used.
    pub cpu_usage: Option<CpuUsage>,
}

/// Processor time used.
#[derive(Debug, Clone, Deserialize)]
pub struct CpuUsage {
    /// Nanoseconds of all cores since the container started.
    pub total_usage: Option<u64>,
}

/// Memory in use.
#[derive(Debug, Clone, Deserialize)]
pub struct MemoryStats {
    /// Bytes, page cache included.
    pub usage: Option<u64>,
    /// The kernel's own break-down; its keys differ between cgroup v1 and v2.
    pub stats: Option<HashMap<String, u64>>,
}

/// An entry of `GET /services`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Service {
    /// Swarm's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// What is asked for.
    pub spec: ServiceSpec,
}

/// What is asked for of a service.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceSpec {
    /// Its name, the stack's prefix included.
    pub name: String,
    /// Service labels (not those of its containers).
    pub labels: Option<HashMap<String, String>>,
    /// How its number of tasks is found.
    pub mode: Option<ServiceMode>,
}

/// Replicated, or one of the modes that are not scaled.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceMode {
    /// Present for a replicated service.
    pub replicated: Option<Replicated>,
}

/// A number of equal tasks.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Replicated {
    /// How many.
    pub replicas: Option<u64>,
}

/// An entry of `GET /tasks`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    /// Swarm's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service it belongs to.
    #[serde(rename = "ServiceID")]
    pub service_id: Option<String>,
    /// Its number within the service; 0 or absent for global services.
    pub slot: Option<u64>,
    /// The node it is placed on.
    #[serde(rename = "NodeID")]
    pub node_id: Option<String>,
    /// What is asked for.
    pub spec: Option<TaskSpec>,
    /// What is.
    pub status: Option<TaskStatus>,
    /// What Swarm wants it to become.
    pub desired_state: Option<String>,
    /// Its addresses.
    pub networks_attachments: Option<Vec<NetworkAttachment>>,
}

/// What is asked for of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskSpec {
    /// Limits and reservations.
    pub resources: Option<TaskResources>,
}

/// Limits and reservations.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskResources {
    /// What it may use at most.
    pub limits: Option<Resources>,
    /// What the node keeps for it.
    pub reservations: Option<Resources>,
}

/// An amount of processor and memory; absent or 0 means none given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    /// Cores in billionths.
    #[serde(rename = "NanoCPUs")]
    pub nano_cpus: Option<i64>,
    /// Bytes.
    pub memory_bytes: Option<i64>,
}

/// Where a task is in its life.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskStatus {
    /// Since when, RFC 3339.
    pub timestamp: Option<String>,
    /// Swarm's word for it.
    pub state: Option<String>,
}

/// A task on a network.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkAttachment {
    /// The network.
    pub network: Option<Network>,
    /// Addresses with prefix length.
    pub addresses: Option<Vec<String>>,
}

/// A network.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    /// What was asked for.
    pub spec: Option<NetworkSpec>,
}

/// What was asked for of a network.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSpec {
    /// Whether it is the routing mesh, on which tasks are not reached one by one.
    pub ingress: Option<bool>,
}

/// An entry of `GET /nodes`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Node {
    /// Swarm's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// What is asked for.
    pub spec: Option<NodeSpec>,
    /// What the machine is.
    pub description: Option<NodeDescription>,
    /// What the managers see.
    pub status: Option<NodeStatus>,
}

/// What is asked for of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeSpec {
    /// `active`, `pause` or `drain`.
    pub availability: Option<String>,
}

/// What the machine is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeDescription {
    /// Host name.
    pub hostname: Option<String>,
    /// Cores and memory.
    pub resources: Option<Resources>,
}

/// What the managers see.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeStatus {
    /// `ready`, `down`, `unknown` or `disconnected`.
    pub state: Option<String>,
}
