//! `/upstream`: the api tasks, what the balancers make of them, and the limit, for people.

use serde::Serialize;
use shared::snapshot::{BalancerReading, LeftOut, NodeReading, Snapshot, TaskReading, TaskState};

use crate::capacity::Capacity;

/// The whole answer. `None` means not known, not empty.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Upstream {
    /// The balanced service.
    pub service: String,
    /// How old this view of the tasks is.
    pub age_ms: u64,
    /// Every task that did not end.
    pub tasks: Option<Vec<Task>>,
    /// How many can answer.
    pub capacity: Option<Ready>,
    /// How much the balancers let through.
    pub limit: Option<Limit>,
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
    /// Why a balancer sends it nothing; `None` while it gets its share.
    pub left_out: Option<LeftOut>,
    /// What it got from the balancers lately.
    pub traffic: Option<Traffic>,
}

/// What one task got from the balancers lately.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Traffic {
    /// For how long this was counted.
    pub window_ms: u64,
    /// Requests that were sent to it.
    pub requests: u64,
    /// Of the requests that were sent to any task.
    pub share_percent: Option<f64>,
    /// Requests without an answer, or answered with 5xx.
    pub failures: u64,
    /// Mean time until its answer.
    pub latency_ms: Option<f64>,
}

/// How many tasks can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Running and healthy.
    pub replicas_ready: u64,
    /// Of these, for longer than the warm-up time: what the limit counts on. `None` when not known now.
    pub replicas_warm: Option<u64>,
    /// Asked for.
    pub replicas_desired: Option<u64>,
    /// Balancers that run; the limit is divided by them. `None` when not known now.
    pub balancers: Option<u64>,
    /// How old the figures for the limit are.
    pub age_ms: Option<u64>,
}

/// The limit that the balancers had in force when they were last asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limit {
    /// Replicas that it counts on.
    pub level: u64,
    /// What all balancers together let through; `None` when the limit is off.
    pub requests_per_second: Option<f64>,
    /// Of that, for one client; `None` when one may take all.
    pub client_requests_per_second: Option<f64>,
    /// Since the level was confirmed; `None` before the first time: then it is a default.
    pub confirmed_ago_ms: Option<u64>,
    /// When the balancers were last asked.
    pub age_ms: u64,
    /// Requests that were refused since the balancers started.
    pub refused: u64,
}

/// The view out of a snapshot.
#[must_use]
pub fn view(snapshot: &Snapshot, stack: &str, capacity: Option<Capacity>, now_ms: u64) -> Upstream {
    let service = format!("{stack}_api");
    let api = snapshot.services.get(&service);
    let balancer = snapshot.balancer.as_ref();
    Upstream {
        age_ms: now_ms.saturating_sub(snapshot.taken_at_ms),
        tasks: api.map(|api| api.tasks.iter().map(|reading| task(reading, &snapshot.nodes, balancer)).collect()),
        capacity: api.map(|api| Ready {
            replicas_ready: api.replicas_running,
            replicas_warm: capacity.map(|capacity| capacity.replicas),
            replicas_desired: api.replicas_desired,
            balancers: capacity.map(|capacity| capacity.balancers),
            age_ms: capacity.map(|capacity| now_ms.saturating_sub(capacity.at_ms)),
        }),
        limit: balancer.and_then(|balancer| limit(balancer, now_ms)),
        service,
    }
}

fn limit(balancer: &BalancerReading, now_ms: u64) -> Option<Limit> {
    let account = balancer.account.as_ref()?;
    let limit = account.limit?;
    let age_ms = now_ms.saturating_sub(balancer.sampled_at_ms);
    Some(Limit {
        level: limit.level,
        requests_per_second: limit.requests_per_second,
        client_requests_per_second: limit.client_requests_per_second,
        confirmed_ago_ms: limit.age_seconds.map(|seconds| (seconds * 1000.0) as u64 + age_ms),
        age_ms,
        refused: account.limited,
    })
}

fn task(task: &TaskReading, nodes: &[NodeReading], balancer: Option<&BalancerReading>) -> Task {
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
        left_out: balancer
            .and_then(|balancer| balancer.account.as_ref()?.left_out.get(task.address.as_ref()?))
            .copied(),
        traffic: balancer.and_then(|balancer| traffic(balancer, task.address.as_ref()?)),
    }
}

