//! Services, tasks and nodes out of Swarm's answers.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use shared::snapshot::{LimitBasis, NodeReading, TaskState};

use crate::{
    clock,
    docker::model::{NetworkAttachment, Node, Resources, Service, Task},
    parse::restarts,
};

/// What Swarm says: who should run, and who does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Swarm {
    /// By name.
    pub services: BTreeMap<String, SwarmService>,
    /// All nodes, those that are away too.
    pub nodes: Vec<NodeReading>,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmService {
    /// Swarm's id.
    pub id: String,
    /// Service labels.
    pub labels: HashMap<String, String>,
    /// Replicas asked for; `None` for global and job services.
    pub replicas_desired: Option<u64>,
    /// Tasks that did not end, by slot.
    pub tasks: Vec<SwarmTask>,
    /// How often one replica ended by itself of late.
    pub restarts: u64,
}

/// One task.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmTask {
    /// Swarm's id.
    pub id: String,
    /// Number within the service; `None` for global services.
    pub slot: Option<u64>,
    /// Host name of its node; `None` while it is not placed.
    pub node: Option<String>,
    /// Whether its node is Ready; only then its state is known to be true.
    pub node_ready: bool,
    /// Address on a network that the collector shares.
    pub address: Option<String>,
    /// Where it is in its life.
    pub state: TaskState,
    /// Since when, Unix milliseconds.
    pub since_ms: u64,
    /// Cores that stand for 100 %, as far as Swarm knows.
    pub cpu_limit: Option<Limit>,
    /// Bytes that stand for 100 %, as far as Swarm knows.
    pub memory_limit: Option<Limit>,
}

/// What a use is measured against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Cores or bytes.
    pub value: f64,
    /// Where it comes from.
    pub basis: LimitBasis,
}

/// A network as a task sees it: an address within it, and its prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attached {
    /// The task's address.
    pub address: IpAddr,
    /// Bits of the address that name the network.
    pub prefix: u8,
}

impl Attached {
    /// From `10.0.1.3/24`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let attached = Self { address: address.parse().ok()?, prefix: prefix.parse().ok()? };
        let bits = if attached.address.is_ipv4() { 32 } else { 128 };
        (attached.prefix <= bits).then_some(attached)
    }

    /// Whether another address is on the same network.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        let same = |a: u128, b: u128, bits: u32| (a ^ b).checked_shr(bits - u32::from(self.prefix)).unwrap_or(0) == 0;
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

/// Puts the three lists together. `shared` tells whether the collector is on a network.
pub fn read(
    services: Vec<Service>,
    tasks: Vec<Task>,
    nodes: Vec<Node>,
    shared: impl Fn(&Attached) -> bool,
    now_ms: u64,
) -> Swarm {
    let restarts = restarts::of(&tasks, now_ms);
    let nodes: Vec<NodeReading> = nodes.into_iter().map(node).collect();
    let mut by_service: HashMap<String, Vec<SwarmTask>> = HashMap::new();
    for task in tasks {
        let Some(service) = task.service_id.clone() else { continue };
        if let Some(task) = read_task(task, &nodes, &shared) {
            by_service.entry(service).or_default().push(task);
        }
    }
    let services = services
        .into_iter()
        .map(|service| {
            let mut tasks = by_service.remove(&service.id).unwrap_or_default();
            tasks.sort_by(|a, b| (a.slot, a.since_ms, &a.id).cmp(&(b.slot, b.since_ms, &b.id)));
            let replicas_desired = service.spec.mode.and_then(|mode| mode.replicated?.replicas);
            let labels = service.spec.labels.unwrap_or_default();
            let restarts = restarts.get(&service.id).copied().unwrap_or(0);
            (service.spec.name, SwarmService { id: service.id, labels, replicas_desired, tasks, restarts })
        })
        .collect();
    Swarm { services, nodes }
}

