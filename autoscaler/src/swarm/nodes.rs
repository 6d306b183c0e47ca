//! Nodes, and what a service asks of them, from the engine's JSON.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::SwarmError;

/// One node of the Swarm.
#[derive(Debug, Clone)]
pub struct Node {
    /// Swarm's id.
    pub id: String,
    /// Host name.
    pub hostname: String,
    /// `manager` or `worker`.
    pub role: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Labels given in the Swarm.
    pub labels: BTreeMap<String, String>,
    /// Labels of its engine.
    pub engine_labels: BTreeMap<String, String>,
    /// Whether it is there and open for new tasks.
    pub takes_tasks: bool,
    /// What it has.
    pub total: Resources,
}

/// What a service asks of the nodes.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    /// Conditions on the node, as they were written.
    pub constraints: Vec<String>,
    /// Systems that its image is made for; any of them will do, and none is every one.
    pub platforms: Vec<Platform>,
    /// Most tasks on one node; 0 is no limit.
    pub most_per_node: u64,
    /// What each task reserves; 0 is nothing.
    pub reserved: Resources,
}

/// A system; what is empty is any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Platform {
    /// Operating system.
    #[serde(rename = "OS")]
    pub os: String,
    /// Processor architecture.
    #[serde(rename = "Architecture")]
    pub arch: String,
}

/// Processor and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    /// Billionths of a core.
    #[serde(rename = "NanoCPUs")]
    pub nano_cpus: u64,
    /// Bytes.
    #[serde(rename = "MemoryBytes")]
    pub bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawNode {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    spec: RawNodeSpec,
    #[serde(default)]
    description: RawDescription,
    #[serde(default)]
    status: RawStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawNodeSpec {
    role: String,
    availability: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawDescription {
    hostname: String,
    platform: Platform,
    resources: Resources,
    engine: RawEngine,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawEngine {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawStatus {
    state: String,
}

/// The part of a task template that concerns nodes.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawTemplate {
    placement: Option<RawPlacement>,
    resources: Option<RawResources>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawPlacement {
    constraints: Option<Vec<String>>,
    platforms: Option<Vec<Platform>>,
    max_replicas: u64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawResources {
    reservations: Option<Resources>,
}

/// What a service publishes.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawEndpoint {
    ports: Option<Vec<RawPort>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawPort {
    published_port: u64,
    publish_mode: String,
}

impl RawEndpoint {
    /// Whether a task takes a certain port of its node, which only one can.
    fn takes_a_port(&self) -> bool {
        self.ports.iter().flatten().any(|port| port.publish_mode == "host" && port.published_port > 0)
    }
}

impl Placement {
    /// From the two parts of a specification that say something about nodes.
    pub(super) fn new(template: RawTemplate, endpoint: Option<&RawEndpoint>) -> Self {
        let placement = template.placement.unwrap_or_default();
        let takes_a_port = endpoint.is_some_and(RawEndpoint::takes_a_port);
        Self {
            constraints: placement.constraints.unwrap_or_default(),
            platforms: placement.platforms.unwrap_or_default(),
            most_per_node: if takes_a_port { 1 } else { placement.max_replicas },
            reserved: template.resources.and_then(|resources| resources.reservations).unwrap_or_default(),
        }
    }
}

/// A list of nodes.
pub(super) fn nodes(text: &str) -> Result<Vec<Node>, SwarmError> {
    let raw: Vec<RawNode> = serde_json::from_str(text).map_err(|error| SwarmError::Garbage(error.to_string()))?;
    Ok(raw.into_iter().map(Node::from).collect())
}

impl From<RawNode> for Node {
    fn from(raw: RawNode) -> Self {
        Self {
            id: raw.id,
            hostname: raw.description.hostname,
            role: raw.spec.role,
            os: raw.description.platform.os,
            arch: raw.description.platform.arch,
            labels: raw.spec.labels.unwrap_or_default(),
            engine_labels: raw.description.engine.labels.unwrap_or_default(),
            takes_tasks: raw.spec.availability == "active" && raw.status.state == "ready",
            total: raw.description.resources,
        }
    }
}
