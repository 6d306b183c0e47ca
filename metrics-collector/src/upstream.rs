//! `/upstream`: the balancer's view of the api tasks, for people.

use serde::Serialize;
use shared::snapshot::{NodeReading, Snapshot, TaskReading, TaskState};

/// The whole answer. `None` means not known, not empty.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Upstream {
    /// The balanced service.
    pub service: String,
    /// How old this view is.
    pub age_ms: u64,
    /// Every task that did not end.
    pub tasks: Option<Vec<Task>>,
    /// How many can answer.
    pub capacity: Option<Capacity>,
    /// How much the balancer lets through.
    pub rate_limit: RateLimit,
}

/// One api task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// Its number within the service.
    pub slot: Option<u64>,
    /// Host name of its node.
    pub node: Option<String>,
    /// Its address on the stack's network.
    pub address: Option<String>,
    /// Swarm's view.
    pub state: TaskState,
    /// `healthy`, `starting`, `stopping`, or `unknown` when its node cannot tell.
    pub health: &'static str,
    /// Since when, Unix milliseconds.
    pub since_ms: u64,
}

/// How many tasks can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Running and healthy.
    pub replicas_ready: u64,
    /// Asked for.
    pub replicas_desired: Option<u64>,
}

/// How much the balancer lets through.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RateLimit {
    /// Per client. `None` when the limit is off, or the collector was not told.
    pub requests_per_second: Option<f64>,
    /// How the limit follows the capacity.
    pub mode: &'static str,
}

/// The view out of a snapshot.
#[must_use]
pub fn view(snapshot: &Snapshot, stack: &str, rate_limit: Option<f64>, now_ms: u64) -> Upstream {
    let service = format!("{stack}_api");
    let api = snapshot.services.get(&service);
    Upstream {
        age_ms: now_ms.saturating_sub(snapshot.taken_at_ms),
        tasks: api.map(|api| api.tasks.iter().map(|reading| task(reading, &snapshot.nodes)).collect()),
        capacity: api
            .map(|api| Capacity { replicas_ready: api.replicas_running, replicas_desired: api.replicas_desired }),
        rate_limit: RateLimit { requests_per_second: rate_limit, mode: "static" },
        service,
    }
}

fn task(task: &TaskReading, nodes: &[NodeReading]) -> Task {
    let node_ready = nodes.iter().any(|node| node.ready && Some(&node.hostname) == task.node.as_ref());
    Task {
        slot: task.slot,
        node: task.node.clone(),
        address: task.address.clone(),
        state: task.state,
        health: match task.state {
            TaskState::Running if node_ready => "healthy",
            TaskState::Running => "unknown",
            TaskState::Pending | TaskState::Starting => "starting",
            TaskState::Stopping => "stopping",
        },
        since_ms: task.since_ms,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A stack of one api service with one task, on the node `n1`.
    fn snapshot(state: &str, node_ready: bool) -> Snapshot {
        let task = json!({"id": "t", "slot": 3, "node": "n1", "address": "10.0.1.7", "state": state,
            "since_ms": 500, "cpu": null, "memory": null});
        let api = json!({"id": "a", "replicas_desired": 2, "replicas_running": 1, "tasks": [task],
            "http": null, "connections": null, "cache": null});
        let node = json!({"id": "n", "hostname": "n1", "ready": node_ready, "active": true, "cores": 2.0,
            "memory_bytes": 1});
        let whole = json!({"contract": 1, "taken_at_ms": 1_000, "interval_ms": 5_000, "services": {"s_api": api},
            "nodes": [node], "sources": [], "balancer": null});
        serde_json::from_value(whole).unwrap()
    }

    fn shown(snapshot: &Snapshot, rate_limit: Option<f64>) -> Value {
        serde_json::to_value(view(snapshot, "s", rate_limit, 1_250)).unwrap()
    }

    #[test]
    fn each_task_is_shown_with_slot_node_address_state_and_health() {
        let expected = json!({
            "service": "s_api",
            "age_ms": 250,
            "tasks": [{"slot": 3, "node": "n1", "address": "10.0.1.7", "state": "running", "health": "healthy",
                "since_ms": 500}],
            "capacity": {"replicas_ready": 1, "replicas_desired": 2},
            "rate_limit": {"requests_per_second": 200.0, "mode": "static"},
        });
        assert_eq!(shown(&snapshot("running", true), Some(200.0)), expected);
    }

    #[test]
    fn only_a_running_task_on_a_ready_node_is_healthy() {
        for (state, node_ready, health) in [
            ("running", false, "unknown"),
            ("pending", true, "starting"),
            ("starting", true, "starting"),
            ("stopping", true, "stopping"),
        ] {
            assert_eq!(shown(&snapshot(state, node_ready), None)["tasks"][0]["health"], health, "{state}");
        }
    }

    #[test]
    fn a_limit_that_is_off_and_a_service_that_is_not_there_are_null() {
        let mut snapshot = snapshot("running", true);
        assert_eq!(shown(&snapshot, None)["rate_limit"]["requests_per_second"], Value::Null);
        snapshot.services.clear();
        let view = shown(&snapshot, None);
        assert_eq!((&view["tasks"], &view["capacity"]), (&Value::Null, &Value::Null));
    }
}
