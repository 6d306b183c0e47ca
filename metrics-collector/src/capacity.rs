//! How many api replicas can take load now, and how many balancers share them.
//!
//! Balancers ask twice a second and adjust their limits to it, so it is followed apart from the
//! rounds: twice a second, and of the tasks of these two services only.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Serialize;
use shared::snapshot::{Snapshot, TaskState};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    docker::{Engine, model::Task},
    fetch, parse, settings,
};

const INTERVAL: Duration = Duration::from_millis(500);

/// What the limits are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Replicas to count on: healthy for the warm-up time, or in the place of one that was.
    pub replicas: u64,
    /// Replicas that are healthy.
    pub ready: u64,
    /// Balancers that run.
    pub balancers: u64,
    /// When this was true, Unix milliseconds.
    pub at_ms: u64,
}

/// Follows the two services until it is stopped. When the engine cannot be asked, what was last
/// known stays and ages.
pub async fn follow(
    stop: CancellationToken,
    settings: settings::Collector,
    latest: watch::Receiver<Option<Arc<Snapshot>>>,
    publish: watch::Sender<Option<Capacity>>,
) -> Result<(), fetch::FetchError> {
    let engine = Engine::new(&settings.docker_socket, settings.source_timeout)?;
    let [api, nginx] = ["api", "nginx"].map(|name| format!("{}_{name}", settings.stack));
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        // The engine's filter wants ids, which change only when a stack is made anew.
        let id = |name: &String| Some(latest.borrow().as_ref()?.services.get(name)?.id.clone());
        let Some(api) = id(&api) else { continue };
        let nginx = id(&nginx);
        let ids = [Some(&api), nginx.as_ref()].into_iter().flatten().map(String::as_str);
        match engine.wanted_tasks(ids).await {
            Ok(tasks) => {
                let before = publish.borrow().map(|before: Capacity| before.replicas);
                let capacity =
                    count(&tasks, [Some(&api), nginx.as_ref()], settings.capacity_warm_up, before, clock::unix_ms());
                publish.send_replace(Some(capacity));
                failing = false;
            }
            Err(error) if !failing => {
                tracing::warn!(error = fetch::chain(&error), "the capacity is not known any more; limits stay");
                failing = true;
            }
            Err(_) => {}
        }
    }
}

/// Replicas and balancers among tasks that Swarm wants to run; `before` is what was counted on last.
///
/// The warm-up holds back a rise and nothing else: in a rolling update each new replica takes the place of one
/// that was counted on, so with 3 of them, one new, and 3 before it stays at 3. With nothing before, all count.
fn count(
    tasks: &[Task],
    [api, nginx]: [Option<&String>; 2],
    warm_up: Duration,
    before: Option<u64>,
    now_ms: u64,
) -> Capacity {
    let mut running: HashMap<&str, Vec<u64>> = HashMap::new();
    for task in tasks {
        let (Some(service), Some((TaskState::Running, since_ms))) =
            (task.service_id.as_deref(), parse::swarm::state_of(task))
        else {
            continue;
        };
        running.entry(service).or_default().push(since_ms);
    }
    let mut of = |service: Option<&String>| service.and_then(|id| running.remove(id.as_str())).unwrap_or_default();
    let since = of(api);
    let ready = since.len() as u64;
    let warm = |since_ms: &&u64| u128::from(now_ms.saturating_sub(**since_ms)) >= warm_up.as_millis();
    let warm = since.iter().filter(warm).count() as u64;
    let replicas = before.map_or(ready, |before| warm.max(ready.min(before)));
    Capacity { replicas, ready, balancers: (of(nginx).len() as u64).max(1), at_ms: now_ms }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Running for so many seconds at 1:00:00.
    fn task(service: &str, state: &str, desired: &str, seconds: u32) -> Task {
        let timestamp = format!("1970-01-01T00:{:02}:{:02}Z", (3599 - seconds) / 60, (3599 - seconds) % 60);
        serde_json::from_value(json!({"ID": "t", "ServiceID": service, "DesiredState": desired,
            "Status": {"Timestamp": timestamp, "State": state}}))
        .unwrap()
    }

    fn counted(tasks: &[Task], before: Option<u64>) -> (u64, u64, u64) {
        let (api, nginx) = ("a".to_owned(), "n".to_owned());
        let capacity = count(tasks, [Some(&api), Some(&nginx)], Duration::from_secs(2), before, 3_599_000);
        (capacity.replicas, capacity.ready, capacity.balancers)
    }

    #[test]
    fn a_replica_counts_once_it_is_warm() {
        let tasks = [
            task("a", "running", "running", 60),
            task("a", "running", "running", 2),
            task("a", "running", "running", 1),
            task("a", "starting", "running", 60),
            task("a", "running", "shutdown", 60),
            task("n", "running", "running", 60),
            task("other", "running", "running", 60),
        ];
        assert_eq!(counted(&tasks, Some(2)), (2, 3, 1));
    }

    #[test]
    fn one_that_takes_the_place_of_another_counts_at_once() {
        let tasks = [task("a", "running", "running", 9), task("a", "running", "running", 1)];
        assert_eq!(counted(&tasks, Some(2)), (2, 2, 1), "a rolling update");
        assert_eq!(counted(&tasks, Some(1)), (1, 2, 1), "one more");
        assert_eq!(counted(&tasks, Some(3)), (2, 2, 1), "one less");
        assert_eq!(counted(&tasks, None), (2, 2, 1), "nothing was known");
    }

    #[test]
    fn a_stack_without_replicas_has_no_capacity_and_never_less_than_the_balancer_that_asks() {
        assert_eq!(counted(&[], Some(3)), (0, 0, 1));
        let two = [task("n", "running", "running", 9), task("n", "running", "running", 9)];
        assert_eq!(counted(&two, None), (0, 0, 2));
    }
}