fn node(node: Node) -> NodeReading {
    let resources = node.description.as_ref().and_then(|description| description.resources.clone()).unwrap_or_default();
    NodeReading {
        hostname: node.description.and_then(|description| description.hostname).unwrap_or_else(|| node.id.clone()),
        ready: node.status.and_then(|status| status.state).as_deref() == Some("ready"),
        active: node.spec.and_then(|spec| spec.availability).as_deref() == Some("active"),
        cores: positive(resources.nano_cpus).unwrap_or(0.0) / 1e9,
        memory_bytes: resources.memory_bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        id: node.id,
    }
}

/// `None` for a task that ended, or that was told to end on a node that cannot say whether it did.
fn read_task(task: Task, nodes: &[NodeReading], shared: &impl Fn(&Attached) -> bool) -> Option<SwarmTask> {
    let (state, since_ms) = state_of(&task)?;
    let node = task.node_id.and_then(|id| nodes.iter().find(|node| node.id == id));
    let node_ready = node.is_some_and(|node| node.ready);
    if state == TaskState::Stopping && !node_ready {
        return None;
    }
    let resources = task.spec.and_then(|spec| spec.resources);
    let (limits, reservations) = resources.map(|given| (given.limits, given.reservations)).unwrap_or_default();
    let (limits, reservations) = (limits.unwrap_or_default(), reservations.unwrap_or_default());
    let cores = |given: &Resources| positive(given.nano_cpus).map(|nano| nano / 1e9);
    let bytes = |given: &Resources| positive(given.memory_bytes);
    let first = |limit: Option<f64>, reservation: Option<f64>, whole: Option<f64>| {
        limit
            .map(|value| Limit { value, basis: LimitBasis::Limit })
            .or(reservation.map(|value| Limit { value, basis: LimitBasis::Reservation }))
            .or(whole.filter(|value| *value > 0.0).map(|value| Limit { value, basis: LimitBasis::Node }))
    };
    Some(SwarmTask {
        cpu_limit: first(cores(&limits), cores(&reservations), node.map(|node| node.cores)),
        memory_limit: first(bytes(&limits), bytes(&reservations), node.map(|node| node.memory_bytes as f64)),
        id: task.id,
        slot: task.slot.filter(|slot| *slot > 0),
        node: node.map(|node| node.hostname.clone()),
        node_ready,
        address: address(task.networks_attachments.unwrap_or_default(), shared),
        state,
        since_ms,
    })
}

/// Where a task is in its life and since when, Unix milliseconds; `None` for what ended.
#[must_use]
pub fn state_of(task: &Task) -> Option<(TaskState, u64)> {
    let status = task.status.as_ref()?;
    let state = state(status.state.as_deref()?, task.desired_state.as_deref().unwrap_or_default())?;
    Some((state, status.timestamp.as_deref().and_then(clock::parse_ms).unwrap_or(0)))
}

/// Swarm's word for where a task is, in ours; `None` for what ended. A word that is not
/// known counts as ended: nothing may be built on it.
fn state(state: &str, desired: &str) -> Option<TaskState> {
    let reached = match state {
        "new" | "allocated" | "pending" | "assigned" | "accepted" | "preparing" | "ready" => TaskState::Pending,
        "starting" => TaskState::Starting,
        "running" => TaskState::Running,
        _ => return None,
    };
    match desired {
        "running" | "ready" | "accepted" => Some(reached),
        // Never started, and never will.
        _ if reached == TaskState::Pending => None,
        _ => Some(TaskState::Stopping),
    }
}

fn address(attachments: Vec<NetworkAttachment>, shared: &impl Fn(&Attached) -> bool) -> Option<String> {
    attachments
        .into_iter()
        .filter(|attachment| {
            let spec = attachment.network.as_ref().and_then(|network| network.spec.as_ref());
            spec.and_then(|spec| spec.ingress) != Some(true)
        })
        .flat_map(|attachment| attachment.addresses.unwrap_or_default())
        .filter_map(|text| Attached::parse(&text))
        .find(|attached| shared(attached))
        .map(|attached| attached.address.to_string())
}

fn positive(number: Option<i64>) -> Option<f64> {
    number.filter(|number| *number > 0).map(|number| number as f64)
}

#[cfg(test)]
#[path = "swarm_tests.rs"]
mod tests;
