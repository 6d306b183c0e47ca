//! Where readings come from: one source, one file. To add one: a file here that reads, one
//! under `parse` that understands, a line in `round`, a place in `combine`.
//!
//! A source never fails a round. What it could not read is absent, and it says why.

/// Services, tasks and nodes, from the manager's engine.
pub mod swarm;

/// Processor and memory use, from the agent of each node.
pub mod agent;

/// Requests, from the tasks' own metrics.
pub mod http;

/// Connection load and replication, from the database servers.
pub mod postgres;

/// Memory, from the cache shards.
pub mod redis;

/// Connections and requests, from the balancers.
pub mod nginx;

use std::{
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use crate::settings::Host;

/// What one source brought in one round.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathered<T> {
    /// The reading; `None` when there is none at all.
    pub value: Option<T>,
    /// What is missing from it, a sentence each. Whole when empty.
    pub problems: Vec<String>,
}

impl<T> Gathered<T> {
    /// A reading that lacks nothing.
    pub fn whole(value: T) -> Self {
        Self { value: Some(value), problems: Vec::new() }
    }

    /// No reading, and why.
    pub fn nothing(problem: impl Into<String>) -> Self {
        Self { value: None, problems: vec![problem.into()] }
    }
}

/// What one source brought, and how long it took.
#[derive(Debug)]
pub struct Timed<T> {
    /// What it brought.
    pub gathered: Gathered<T>,
    /// How long it took.
    pub took: Duration,
}

/// Waits for a source, but no longer than `limit`.
pub async fn timed<T>(limit: Duration, source: impl Future<Output = Gathered<T>>) -> Timed<T> {
    let started = Instant::now();
    let gathered = tokio::time::timeout(limit, source)
        .await
        .unwrap_or_else(|_| Gathered::nothing(format!("no answer within {} s", limit.as_secs_f64())));
    Timed { gathered, took: started.elapsed() }
}

/// Time for one server of a source: less than for the source, so that one that hangs does
/// not take the others' answers with it.
#[must_use]
pub fn call_timeout(source: Duration) -> Duration {
    source.mul_f64(0.6)
}

/// Time for a name: what is left of a source's time beside [`call_timeout`], less a margin.
#[must_use]
pub fn name_timeout(source: Duration) -> Duration {
    source.mul_f64(0.3)
}

/// All addresses behind the names, in a stable order, and the names that have none. Asked
/// anew each time: the engine's answers may be kept for 600 s, while tasks come and go
/// within seconds.
pub async fn resolve(host: &Host, limit: Duration) -> (Vec<SocketAddr>, Vec<String>) {
    let lookups = host.names.iter().map(|name| async move {
        match tokio::time::timeout(limit, tokio::net::lookup_host((name.as_str(), host.port))).await {
            Ok(Ok(found)) => Ok(found.collect::<Vec<_>>()),
            Ok(Err(error)) => Err(format!("{name} has no address: {error}")),
            Err(_) => Err(format!("{name} has no address: the name server does not answer")),
        }
    });
    let (mut addresses, mut problems) = (Vec::new(), Vec::new());
    for found in join_all(lookups).await {
        match found {
            Ok(found) => addresses.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    (addresses, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_that_hangs_is_left_behind() {
        let timed = timed::<u8>(Duration::from_millis(20), std::future::pending()).await;
        assert_eq!(timed.gathered, Gathered::nothing("no answer within 0.02 s"));
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_a_problem_with_its_name() {
        let host = Host { names: vec!["nowhere.invalid".into(), "127.0.0.2".into(), "127.0.0.1".into()], port: 7 };
        let (addresses, problems) = resolve(&host, Duration::from_secs(5)).await;
        assert_eq!(addresses, ["127.0.0.1:7".parse().unwrap(), "127.0.0.2:7".parse().unwrap()]);
        assert!(problems[0].contains("nowhere.invalid has no address"), "{problems:?}");
    }
}