/// A task that no balancer has sent anything to had no requests; that is known, too.
fn traffic(balancer: &BalancerReading, address: &str) -> Option<Traffic> {
    let window_ms = Some(balancer.recent_ms).filter(|ms| *ms > 0)?;
    let all: u64 = balancer.recent.values().map(|tries| tries.requests).sum();
    let own = balancer.recent.get(address).copied().unwrap_or_default();
    Some(Traffic {
        window_ms,
        requests: own.requests,
        share_percent: (all > 0).then(|| tenths(own.requests as f64 * 100.0 / all as f64)),
        failures: own.failures,
        latency_ms: (own.requests > 0).then(|| tenths(own.seconds * 1000.0 / own.requests as f64)),
    })
}

/// For people: to one tenth.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
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
        let account = json!({"balancers": 1, "answers": {}, "limited": 7, "retries": 0, "latency_buckets": [],
            "latency_seconds": 0.0, "latency_count": 0, "upstreams": {}, "left_out": {"10.0.1.7": "silent"}, "limit": {"level": 1,
            "requests_per_second": 200.0, "client_requests_per_second": 100.0, "age_seconds": 0.0}});
        let balancer = json!({"sampled_at_ms": 900, "active_connections": 1, "requests_total": 9,
            "requests_per_second": null, "account": account, "recent_ms": 10_000, "recent": {
            "10.0.1.7": {"requests": 30, "failures": 1, "seconds": 0.6},
            "10.0.1.8": {"requests": 10, "failures": 0, "seconds": 0.1}}});
        let whole = json!({"contract": 1, "taken_at_ms": 1_000, "interval_ms": 5_000, "services": {"s_api": api},
            "nodes": [node], "sources": [], "balancer": balancer});
        serde_json::from_value(whole).unwrap()
    }

    fn shown(snapshot: &Snapshot, capacity: Option<Capacity>) -> Value {
        serde_json::to_value(view(snapshot, "s", capacity, 1_250)).unwrap()
    }

    #[test]
    fn each_task_is_shown_with_its_state_and_what_the_balancers_made_of_it() {
        let capacity = Capacity { replicas: 1, ready: 1, balancers: 2, at_ms: 1_200 };
        let expected = json!({
            "service": "s_api",
            "age_ms": 250,
            "tasks": [{"slot": 3, "node": "n1", "address": "10.0.1.7", "state": "running", "health": "healthy",
                "since_ms": 500, "left_out": "silent", "traffic": {"window_ms": 10_000, "requests": 30, "share_percent": 75.0,
                "failures": 1, "latency_ms": 20.0}}],
            "capacity": {"replicas_ready": 1, "replicas_warm": 1, "replicas_desired": 2, "balancers": 2, "age_ms": 50},
            "limit": {"level": 1, "requests_per_second": 200.0, "client_requests_per_second": 100.0,
                "confirmed_ago_ms": 350, "age_ms": 350, "refused": 7},
        });
        assert_eq!(shown(&snapshot("running", true), Some(capacity)), expected);
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
    fn what_is_not_known_is_null() {
        let mut snapshot = snapshot("running", true);
        assert_eq!(shown(&snapshot, None)["capacity"]["balancers"], Value::Null);
        snapshot.balancer = None;
        let view = shown(&snapshot, None);
        assert_eq!((&view["limit"], &view["tasks"][0]["traffic"]), (&Value::Null, &Value::Null));
        snapshot.services.clear();
        let view = shown(&snapshot, None);
        assert_eq!((&view["tasks"], &view["capacity"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_task_that_got_nothing_has_no_latency_and_no_share() {
        let mut snapshot = snapshot("running", true);
        if let Some(balancer) = &mut snapshot.balancer {
            balancer.recent.clear();
        }
        let traffic = &shown(&snapshot, None)["tasks"][0]["traffic"];
        assert_eq!((&traffic["requests"], &traffic["latency_ms"]), (&json!(0), &Value::Null));
        assert_eq!(traffic["share_percent"], Value::Null);
    }
}
