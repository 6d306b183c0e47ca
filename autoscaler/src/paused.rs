//! Tasks that somebody has paused. Their engine does not probe them, so Swarm takes them for running for good
//! and nobody would ever replace them. Swarm cannot be told to replace one task, only all of a service: it
//! does so as the service's own update policy says.

use std::{collections::BTreeMap, time::Duration};

use shared::snapshot::{ServiceReading, TaskState};

/// A service's paused tasks.
#[derive(Debug, Default)]
pub struct Paused {
    /// Since when each was seen paused, Unix milliseconds, by Swarm's id of the task.
    since_ms: BTreeMap<String, u64>,
}

impl Paused {
    /// Takes in who is paused now. One that is told to stop anyway does not count.
    pub fn look(&mut self, service: &ServiceReading, now_ms: u64) {
        let paused = service.tasks.iter().filter(|task| task.paused && task.state != TaskState::Stopping);
        let since = |id: &String| self.since_ms.get(id).copied().unwrap_or(now_ms);
        self.since_ms = paused.map(|task| (task.id.clone(), since(&task.id))).collect();
    }

    /// For how long one of them has been paused at the most; `None` when none is.
    #[must_use]
    pub fn longest(&self, now_ms: u64) -> Option<Duration> {
        let first_ms = self.since_ms.values().min()?;
        Some(Duration::from_millis(now_ms.saturating_sub(*first_ms)))
    }

    /// What an operator should know of them, and what becomes of them; `None` when none is paused.
    #[must_use]
    pub fn warning(&self, replaced_after: Option<Duration>) -> Option<String> {
        let count = self.since_ms.len();
        let who = match count {
            0 => return None,
            1 => "a task is paused".to_owned(),
            _ => format!("{count} tasks are paused"),
        };
        Some(match replaced_after {
            Some(after) => {
                format!("{who}: after {} s every task is replaced, one after the other", after.as_secs_f64())
            }
            None => format!("{who}, which Swarm does not notice"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(tasks: &[(&str, &str, bool)]) -> ServiceReading {
        let tasks: Vec<_> = tasks
            .iter()
            .map(|(id, state, paused)| {
                serde_json::json!({"id": id, "slot": 1, "node": "n", "address": null, "state": state, "since_ms": 1,
                                   "cpu": null, "memory": null, "paused": paused})
            })
            .collect();
        serde_json::from_value(serde_json::json!({"id": "s", "replicas_desired": 2, "replicas_running": 2,
            "tasks": tasks, "http": null, "connections": null, "cache": null}))
        .unwrap()
    }

    #[test]
    fn a_pause_counts_from_when_it_was_first_seen_and_ends_when_it_ends() {
        let mut paused = Paused::default();
        assert_eq!((paused.longest(0), paused.warning(None)), (None, None));
        paused.look(&service(&[("a", "running", true), ("b", "running", false)]), 1_000);
        paused.look(&service(&[("a", "running", true), ("b", "running", true)]), 5_000);
        assert_eq!(paused.longest(7_000), Some(Duration::from_secs(6)));
        let warning = paused.warning(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(warning, "2 tasks are paused: after 60 s every task is replaced, one after the other");
        paused.look(&service(&[("a", "running", false), ("b", "running", true)]), 9_000);
        assert_eq!(paused.longest(10_000), Some(Duration::from_secs(5)));
        paused.look(&service(&[("a", "running", true), ("b", "running", false)]), 11_000);
        assert_eq!(paused.longest(11_000), Some(Duration::ZERO), "paused anew");
        assert_eq!(paused.longest(3_000), Some(Duration::ZERO), "a clock that was set back");
    }

    #[test]
    fn one_that_is_told_to_stop_is_no_trouble() {
        let mut paused = Paused::default();
        paused.look(&service(&[("a", "stopping", true)]), 1_000);
        assert_eq!(paused.longest(9_000), None);
    }
}
