//! Requests, from the metrics that the tasks of a service serve themselves.
//!
//! Which services have any is told by their labels: `swarm.autoscaler.metrics.port` and
//! `.metrics.path` (default `/metrics`).

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use shared::snapshot::{HttpReading, TaskState};

use super::{Gathered, call_timeout};
use crate::{
    clock,
    fetch::{self, FetchError, Fetcher},
    parse::{
        requests::{self, Requests},
        swarm::Swarm,
    },
    window::Window,
};

const PORT_LABEL: &str = "swarm.autoscaler.metrics.port";
const PATH_LABEL: &str = "swarm.autoscaler.metrics.path";

/// A task with a hundred routes writes about 200 kB.
const MAX_BYTES: usize = 2 << 20;

/// Scrapes in flight at once: as many tasks may hang without making the others late.
const PARALLEL: usize = 64;

/// One task to scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its service.
    pub service: String,
    /// Its id.
    pub task: String,
    /// Where its metrics are.
    pub url: String,
}

/// The windows of all services.
#[derive(Debug)]
pub struct Scraper {
    fetcher: Fetcher,
    length: Duration,
    max_age: Duration,
    windows: HashMap<String, Window>,
}

impl Scraper {
    /// Has scraped nothing yet.
    pub fn new(timeout: Duration, length: Duration, max_age: Duration) -> Result<Self, FetchError> {
        let fetcher = Fetcher::tcp(call_timeout(timeout), MAX_BYTES)?;
        Ok(Self { fetcher, length, max_age, windows: HashMap::new() })
    }

    /// Scrapes all tasks, and tells what each service did in its window.
    pub async fn read(&mut self, swarm: &Swarm) -> Gathered<BTreeMap<String, HttpReading>> {
        let (targets, mut problems) = targets(swarm);
        let fetcher = self.fetcher.clone();
        let mut answers = stream::iter(targets)
            .map(|target| async { (scrape(&fetcher, &target.url).await, target) })
            .buffer_unordered(PARALLEL);
        // Taken in one by one: what was read stays read, also when the round ends early.
        while let Some((answer, target)) = answers.next().await {
            match answer {
                Ok(requests) => self.windows.entry(target.service).or_insert_with(|| Window::new(self.length)).push(
                    &target.task,
                    clock::unix_ms(),
                    requests,
                ),
                Err(problem) => problems.push(format!("{} at {}: {problem}", target.service, target.url)),
            }
        }
        Gathered { value: Some(self.readings(clock::unix_ms())), problems }
    }

    fn readings(&mut self, now_ms: u64) -> BTreeMap<String, HttpReading> {
        self.windows.retain(|_, window| window.expire(now_ms));
        let fresh = |reading: &HttpReading| {
            u128::from(now_ms.saturating_sub(reading.sampled_at_ms)) <= self.max_age.as_millis()
        };
        self.windows
            .iter()
            .filter_map(|(service, window)| Some((service.clone(), window.reading().filter(fresh)?)))
            .collect()
    }
}

async fn scrape(fetcher: &Fetcher, url: &str) -> Result<Requests, String> {
    let text = fetcher.text(url).await.map_err(|error| fetch::chain(&error))?;
    requests::read(&text).map_err(|error| error.to_string())
}

/// Running tasks of all services with metrics, and the labels that cannot be used.
fn targets(swarm: &Swarm) -> (Vec<Target>, Vec<String>) {
    let (mut targets, mut problems) = (Vec::new(), Vec::new());
    for (name, service) in &swarm.services {
        let Some(port) = service.labels.get(PORT_LABEL) else { continue };
        let Some(port) = port.trim().parse::<u16>().ok().filter(|port| *port > 0) else {
            problems.push(format!("{name}: label {PORT_LABEL}={port}: allowed is a port from 1 to 65535"));
            continue;
        };
        let path = service.labels.get(PATH_LABEL).map_or("/metrics", |path| path.trim());
        if !path.starts_with('/') {
            problems.push(format!("{name}: label {PATH_LABEL}={path}: allowed is a path that starts with /"));
            continue;
        }
        for task in service.tasks.iter().filter(|task| task.state == TaskState::Running) {
            let Some(ip) = task.address.as_deref().and_then(|address| address.parse::<IpAddr>().ok()) else { continue };
            let url = format!("http://{}{path}", SocketAddr::new(ip, port));
            targets.push(Target { service: name.clone(), task: task.id.clone(), url });
        }
    }
    (targets, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swarm(labels: &[(&str, &str)]) -> Swarm {
        let mut swarm = crate::parse::swarm::read(
            serde_json::from_str(include_str!("../../tests/golden/services.json")).unwrap(),
            serde_json::from_str(include_str!("../../tests/golden/tasks.json")).unwrap(),
            serde_json::from_str(include_str!("../../tests/golden/nodes.json")).unwrap(),
            |_| true,
            0,
        );
        let service = swarm.services.get_mut("collprobe_web").unwrap();
        service.labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        service.tasks[1].state = TaskState::Starting;
        swarm
    }

    #[test]
    fn running_tasks_of_labelled_services_are_scraped() {
        let (found, problems) = targets(&swarm(&[(PORT_LABEL, "3000")]));
        assert_eq!(found.len(), 1);
        assert!(found[0].url.starts_with("http://10.0.1.") && found[0].url.ends_with(":3000/metrics"), "{found:?}");
        assert!(problems.is_empty());
        assert_eq!(targets(&swarm(&[("swarm.autoscaler", "true")])), (vec![], vec![]));
    }

    #[test]
    fn a_label_that_cannot_be_used_is_told() {
        for labels in [[(PORT_LABEL, "http"), (PATH_LABEL, "/m")], [(PORT_LABEL, "80"), (PATH_LABEL, "m")]] {
            let (found, problems) = targets(&swarm(&labels));
            assert!(found.is_empty() && problems[0].contains("collprobe_web: label swarm.autoscaler.metrics."));
        }
    }
}
