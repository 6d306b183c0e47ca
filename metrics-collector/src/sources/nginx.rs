//! Connections and requests, from `stub_status` of every balancer.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use shared::snapshot::BalancerReading;

use super::{Gathered, call_timeout, name_timeout, resolve};
use crate::{
    clock,
    fetch::{self, FetchError, Fetcher},
    parse::stub_status,
    settings::Host,
};

const MAX_BYTES: usize = 64 << 10;

/// All balancers.
#[derive(Debug)]
pub struct Balancers {
    host: Host,
    timeout: Duration,
    fetcher: Fetcher,
    /// Requests that each had counted, and when, Unix milliseconds.
    last: HashMap<SocketAddr, (u64, u64)>,
}

impl Balancers {
    /// No balancer has been asked yet.
    pub fn new(host: Host, timeout: Duration) -> Result<Self, FetchError> {
        Ok(Self { host, timeout, fetcher: Fetcher::tcp(call_timeout(timeout), MAX_BYTES)?, last: HashMap::new() })
    }

    /// Asks every balancer at once.
    pub async fn read(&mut self) -> Gathered<BalancerReading> {
        let (addresses, mut problems) = resolve(&self.host, name_timeout(self.timeout)).await;
        self.last.retain(|address, _| addresses.contains(address));
        let fetcher = &self.fetcher;
        let answers = join_all(addresses.into_iter().map(|address| async move {
            let text = fetcher.text(&format!("http://{address}/nginx/status")).await;
            let status = text.map_err(|error| fetch::chain(&error));
            (address, status.and_then(|text| stub_status::parse(&text).ok_or("no stub_status".to_owned())))
        }));
        let mut sum = None;
        for (address, answer) in answers.await {
            match answer {
                Ok(status) => {
                    let at_ms = clock::unix_ms();
                    let earlier = self.last.insert(address, (at_ms, status.requests));
                    let rate = earlier.and_then(|earlier| rate(earlier, (at_ms, status.requests)));
                    let sum = sum.get_or_insert(BalancerReading {
                        sampled_at_ms: at_ms,
                        active_connections: 0,
                        requests_total: 0,
                        requests_per_second: None,
                    });
                    sum.active_connections += status.active;
                    sum.requests_total += status.requests;
                    sum.requests_per_second = add(sum.requests_per_second, rate);
                }
                Err(problem) => problems.push(format!("nginx at {}: {problem}", address.ip())),
            }
        }
        Gathered { value: sum, problems }
    }
}

/// `None` when the counter fell: nginx started anew.
fn rate((from_ms, before): (u64, u64), (to_ms, now): (u64, u64)) -> Option<f64> {
    let passed = to_ms.checked_sub(from_ms).filter(|ms| *ms > 0)?;
    Some(now.checked_sub(before)? as f64 * 1000.0 / passed as f64)
}

fn add(sum: Option<f64>, part: Option<f64>) -> Option<f64> {
    part.map(|part| sum.unwrap_or(0.0) + part).or(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_readings_of_one_run() {
        assert_eq!(rate((1_000, 100), (6_000, 600)), Some(100.0));
        assert_eq!(rate((1_000, 100), (6_000, 20)), None);
        assert_eq!(rate((1_000, 100), (1_000, 100)), None);
        assert_eq!(add(None, None), None);
        assert_eq!(add(Some(1.0), Some(2.0)), Some(3.0));
        assert_eq!(add(Some(1.0), None), Some(1.0));
    }
}
