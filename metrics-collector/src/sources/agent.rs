//! Processor and memory use of tasks, from the agent of each node.
//!
//! An agent's last report stays in use until its samples are three intervals old, so that
//! one late answer does not make every task of a node missing.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    time::Duration,
};

use futures_util::future::join_all;

use super::{Gathered, call_timeout, name_timeout, resolve};
use crate::{
    agent::report::{Report, TaskSample},
    clock,
    fetch::{self, FetchError, Fetcher},
    settings::Host,
};

/// A report of a node with a thousand tasks is about 300 kB.
const MAX_BYTES: usize = 4 << 20;

/// The samples of all nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// By Swarm's id of the task.
    pub tasks: BTreeMap<String, TaskSample>,
    /// The longest interval at which an agent reads.
    pub interval_ms: u64,
}

/// All agents.
#[derive(Debug)]
pub struct Agents {
    host: Host,
    timeout: Duration,
    fetcher: Fetcher,
    last: HashMap<SocketAddr, Received>,
}

#[derive(Debug)]
struct Received {
    at_ms: u64,
    report: Report,
}

impl Agents {
    /// No agent has been asked yet.
    pub fn new(host: Host, timeout: Duration) -> Result<Self, FetchError> {
        Ok(Self { host, timeout, fetcher: Fetcher::tcp(call_timeout(timeout), MAX_BYTES)?, last: HashMap::new() })
    }

    /// Asks every agent at once.
    pub async fn read(&mut self, interval: Duration) -> Gathered<Samples> {
        let (addresses, mut problems) = resolve(&self.host, name_timeout(self.timeout)).await;
        let fetcher = &self.fetcher;
        let answers =
            join_all(addresses.into_iter().map(|address| async move {
                (address, fetcher.json::<Report>(&format!("http://{address}/stats")).await)
            }));
        let mut answered = false;
        for (address, answer) in answers.await {
            match answer {
                Ok(report) => {
                    answered = true;
                    self.last.insert(address, Received { at_ms: clock::unix_ms(), report });
                }
                Err(error) => problems.push(format!("agent at {}: {}", address.ip(), fetch::chain(&error))),
            }
        }
        let samples = merge(&mut self.last, clock::unix_ms(), interval);
        Gathered { value: (answered || !samples.tasks.is_empty()).then_some(samples), problems }
    }
}

/// All samples that are not older than three intervals. Age is counted by the clock of the
/// agent's node until its answer came, and by ours since then: clocks of nodes may differ.
fn merge(last: &mut HashMap<SocketAddr, Received>, now_ms: u64, interval: Duration) -> Samples {
    let own_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    let max_age = |report: &Report| report.interval_ms.max(own_ms).saturating_mul(3);
    last.retain(|_, received| now_ms.saturating_sub(received.at_ms) <= max_age(&received.report));
    let mut samples = Samples { tasks: BTreeMap::new(), interval_ms: own_ms };
    for received in last.values() {
        let Received { at_ms, report } = received;
        samples.interval_ms = samples.interval_ms.max(report.interval_ms);
        let waited = now_ms.saturating_sub(*at_ms);
        for (task, sample) in &report.tasks {
            let age = report.told_at_ms.saturating_sub(sample.sampled_at_ms).saturating_add(waited);
            if age <= max_age(report) {
                samples.tasks.insert(task.clone(), sample.clone());
            }
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(told_at_ms: u64, tasks: &[(&str, u64)]) -> Report {
        let sample = |at| TaskSample {
            container_id: "c".into(),
            sampled_at_ms: at,
            cpu: None,
            memory_bytes: Some(1),
            cpu_limit_cores: None,
            memory_limit_bytes: None,
            paused: false,
        };
        let tasks = tasks.iter().map(|(id, at)| ((*id).to_owned(), sample(*at))).collect();
        Report { interval_ms: 5_000, taken_at_ms: told_at_ms, told_at_ms, tasks }
    }

    fn merged(report: Report, at_ms: u64, now_ms: u64) -> Vec<String> {
        let mut last = [(([127, 0, 0, 1], 1).into(), Received { at_ms, report })].into();
        merge(&mut last, now_ms, Duration::from_secs(5)).tasks.into_keys().collect()
    }

    #[test]
    fn a_sample_older_than_three_intervals_is_dropped() {
        let report = report(20_000, &[("fresh", 19_000), ("old", 4_000)]);
        assert_eq!(merged(report, 20_000, 20_000), ["fresh"]);
    }

    #[test]
    fn an_agent_that_fell_silent_is_used_for_three_intervals() {
        let silent = || report(20_000, &[("a", 20_000)]);
        assert_eq!(merged(silent(), 20_000, 34_000), ["a"]);
        assert!(merged(silent(), 20_000, 36_000).is_empty());
    }

    #[test]
    fn a_node_whose_clock_is_wrong_keeps_its_samples() {
        let behind = report(20_000, &[("a", 19_000)]);
        assert_eq!(merged(behind, 3_620_000, 3_620_500), ["a"]);
    }
}
