//! The limit: how many replicas there are for how many balancers, and the files by which nginx knows.

use std::{fs, io, path::PathBuf, time::Duration};

use reqwest::Client;
use serde::Deserialize;

use crate::settings::Settings;

/// Of nginx' configuration: so many buckets are prepared, for a limit divided by so many balancers.
const MOST_REPLICAS: u32 = 100;
const MOST_PARTS: u32 = 4;
const BITS: u32 = 9;

/// What the collector says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Capacity {
    /// Replicas to count on.
    pub replicas: u32,
    /// Balancers that share them.
    pub balancers: u32,
}

/// What a limit comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Buckets in use, each with a replica's rate divided by `parts`.
    pub buckets: u32,
    /// What the rate is divided by.
    pub parts: u32,
}

impl Limit {
    /// Up to four balancers have exactly their part of a replica's rate; more of them take fewer replicas each. Without
    /// a replica it is that of one: there may be one any moment.
    #[must_use]
    pub fn of(capacity: Capacity) -> Self {
        let balancers = capacity.balancers.max(1);
        let parts = balancers.min(MOST_PARTS);
        let buckets = capacity.replicas.saturating_mul(parts) / balancers;
        Self { buckets: buckets.clamp(1, MOST_REPLICAS), parts }
    }

    /// Requests per second that this balancer lets through.
    #[must_use]
    pub fn requests_per_second(self, rate_per_replica: u32) -> u32 {
        self.buckets * rate_per_replica / self.parts
    }

    /// Bit by bit, which files there are. The number of buckets is in Gray code: one more or one less changes one bit,
    /// so that nginx, which looks at each once a second, never sees half of that change.
    fn code(self) -> u32 {
        (self.buckets ^ (self.buckets >> 1)) | ((self.parts - 1) << 7)
    }
}

/// The limit in force.
#[derive(Debug)]
pub struct Limiter {
    directory: PathBuf,
    known: PathBuf,
    told: Capacity,
    applied: Option<Limit>,
}

impl Limiter {
    /// Before the first answer: what an earlier companion knew, or the fewest replicas there should be.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let known = settings.run_dir.join("known");
        let earlier = fs::read_to_string(&known).ok().and_then(|text| {
            let (replicas, balancers) = text.split_once(' ')?;
            Some(Capacity { replicas: replicas.parse().ok()?, balancers: balancers.parse().ok()? })
        });
        let told = earlier.unwrap_or(Capacity { replicas: settings.min_replicas, balancers: 1 });
        Self { directory: settings.run_dir.join("bits"), known, told, applied: None }
    }

    /// What the collector said last.
    #[must_use]
    pub fn told(&self) -> Capacity {
        self.told
    }

    /// Takes in what the collector says now.
    pub fn tell(&mut self, capacity: Capacity) -> io::Result<()> {
        if capacity != self.told {
            self.told = capacity;
            fs::write(&self.known, format!("{} {}", capacity.replicas, capacity.balancers))?;
        }
        Ok(())
    }

    /// Brings the limit into force, without the replicas that get no requests.
    pub fn apply(&mut self, left_out: u32) -> io::Result<Capacity> {
        let capacity = Capacity { replicas: self.told.replicas.saturating_sub(left_out).max(1), ..self.told };
        let limit = Limit::of(capacity);
        if self.applied != Some(limit) {
            fs::create_dir_all(&self.directory)?;
            for bit in 0..BITS {
                let file = self.directory.join(bit.to_string());
                match (limit.code() >> bit & 1 == 1, file.exists()) {
                    (true, false) => drop(fs::File::create(file)?),
                    (false, true) => fs::remove_file(file)?,
                    _ => {}
                }
            }
            self.applied = Some(limit);
        }
        Ok(capacity)
    }
}

/// Asks the collector. When it is away the last value stays.
#[derive(Debug)]
pub struct Collector {
    client: Client,
    url: &'static str,
}

impl Collector {
    /// The stack's own.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(1)).build()?;
        Ok(Self { client, url: "http://metrics-collector:8090/capacity" })
    }

    /// What it says now.
    pub async fn capacity(&self) -> Result<Capacity, reqwest::Error> {
        self.client.get(self.url).send().await?.error_for_status()?.json().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(replicas: u32, balancers: u32) -> (u32, u32) {
        let limit = Limit::of(Capacity { replicas, balancers });
        (limit.buckets, limit.requests_per_second(40))
    }

    #[test]
    fn balancers_share_the_replicas() {
        assert_eq!(limit(3, 1), (3, 120));
        assert_eq!(limit(5, 2), (5, 100));
        assert_eq!(limit(9, 6), (6, 60));
        assert_eq!(limit(0, 1), (1, 40));
        assert_eq!(limit(u32::MAX, u32::MAX), (1, 10));
    }

    #[test]
    fn one_replica_more_is_one_file() {
        for buckets in 1..100 {
            let code = |buckets| Limit { buckets, parts: 3 }.code();
            assert_eq!((code(buckets) ^ code(buckets + 1)).count_ones(), 1, "{buckets}");
        }
        assert_eq!(Limit { buckets: 100, parts: 4 }.code() >> BITS, 0);
    }

    #[test]
    fn the_next_companion_knows_what_the_last_one_knew() {
        let run_dir = std::env::temp_dir().join(format!("companion-limit-{}", std::process::id()));
        fs::create_dir_all(&run_dir).unwrap();
        let settings = Settings { run_dir: run_dir.clone(), rate_per_replica: 40, client_share: 50, min_replicas: 2 };
        let mut limiter = Limiter::new(&settings);
        assert_eq!(limiter.apply(0).unwrap(), Capacity { replicas: 2, balancers: 1 });
        limiter.tell(Capacity { replicas: 5, balancers: 2 }).unwrap();
        assert_eq!(limiter.apply(1).unwrap().replicas, 4);
        // Four in Gray code is 0110, two balancers are bit 7.
        let mut files: Vec<_> =
            fs::read_dir(run_dir.join("bits")).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["1", "2", "7"]);
        assert_eq!(Limiter::new(&settings).told(), Capacity { replicas: 5, balancers: 2 });
        assert_eq!(limiter.apply(9).unwrap().replicas, 1);
        fs::remove_dir_all(run_dir).unwrap();
    }
}
