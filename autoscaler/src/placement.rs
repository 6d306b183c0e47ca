//! How many replicas of a service the nodes can hold: what it reserves, how many it allows on
//! one node, and which nodes it accepts, against what the nodes have left.
//!
//! Swarm places tasks, not this module: the answer only keeps us from asking for tasks that
//! could do nothing but wait. What is not understood counts in favour of the service.

use std::collections::HashMap;

use shared::snapshot::{Snapshot, TaskReading, TaskState};

use crate::{
    observe::reading_of,
    swarm::{Node, Placement, Platform, Resources, Service},
};

/// What the nodes have left in this round.
#[derive(Debug)]
pub struct Room<'a> {
    nodes: Vec<Left<'a>>,
    snapshot: &'a Snapshot,
}

#[derive(Debug)]
struct Left<'a> {
    node: &'a Node,
    free: Resources,
}

impl<'a> Room<'a> {
    /// Adds up what the tasks of all services reserve on each node.
    #[must_use]
    pub fn new(nodes: &'a [Node], services: &[Service], snapshot: &'a Snapshot) -> Self {
        let mut reserved: HashMap<&str, Resources> = HashMap::new();
        for service in services {
            for (host, count) in placed(service, snapshot) {
                let sum = reserved.entry(host).or_default();
                sum.nano_cpus =
                    sum.nano_cpus.saturating_add(service.placement.reserved.nano_cpus.saturating_mul(count));
                sum.bytes = sum.bytes.saturating_add(service.placement.reserved.bytes.saturating_mul(count));
            }
        }
        let left = |node: &'a Node| {
            let taken = reserved.get(node.hostname.as_str()).copied().unwrap_or_default();
            let free = Resources {
                nano_cpus: node.total.nano_cpus.saturating_sub(taken.nano_cpus),
                bytes: node.total.bytes.saturating_sub(taken.bytes),
            };
            Left { node, free }
        };
        Self { nodes: nodes.iter().filter(|node| node.takes_tasks).map(left).collect(), snapshot }
    }

    /// The most replicas of `service`, the present ones included; `None` when nothing limits them.
    #[must_use]
    pub fn of(&self, service: &Service) -> Option<u64> {
        let present = placed(service, self.snapshot);
        let eligible = self.nodes.iter().filter(|left| accepts(&service.placement, left.node));
        let mut more = 0_u64;
        for left in eligible {
            let here = present.get(left.node.hostname.as_str()).copied().unwrap_or(0);
            more = more.saturating_add(additional(&service.placement, left.free, here)?);
        }
        Some(present.values().sum::<u64>().saturating_add(more))
    }
}

/// Tasks of a service by the host name of their node.
fn placed<'a>(service: &Service, snapshot: &'a Snapshot) -> HashMap<&'a str, u64> {
    let mut hosts = HashMap::new();
    let found = reading_of(service, snapshot);
    let tasks = found.map_or(&[] as &[TaskReading], |found| &found.tasks);
    for host in tasks.iter().filter(|task| task.state != TaskState::Stopping).filter_map(|task| task.node.as_deref()) {
        *hosts.entry(host).or_insert(0) += 1;
    }
    hosts
}

/// How many more one node holds beside `here`; `None` when nothing limits them.
fn additional(placement: &Placement, free: Resources, here: u64) -> Option<u64> {
    let wanted = placement.reserved;
    let by_cpu = free.nano_cpus.checked_div(wanted.nano_cpus);
    let by_memory = free.bytes.checked_div(wanted.bytes);
    let by_number = (placement.most_per_node > 0).then(|| placement.most_per_node.saturating_sub(here));
    [by_cpu, by_memory, by_number].into_iter().flatten().min()
}

/// Whether a node is of a platform of the service and meets every constraint.
fn accepts(placement: &Placement, node: &Node) -> bool {
    let platforms = &placement.platforms;
    (platforms.is_empty() || platforms.iter().any(|platform| is_of(platform, node))) && meets(placement, node)
}

fn is_of(platform: &Platform, node: &Node) -> bool {
    let one_name = |arch: &str| match arch {
        // Images and engines have two names for the same.
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_lowercase(),
    };
    let fits = |wanted: &str, there: &str| wanted.is_empty() || wanted.eq_ignore_ascii_case(there);
    fits(&platform.os, &node.os) && fits(&one_name(&platform.arch), &one_name(&node.arch))
}

fn meets(placement: &Placement, node: &Node) -> bool {
    placement.constraints.iter().all(|constraint| {
        let (key, value, same) = match (constraint.split_once("!="), constraint.split_once("==")) {
            (Some((key, value)), _) => (key, value, false),
            (None, Some((key, value))) => (key, value, true),
            (None, None) => return true,
        };
        let Some(actual) = attribute(node, key.trim()) else { return true };
        actual.eq_ignore_ascii_case(value.trim()) == same
    })
}

/// What a constraint's key says of a node; `None` for a key that is not known here.
fn attribute<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    // A label that a node does not have is empty to Swarm.
    let label = |labels: &'a std::collections::BTreeMap<String, String>, name: &str| {
        labels.get(name).map_or("", String::as_str)
    };
    match key {
        "node.id" => Some(&node.id),
        "node.hostname" => Some(&node.hostname),
        "node.role" => Some(&node.role),
        "node.platform.os" => Some(&node.os),
        "node.platform.arch" => Some(&node.arch),
        _ => match (key.strip_prefix("node.labels."), key.strip_prefix("engine.labels.")) {
            (Some(name), _) => Some(label(&node.labels, name)),
            (None, Some(name)) => Some(label(&node.engine_labels, name)),
            (None, None) => None,
        },
    }
}

#[cfg(test)]
mod tests;
