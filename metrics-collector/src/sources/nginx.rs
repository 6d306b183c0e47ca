//! Connections and requests, from every balancer: what `stub_status` says, and what was added up
//! beside it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use futures_util::future::join_all;
use shared::snapshot::{BalancerAccount, BalancerReading, Tries};

use super::{Gathered, call_timeout, name_timeout, resolve};
use crate::{
    clock,
    fetch::{self, FetchError, Fetcher},
    parse::{
        account,
        stub_status::{self, StubStatus},
    },
    settings::Host,
};

/// When something was counted, Unix milliseconds, and what by the address of an api task.
type Counted = (u64, BTreeMap<String, Tries>);

/// The account has a few lines for each api task.
const MAX_BYTES: usize = 1 << 20;

/// All balancers.
#[derive(Debug)]
pub struct Balancers {
    host: Host,
    timeout: Duration,
    window: Duration,
    fetcher: Fetcher,
    /// Requests that each had counted, and when, Unix milliseconds.
    last: HashMap<SocketAddr, (u64, u64)>,
    /// Tries that each had counted, over the window.
    tries: HashMap<SocketAddr, VecDeque<Counted>>,
}

impl Balancers {
    /// No balancer has been asked yet. What each api task got is told for `window`.
    pub fn new(host: Host, timeout: Duration, window: Duration) -> Result<Self, FetchError> {
        let fetcher = Fetcher::tcp(call_timeout(timeout), MAX_BYTES)?;
        Ok(Self { host, timeout, window, fetcher, last: HashMap::new(), tries: HashMap::new() })
    }

    /// Asks every balancer at once.
    pub async fn read(&mut self) -> Gathered<BalancerReading> {
        let (addresses, mut problems) = resolve(&self.host, name_timeout(self.timeout)).await;
        self.last.retain(|address, _| addresses.contains(address));
        self.tries.retain(|address, _| addresses.contains(address));
        let fetcher = &self.fetcher;
        let answers =
            join_all(addresses.into_iter().map(|address| async move { (address, ask(fetcher, address).await) }));
        let mut sum: Option<BalancerReading> = None;
        for (address, answer) in answers.await {
            let (status, account) = match answer {
                Ok(answer) => answer,
                Err(problem) => {
                    problems.push(format!("nginx at {}: {problem}", address.ip()));
                    continue;
                }
            };
            let at_ms = clock::unix_ms();
            let earlier = self.last.insert(address, (at_ms, status.requests));
            let rate = earlier.and_then(|earlier| rate(earlier, (at_ms, status.requests)));
            let sum = sum.get_or_insert_default();
            sum.sampled_at_ms = at_ms;
            sum.active_connections += status.active;
            sum.requests_total += status.requests;
            sum.requests_per_second = add(sum.requests_per_second, rate);
            match account {
                Ok(account) => self.take_in(sum, address, at_ms, account),
                Err(problem) => problems.push(format!("nginx at {}: {problem}", address.ip())),
            }
        }
        Gathered { value: sum, problems }
    }

    fn take_in(&mut self, sum: &mut BalancerReading, address: SocketAddr, at_ms: u64, account: BalancerAccount) {
        let samples = self.tries.entry(address).or_default();
        samples.push_back((at_ms, account.upstreams.clone()));
        let window_ms = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        while samples.len() > 2 && samples.front().is_some_and(|(first, _)| at_ms.saturating_sub(*first) > window_ms) {
            samples.pop_front();
        }
        if let (Some((from_ms, before)), true) = (samples.front(), samples.len() > 1) {
            sum.recent_ms = sum.recent_ms.max(at_ms.saturating_sub(*from_ms));
            for (task, now) in &account.upstreams {
                let added = since(*now, before.get(task).copied().unwrap_or_default());
                let recent = sum.recent.entry(task.clone()).or_default();
                recent.requests += added.requests;
                recent.failures += added.failures;
                recent.seconds += added.seconds;
            }
        }
        match &mut sum.account {
            Some(all) => account::add(all, account),
            none => *none = Some(account),
        }
    }
}

/// `stub_status` alone is a balancer that lives; the account may be missing for a moment after its start.
async fn ask(fetcher: &Fetcher, address: SocketAddr) -> Result<(StubStatus, Result<BalancerAccount, String>), String> {
    let get = async |page: &str| {
        let text = fetcher.text(&format!("http://{address}/nginx/{page}")).await;
        text.map_err(|error| fetch::chain(&error))
    };
    let (status, account) = tokio::join!(get("status"), get("metrics"));
    let status = stub_status::parse(&status?).ok_or("no stub_status")?;
    Ok((status, account.and_then(|text| account::read(&text).map_err(|error| error.to_string()))))
}

/// Counters that fell were begun anew: then all they count is new.
fn since(now: Tries, before: Tries) -> Tries {
    if now.requests < before.requests {
        return now;
    }
    Tries {
        requests: now.requests - before.requests,
        failures: now.failures.saturating_sub(before.failures),
        seconds: (now.seconds - before.seconds).max(0.0),
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

    fn tries(requests: u64, failures: u64, seconds: f64) -> Tries {
        Tries { requests, failures, seconds }
    }

    #[test]
    fn what_a_task_got_lately_is_told_apart_from_what_it_ever_got() {
        let host = Host::new("127.0.0.1", 9);
        let mut balancers = Balancers::new(host, Duration::from_secs(1), Duration::from_secs(10)).unwrap();
        let mut read = |at_ms: u64, counted: Tries| {
            let mut sum = BalancerReading::default();
            let account = BalancerAccount { upstreams: [("t".to_owned(), counted)].into(), ..Default::default() };
            balancers.take_in(&mut sum, "127.0.0.1:9".parse().unwrap(), at_ms, account);
            (sum.recent_ms, sum.recent.get("t").copied())
        };
        assert_eq!(read(0, tries(100, 1, 5.0)), (0, None), "one reading is no time");
        assert_eq!(read(5_000, tries(150, 1, 6.0)), (5_000, Some(tries(50, 0, 1.0))));
        assert_eq!(read(12_000, tries(160, 3, 7.0)), (7_000, Some(tries(10, 2, 1.0))), "the first has left the window");
        assert_eq!(read(13_000, tries(4, 0, 0.5)), (8_000, Some(tries(4, 0, 0.5))), "it began anew");
    }
}
