//! How many replicas the watched service has, as the collector sees it. What cannot be
//! asked is absent from the timeline, never zero.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Client, Url};
use serde::Serialize;
use shared::snapshot::{CONTRACT, ServiceReading, Snapshot};

use crate::failure::causes;

/// How often the collector is asked; its own rounds are rarer.
const EVERY: Duration = Duration::from_secs(1);
/// An answer that takes longer is absent.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A snapshot that stays the same for this many of its intervals is no longer believed.
const STALE_AFTER: u32 = 3;

/// A change of what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Seconds since the run began.
    pub at_seconds: u64,
    /// Replicas running from then on; `None` when nobody could say.
    pub replicas: Option<u64>,
}

/// The watched service over the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The first sight and each change of it.
    pub changes: Vec<Change>,
    /// The most replicas seen; `None` when none were ever seen.
    pub max: Option<u64>,
    /// What was seen last.
    pub last: Option<u64>,
    /// Why the last look that failed did.
    pub problem: Option<String>,
}

impl Timeline {
    fn note(&mut self, at_seconds: u64, seen: Result<u64, String>) {
        let replicas = seen.as_ref().ok().copied();
        if self.changes.last().is_none_or(|change| change.replicas != replicas) {
            self.changes.push(Change { at_seconds, replicas });
        }
        self.last = replicas;
        self.max = self.max.max(replicas);
        if let Err(problem) = seen {
            self.problem = Some(problem);
        }
    }
}

/// Asks the collector until the run ends.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    url: Url,
    service: String,
    timeline: Mutex<Timeline>,
}

impl Watch {
    /// Watches `service`, given with or without the name of its stack.
    #[must_use]
    pub fn new(client: Client, mut collector: Url, service: String) -> Self {
        collector.set_path("/snapshot");
        Self { client, url: collector, service, timeline: Mutex::default() }
    }

    /// Looks now and then every second; never returns.
    pub async fn run(&self, started: Instant) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut freshness = Freshness::default();
        loop {
            tick.tick().await;
            let seen = match self.snapshot().await {
                Ok(snapshot) => freshness.check(&snapshot, Instant::now()).and_then(|()| self.replicas(&snapshot)),
                Err(problem) => Err(problem),
            };
            let at = started.elapsed().as_secs();
            self.timeline.lock().unwrap_or_else(PoisonError::into_inner).note(at, seen);
        }
    }

    /// What was seen so far.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn snapshot(&self) -> Result<Snapshot, String> {
        let ask =
            async { self.client.get(self.url.clone()).timeout(TIMEOUT).send().await?.error_for_status()?.json().await };
        let answer: reqwest::Result<Snapshot> = ask.await;
        let snapshot = answer.map_err(|error| format!("{}: {}", self.url, causes(&error.without_url())))?;
        if snapshot.contract != CONTRACT {
            return Err(format!("{} speaks contract {}, not {CONTRACT}", self.url, snapshot.contract));
        }
        Ok(snapshot)
    }

    fn replicas(&self, snapshot: &Snapshot) -> Result<u64, String> {
        match find(snapshot, &self.service)[..] {
            [service] => Ok(service.replicas_running),
            [] => Err(format!("{} knows no service {}", self.url, self.service)),
            _ => Err(format!("{} knows several services {}: give the stack's name too", self.url, self.service)),
        }
    }
}

/// `api` finds `api`, else whatever is called `<stack>_api`.
fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Vec<&'a ServiceReading> {
    if let Some(service) = snapshot.services.get(name) {
        return vec![service];
    }
    let ending = format!("_{name}");
    snapshot.services.iter().filter(|(full, _)| full.ends_with(&ending)).map(|(_, service)| service).collect()
}

/// Tells a collector that answers from one that also still collects.
#[derive(Debug, Default)]
struct Freshness(Option<(u64, Instant)>);

impl Freshness {
    fn check(&mut self, snapshot: &Snapshot, now: Instant) -> Result<(), String> {
        let since = match self.0 {
            Some((taken, since)) if taken == snapshot.taken_at_ms => since,
            _ => now,
        };
        self.0 = Some((snapshot.taken_at_ms, since));
        let patience = Duration::from_millis(snapshot.interval_ms).max(EVERY) * STALE_AFTER;
        if now.duration_since(since) > patience {
            return Err("the collector answers, but its snapshot does not change any more".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn snapshot(services: &[(&str, u64)]) -> Snapshot {
        let reading = |replicas| ServiceReading {
            id: "x".into(),
            replicas_desired: Some(replicas),
            replicas_running: replicas,
            tasks: vec![],
            http: None,
            connections: None,
            cache: None,
            restarts: 0,
        };
        Snapshot {
            contract: CONTRACT,
            taken_at_ms: 1,
            interval_ms: 5_000,
            services: services.iter().map(|(name, n)| ((*name).to_owned(), reading(*n))).collect::<BTreeMap<_, _>>(),
            nodes: vec![],
            sources: vec![],
            balancer: None,
            databases: Vec::new(),
        }
    }

    #[test]
    fn the_timeline_keeps_changes_and_what_was_absent() {
        let mut timeline = Timeline::default();
        for (at, seen) in [(0, Ok(2)), (1, Ok(2)), (2, Err("down".to_owned())), (3, Err("down".to_owned())), (4, Ok(5))]
        {
            timeline.note(at, seen);
        }
        let changes: Vec<_> = timeline.changes.iter().map(|change| (change.at_seconds, change.replicas)).collect();
        assert_eq!(changes, [(0, Some(2)), (2, None), (4, Some(5))]);
        assert_eq!((timeline.max, timeline.last, timeline.problem.as_deref()), (Some(5), Some(5), Some("down")));
    }

    #[test]
    fn a_service_is_found_with_and_without_its_stack() {
        let running = |snapshot: &Snapshot, name| -> Vec<_> {
            find(snapshot, name).iter().map(|service| service.replicas_running).collect()
        };
        let one = snapshot(&[("shop_api", 3), ("shop_apix", 9)]);
        assert_eq!(running(&one, "api"), [3]);
        assert_eq!(running(&one, "shop_api"), [3]);
        assert_eq!(running(&snapshot(&[("a_api", 3), ("b_api", 4)]), "api"), [3, 4]);
        assert!(running(&one, "web").is_empty());
    }

    #[test]
    fn a_frozen_snapshot_is_not_believed() {
        let (mut freshness, now, snapshot) = (Freshness::default(), Instant::now(), snapshot(&[]));
        assert!(freshness.check(&snapshot, now).is_ok());
        assert!(freshness.check(&snapshot, now + Duration::from_secs(15)).is_ok());
        assert!(freshness.check(&snapshot, now + Duration::from_secs(16)).is_err());
        let newer = Snapshot { taken_at_ms: 2, ..snapshot };
        assert!(freshness.check(&newer, now + Duration::from_secs(17)).is_ok());
    }
}
