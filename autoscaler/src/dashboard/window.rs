//! The newest overview. While somebody watches, the Swarm's counts and the collector's
//! snapshot are looked at between the rounds as well, once for all who watch, so that the page
//! shows what was done by hand, too. Decisions never depend on what is seen here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use shared::snapshot::Snapshot;
use tokio::{sync::Mutex, time::timeout};

use super::overview::{Collected, Overview, Sight, members, scaled};
use crate::{
    board::Board,
    clock,
    collector::Collector,
    health::assess,
    history::Keeper,
    swarm::{Engine, Swarm},
};

/// Nobody looks more often.
const SPACING_MS: u64 = 900;

/// Nobody waits longer for a look; what did not come in time is absent.
const PATIENCE: Duration = Duration::from_secs(1);

/// After a look comes a rest of so many times its length: a large Swarm is looked at less often.
const REST: u64 = 20;

/// Longest rest.
const LONGEST_REST_MS: u64 = 30_000;

/// An overview in words, and its number: equal numbers are equal overviews.
#[derive(Debug)]
pub struct Frame {
    /// Counts the overviews that differed.
    pub number: u64,
    /// The overview as JSON.
    json: String,
}

impl Frame {
    /// The JSON that is sent: the overview, and the time by our clock.
    #[must_use]
    pub fn at(&self, now_ms: u64) -> String {
        format!(r#"{{"now_ms":{now_ms},"overview":{}}}"#, self.json)
    }
}

/// What is looked through.
#[derive(Debug)]
pub struct Window {
    /// The board whose rounds are shown.
    pub board: Arc<Board>,
    /// The engine, for counts.
    pub engine: Engine,
    /// The collector.
    pub collector: Collector,
    /// The history, for its troubles.
    pub keeper: Option<Keeper>,
    /// The stack.
    pub stack: Option<String>,
    /// Time between two rounds.
    pub interval: Duration,
    /// Whether orders can be given.
    pub orders: bool,
    seen: Mutex<Seen>,
}

/// What was seen last, and when to look again.
#[derive(Debug, Default)]
struct Seen {
    swarm: Look<BTreeMap<String, u64>>,
    collector: Look<Snapshot>,
    frame: Option<Arc<Frame>>,
}

#[derive(Debug)]
struct Look<T> {
    value: Option<T>,
    error: Option<String>,
    again_ms: u64,
}

impl<T> Default for Look<T> {
    fn default() -> Self {
        Self { value: None, error: None, again_ms: 0 }
    }
}

impl<T> Look<T> {
    /// Looks again if it is time to; `spacing_ms` is the least time until the next look.
    async fn again<E: ToString>(&mut self, look: impl Future<Output = Result<T, E>>, spacing_ms: u64) {
        let began_ms = clock::now_ms();
        // The clock may have been set back.
        if began_ms < self.again_ms && self.again_ms - began_ms <= LONGEST_REST_MS {
            return;
        }
        let looked = timeout(PATIENCE, look).await;
        let late = || format!("no answer within {} s", PATIENCE.as_secs());
        match looked.map_err(|_| late()).and_then(|looked| looked.map_err(|error| error.to_string())) {
            Ok(value) => (self.value, self.error) = (Some(value), None),
            Err(error) => self.error = Some(error),
        }
        let ended_ms = clock::now_ms();
        let rest_ms = ended_ms.saturating_sub(began_ms).saturating_mul(REST).max(spacing_ms);
        self.again_ms = ended_ms.saturating_add(rest_ms.min(LONGEST_REST_MS));
    }
}

impl Window {
    /// A window that nobody has looked through.
    #[must_use]
    pub fn new(
        board: Arc<Board>,
        engine: Engine,
        collector: Collector,
        keeper: Option<Keeper>,
        settings: &crate::settings::Settings,
    ) -> Self {
        let (stack, interval) = (settings.stack.clone(), settings.check_interval);
        let orders = settings.admin_token.is_some();
        Self { board, engine, collector, keeper, stack, interval, orders, seen: Mutex::default() }
    }

    /// The newest overview.
    pub async fn frame(&self) -> Arc<Frame> {
        let mut seen = self.seen.lock().await;
        let Seen { swarm, collector, frame } = &mut *seen;
        let counts = async {
            let services = self.engine.services().await?;
            Ok::<_, crate::swarm::SwarmError>(services.into_iter().map(|s| (s.name, s.replicas)).collect())
        };
        // A snapshot of before is as good until the collector's next round.
        let spacing_ms = collector.value.as_ref().map_or(0, |snapshot| snapshot.interval_ms / 2).max(SPACING_MS);
        tokio::join!(swarm.again(counts, SPACING_MS), collector.again(self.collector.snapshot(), spacing_ms));
        let overview = self.overview(swarm, collector);
        // Every part of it can be written as JSON.
        let json = serde_json::to_string(&overview).unwrap_or_else(|_| "null".to_owned());
        match frame {
            Some(frame) if frame.json == json => Arc::clone(frame),
            frame => {
                let number = frame.as_ref().map_or(0, |frame| frame.number.wrapping_add(1));
                Arc::clone(frame.insert(Arc::new(Frame { number, json })))
            }
        }
    }

    fn overview(&self, swarm: &Look<BTreeMap<String, u64>>, collector: &Look<Snapshot>) -> Overview {
        // Counts of a while ago are no present counts.
        let counts = swarm.value.as_ref().filter(|_| swarm.error.is_none());
        let snapshot = collector.value.as_ref();
        let sight = Sight { counts, snapshot };
        let (services, services_total) = self.board.view(|statuses, _| {
            let statuses: Vec<_> = statuses.collect();
            (scaled(statuses.iter().copied(), &sight), statuses.len())
        });
        Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            stack: self.stack.clone(),
            interval_ms: u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX),
            orders: self.orders,
            history: self.keeper.is_some(),
            health: assess(&self.board, self.keeper.as_ref(), self.interval, clock::now_ms()),
            rounds: self.board.rounds(),
            services,
            services_total,
            stack_services: snapshot.map(|s| members(s, self.stack.as_deref())).unwrap_or_default(),
            collected: snapshot.map(Collected::from),
            collector_error: collector.error.clone(),
            swarm_error: swarm.error.clone(),
        }
    }
}
