//! Follows the primary: resolves its name and probes it every second.
//!
//! A probe that found no free connection says nothing while others are answered: a busy service must
//! neither call its database lost nor throw away the connections that work.
//!
//! Docker's DNS claims a lifetime of ten minutes, so nothing may be kept longer than one round.
//! While the name stands for nothing (a primary that restarts) the old pool stays.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Database;

const EVERY: Duration = Duration::from_secs(1);
/// Longer than a hiccup of the scheduler, shorter than a client's patience.
const PROBE_TIMEOUT: Duration = Duration::from_millis(800);
/// Failed probes in a row after which the connections are given up: a frozen server that came back, or
/// connections that a firewall forgot, would otherwise hold the pool's places.
const GIVE_UP_AFTER: u32 = 3;

impl Database {
    /// Runs until `stop`. The next round is the retry of a failed one.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            self.resolve().await;
            failures = if self.probe().await { 0 } else { failures + 1 };
            if failures >= GIVE_UP_AFTER {
                failures = 0;
                self.renew();
            }
        }
    }

    async fn resolve(&self) {
        let settings = &self.inner.settings;
        let lookup = tokio::net::lookup_host((settings.host.as_str(), settings.port));
        let found: Vec<SocketAddr> = match tokio::time::timeout(PROBE_TIMEOUT, lookup).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(_)) | Err(_) => return,
        };
        self.adopt(&found);
    }

    /// Keeps the address in use while the name still stands for it, else takes the first one.
    fn adopt(&self, found: &[SocketAddr]) {
        let current = self.primary().map(|server| server.address);
        let Some(first) = found.first().filter(|_| current.is_none_or(|address| !found.contains(&address))) else {
            return;
        };
        tracing::info!(address = %first, "the primary's address is {first}");
        self.point_to(*first);
    }

    async fn probe(&self) -> bool {
        let started = Instant::now();
        let work = async { sqlx::query("select 1").execute(&self.writer()?).await.map_err(super::DbError::from) };
        let error = match tokio::time::timeout(PROBE_TIMEOUT, work).await {
            Ok(Ok(_)) => {
                self.inner.health.is_up(started.elapsed());
                return true;
            }
            Ok(Err(error)) => std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string),
            Err(_) => "no answer in time".to_owned(),
        };
        if self.inner.answered.swap(false, Ordering::Relaxed) {
            return true;
        }
        self.inner.health.is_down(&error);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::DatabaseSettings;

    fn database() -> Database {
        Database::new(DatabaseSettings {
            host: "primary".into(),
            port: 1,
            name: "d".into(),
            user: "u".into(),
            password: "p".into(),
            pool_size: 1,
            acquire_timeout: Duration::from_millis(50),
            statement_timeout: Duration::from_millis(50),
        })
    }

    #[tokio::test]
    async fn the_address_changes_only_when_the_old_one_is_gone() {
        let database = database();
        let [a, b]: [SocketAddr; 2] = ["10.0.0.1:1".parse().unwrap(), "10.0.0.2:1".parse().unwrap()];
        let address = || database.primary().map(|server| server.address);
        assert!(database.writer().is_err());
        database.adopt(&[a]);
        assert_eq!(address(), Some(a));
        database.adopt(&[b, a]);
        assert_eq!(address(), Some(a));
        database.adopt(&[]);
        assert_eq!(address(), Some(a));
        database.adopt(&[b]);
        assert_eq!(address(), Some(b));
    }
}
