//! One round: every source at once, none waited for.
//!
//! Only requests come after the Swarm, which says where the tasks are; so a round takes at
//! most twice the time that one source may take.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use shared::snapshot::{BalancerReading, CacheReading, HttpReading, Snapshot, SourceStatus};

use crate::{
    clock,
    combine::{self, Owners, Readings},
    docker::Engine,
    fetch::FetchError,
    parse::swarm::Swarm,
    settings,
    slot::Slot,
    sources::{
        Gathered,
        agent::{Agents, Samples},
        http::Scraper,
        nginx::Balancers,
        postgres::{Load, Servers},
        redis::Shards,
        swarm, timed,
    },
};

/// All sources, and what each said last.
#[derive(Debug)]
pub struct Rounds {
    interval: Duration,
    limit: Duration,
    max_age: Duration,
    owners: Owners,
    engine: Engine,
    agents: Agents,
    scraper: Scraper,
    servers: Option<Servers>,
    shards: Option<Shards>,
    balancers: Balancers,
    slots: Slots,
    failing: Vec<String>,
}

#[derive(Debug)]
struct Slots {
    swarm: Slot<Swarm>,
    agent: Slot<Samples>,
    http: Slot<BTreeMap<String, HttpReading>>,
    postgres: Slot<Load>,
    redis: Slot<CacheReading>,
    nginx: Slot<BalancerReading>,
}

impl Rounds {
    /// Sets up every source; none is asked yet.
    pub fn new(settings: &settings::Collector) -> Result<Self, FetchError> {
        let limit = settings.source_timeout;
        Ok(Self {
            interval: settings.interval,
            limit,
            max_age: settings.max_age(),
            owners: Owners::new(settings),
            engine: Engine::new(&settings.docker_socket, limit)?,
            agents: Agents::new(settings.agents.clone(), limit)?,
            scraper: Scraper::new(limit, settings.http_window, settings.max_age())?,
            servers: settings.database.clone().map(|database| Servers::new(database, limit)),
            shards: settings.cache.clone().map(|cache| Shards::new(cache, limit)),
            balancers: Balancers::new(settings.balancers.clone(), limit, settings.http_window)?,
            slots: Slots {
                swarm: Slot::new("swarm"),
                agent: Slot::new("agent"),
                http: Slot::new("http"),
                postgres: Slot::new("postgres"),
                redis: Slot::new("redis"),
                nginx: Slot::new("nginx"),
            },
            failing: Vec::new(),
        })
    }

    /// Asks everyone once, and puts together what is known.
    pub async fn run_once(&mut self) -> Arc<Snapshot> {
        let Self { interval, limit, max_age, engine, agents, scraper, servers, shards, balancers, slots, .. } = self;
        let (interval, limit, max_age) = (*interval, *limit, *max_age);
        let tasks = async {
            let found = timed(limit, swarm::read(engine)).await;
            let status = slots.swarm.settle(found, clock::unix_ms());
            let requests = match slots.swarm.current(clock::unix_ms(), max_age) {
                Some(swarm) => timed(limit, scraper.read(swarm)).await,
                None => timed(limit, async { Gathered::nothing("not known which tasks there are") }).await,
            };
            (status, requests)
        };
        let (tasks, used, load, cache, balancer) = tokio::join!(
            tasks,
            timed(limit, agents.read(interval)),
            async { Some(timed(limit, servers.as_mut()?.read()).await) },
            async { Some(timed(limit, shards.as_mut()?.read()).await) },
            timed(limit, balancers.read()),
        );
        let (now_ms, (swarm_status, requests)) = (clock::unix_ms(), tasks);
        let sources = [
            Some(swarm_status),
            Some(slots.agent.settle(used, now_ms)),
            Some(slots.http.settle(requests, now_ms)),
            load.map(|load| slots.postgres.settle(load, now_ms)),
            cache.map(|cache| slots.redis.settle(cache, now_ms)),
            Some(slots.nginx.settle(balancer, now_ms)),
        ];
        let sources: Vec<SourceStatus> = sources.into_iter().flatten().collect();
        self.log_changes(&sources);
        let readings = self.slots.current(now_ms, max_age);
        Arc::new(combine::snapshot(readings, &self.owners, interval, sources, now_ms))
    }

    /// One line when a source starts to fail and one when it is back, not one per round.
    fn log_changes(&mut self, sources: &[SourceStatus]) {
        for SourceStatus { name, ok, error, .. } in sources {
            let known = self.failing.contains(name);
            if !ok && !known {
                tracing::warn!(source = name, error, "source {name} fails");
                self.failing.push(name.clone());
            } else if *ok && known {
                tracing::info!(source = name, "source {name} is back");
                self.failing.retain(|failing| failing != name);
            }
        }
    }
}

impl Slots {
    /// Agents and requests keep their own memory, sample by sample; theirs counts only in
    /// the round that brought it.
    fn current(&self, now_ms: u64, max_age: Duration) -> Readings<'_> {
        Readings {
            swarm: self.swarm.current(now_ms, max_age),
            samples: self.agent.current(now_ms, Duration::ZERO),
            http: self.http.current(now_ms, Duration::ZERO),
            load: self.postgres.current(now_ms, max_age),
            cache: self.redis.current(now_ms, max_age),
            balancer: self.nginx.current(now_ms, max_age),
        }
    }
}
