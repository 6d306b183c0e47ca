//! One line on standard error every few seconds, and the same figures for the report.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{replicas::Watch, tally::Tally};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// What happened since the line before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the run began.
    pub at_seconds: f64,
    /// Users that have begun.
    pub users: u64,
    /// Requests per second.
    pub requests_per_second: f64,
    /// 95th percentile in milliseconds; `None` without requests.
    pub p95_ms: Option<f64>,
    /// Failed requests.
    pub failures: u64,
    /// Replicas of the watched service; `None` when nobody could say.
    pub replicas: Option<u64>,
}

/// Collects samples until the run ends.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Vec<Sample>>);

impl Progress {
    /// Prints and keeps a sample every five seconds; never returns.
    pub async fn run(&self, started: Instant, time: Duration, tally: &Tally, watch: &Watch) {
        let mut tick = tokio::time::interval(EVERY);
        tick.tick().await;
        let mut before = started;
        loop {
            tick.tick().await;
            let now = Instant::now();
            let (stats, users) = tally.take_interval();
            let sample = Sample {
                at_seconds: now.duration_since(started).as_secs_f64(),
                users,
                requests_per_second: stats.requests as f64 / now.duration_since(before).as_secs_f64().max(0.001),
                p95_ms: stats.percentile_ms(95.0),
                failures: stats.failures,
                replicas: watch.timeline().last,
            };
            before = now;
            // Nobody reading it must not end the test.
            let _ = writeln!(std::io::stderr(), "{}", line(&sample, time));
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
        }
    }

    /// All samples so far.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Minutes and seconds, as `1:05`.
#[must_use]
pub fn clock(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn line(sample: &Sample, time: Duration) -> String {
    format!(
        "[{} of {}] {} users  {:.0} req/s  p95 {}  {} failed  replicas {}",
        clock(sample.at_seconds as u64),
        clock(time.as_secs()),
        sample.users,
        sample.requests_per_second,
        sample.p95_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms")),
        sample.failures,
        sample.replicas.map_or_else(|| "absent".to_owned(), |n| n.to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_all_and_calls_the_absent_absent() {
        let mut sample = Sample {
            at_seconds: 65.2,
            users: 25,
            requests_per_second: 248.4,
            p95_ms: Some(41.4),
            failures: 3,
            replicas: Some(4),
        };
        let time = Duration::from_secs(120);
        assert_eq!(line(&sample, time), "[1:05 of 2:00] 25 users  248 req/s  p95 41 ms  3 failed  replicas 4");
        (sample.p95_ms, sample.replicas) = (None, None);
        assert!(line(&sample, time).ends_with("p95 -  3 failed  replicas absent"));
    }
}
