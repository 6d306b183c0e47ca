//! How often a replica was started again because the one before had ended by itself.

use std::collections::HashMap;

use crate::{clock, docker::model::Task};

/// How long an end is counted. Swarm remembers the last four tasks of a slot (`--task-history-limit`), so
/// whatever ends more often than that shows as four.
pub const WINDOW_MS: u64 = 600_000;

/// Of each service, by id: ends within the window of the replica that ended most often. One node that is
/// lost ends many replicas once; a loop ends one again and again.
pub fn of(tasks: &[Task], now_ms: u64) -> HashMap<String, u64> {
    let mut by_slot: HashMap<(&str, &str, u64), u64> = HashMap::new();
    for task in tasks {
        let (Some(service), true) = (task.service_id.as_deref(), ended_lately(task, now_ms)) else { continue };
        // The tasks of a global service have no number, but a node each.
        let slot = task.slot.unwrap_or(0);
        let node = if slot == 0 { task.node_id.as_deref().unwrap_or_default() } else { "" };
        *by_slot.entry((service, node, slot)).or_default() += 1;
    }
    let mut most = HashMap::new();
    for ((service, ..), ends) in by_slot {
        let found: &mut u64 = most.entry(service.to_owned()).or_default();
        *found = ends.max(*found);
    }
    most
}

/// Ended by itself: what was told to end is `shutdown`, and `orphaned` is what went with its node.
fn ended_lately(task: &Task, now_ms: u64) -> bool {
    let Some(status) = &task.status else { return false };
    let at = status.timestamp.as_deref().and_then(clock::parse_ms);
    matches!(status.state.as_deref(), Some("failed" | "complete" | "rejected"))
        && at.is_some_and(|at| now_ms.saturating_sub(at) < WINDOW_MS)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-24T10:20:00Z";

    fn task(service: &str, slot: u64, node: &str, state: &str, at: &str) -> Value {
        json!({"ID": "t", "ServiceID": service, "Slot": slot, "NodeID": node,
               "Status": {"State": state, "Timestamp": at}})
    }

    fn counted(tasks: Vec<Value>) -> HashMap<String, u64> {
        let tasks: Vec<Task> = serde_json::from_value(Value::Array(tasks)).unwrap();
        of(&tasks, clock::parse_ms(NOW).unwrap())
    }

    #[test]
    fn the_replica_that_ended_most_often_counts() {
        let found = counted(vec![
            task("api", 1, "a", "failed", "2026-11-24T10:19:00Z"),
            task("api", 1, "b", "complete", "2026-11-24T10:19:30Z"),
            task("api", 1, "b", "rejected", "2026-11-24T10:19:40Z"),
            task("api", 2, "a", "failed", "2026-11-24T10:19:00Z"),
            task("nginx", 0, "a", "failed", "2026-11-24T10:19:00Z"),
            task("nginx", 0, "b", "failed", "2026-11-24T10:19:00Z"),
        ]);
        assert_eq!(found, HashMap::from([("api".into(), 3), ("nginx".into(), 1)]));
    }

    #[test]
    fn old_ends_and_ordered_ones_do_not_count() {
        let found = counted(vec![
            task("api", 1, "a", "failed", "2026-11-24T10:09:59Z"),
            task("api", 1, "a", "failed", "not a time"),
            task("api", 1, "a", "shutdown", NOW),
            task("api", 1, "a", "orphaned", NOW),
            task("api", 1, "a", "running", NOW),
        ]);
        assert_eq!(found, HashMap::new());
    }
}
