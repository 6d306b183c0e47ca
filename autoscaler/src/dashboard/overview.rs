//! Everything at one glance. Pure: put together from the board, the collector's snapshot and
//! the counts that the Swarm shows at this moment. What is not known is absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::snapshot::{BalancerReading, CacheReading, DatabaseServer, ServiceReading, Snapshot, SourceStatus};

use crate::{
    board::{Ordered, Rounds, Status},
    health::Health,
    history::Point,
    scaling::{Bounds, Decision, Manual, Metric, Rule, Step},
};

/// More services than anybody reads; the overview says how many there are.
const MOST_SERVICES: usize = 500;

/// The overview.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Overview {
    /// The autoscaler's version.
    pub version: String,
    /// The stack that it belongs to.
    pub stack: Option<String>,
    /// Time between two rounds.
    pub interval_ms: u64,
    /// Whether orders can be given at all: without an admin token they cannot.
    pub orders: bool,
    /// Whether readings are kept over time.
    pub history: bool,
    /// How the autoscaler is.
    pub health: Health,
    /// How its rounds fare.
    pub rounds: Rounds,
    /// The services that are autoscaled, by name.
    pub services: Vec<Scaled>,
    /// How many there are, should they be too many to show.
    pub services_total: usize,
    /// Every service of the stack, autoscaled or not.
    pub stack_services: Vec<Member>,
    /// What the collector said last; `None` without it.
    pub collected: Option<Collected>,
    /// Why nothing newer than that could be had.
    pub collector_error: Option<String>,
    /// Why the present counts could not be read.
    pub swarm_error: Option<String>,
}

/// A service that is autoscaled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scaled {
    /// Name, with the stack's prefix.
    pub service: String,
    /// Replicas in its specification, now.
    pub replicas: u64,
    /// Replicas that run; `None` without a snapshot.
    pub running: Option<u64>,
    /// Why it is where it is, in one sentence.
    pub why: String,
    /// When that was decided.
    pub decided_at_ms: u64,
    /// Wrong labels.
    pub config_errors: Vec<String>,
    /// What should be mended although it stops nothing.
    pub warnings: Vec<String>,
    /// Why the last attempt to scale it failed.
    pub apply_error: Option<String>,
    /// What an operator asked for since.
    pub ordered: Option<Ordered>,
    /// `None` when the labels are wrong.
    pub detail: Option<Judged>,
}

/// The decision on a service, and what it stands on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Judged {
    /// The decision, with what each metric said and what is expected.
    pub decision: Decision,
    /// Fewest and most replicas, schedules included.
    pub bounds: Bounds,
    /// What each metric is compared with.
    pub rules: BTreeMap<Metric, Rule>,
    /// Windows that raise the bounds now.
    pub schedules: Vec<String>,
    /// How far one step goes.
    pub algorithm: String,
    /// Shown, not acted on.
    pub dry_run: bool,
    /// The last change that we made.
    pub last: Option<Step>,
    /// A count that somebody else set.
    pub manual: Option<Manual>,
    /// Until when an operator wants it left alone.
    pub paused_until_ms: Option<u64>,
    /// Replicas that the nodes can hold.
    pub room: Option<u64>,
    /// When the reading was taken that this stands on.
    pub reading_at_ms: Option<u64>,
    /// This moment as it goes into the history.
    pub point: Option<Point>,
}

/// One service of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name, with the stack's prefix.
    pub service: String,
    /// Tasks that should run.
    pub wanted: u64,
    /// Tasks that do.
    pub running: u64,
    /// Tasks that are on their way.
    pub starting: u64,
}

/// What the collector knows beside the services.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Collected {
    /// When its round closed.
    pub at_ms: u64,
    /// Time between two rounds.
    pub interval_ms: u64,
    /// How each source fared.
    pub sources: Vec<SourceStatus>,
    /// The balancers together.
    pub balancer: Option<BalancerReading>,
    /// Every database server that answered.
    pub databases: Vec<DatabaseServer>,
    /// The cache's memory, by the service that is it.
    pub caches: BTreeMap<String, CacheReading>,
}

/// What there is to look at beside the board.
#[derive(Debug, Default)]
pub struct Sight<'a> {
    /// Replica counts that the Swarm shows now, by service.
    pub counts: Option<&'a BTreeMap<String, u64>>,
    /// The collector's newest snapshot.
    pub snapshot: Option<&'a Snapshot>,
}

impl Scaled {
    /// A status as it is shown.
    #[must_use]
    pub fn of(status: &Status, sight: &Sight<'_>) -> Self {
        let reading = sight.snapshot.and_then(|snapshot| snapshot.services.get(&status.service));
        let ordered = status.ordered.as_ref().map(|ordered| ordered.replicas);
        let counted = sight.counts.and_then(|counts| counts.get(&status.service)).copied();
        Self {
            service: status.service.clone(),
            replicas: counted.or(ordered).unwrap_or_else(|| after(status)),
            running: reading.map(|reading| reading.replicas_running),
            why: status.why.clone(),
            decided_at_ms: status.decided_at_ms,
            config_errors: status.config_errors.clone(),
            warnings: status.warnings.clone(),
            apply_error: status.apply_error.clone(),
            ordered: status.ordered.clone(),
            detail: judged(status),
        }
    }
}

/// Replicas after the last round: those it saw, or those it then wrote.
fn after(status: &Status) -> u64 {
    let written = status.detail.as_ref().filter(|detail| !detail.dry_run && status.apply_error.is_none());
    written.map_or(status.replicas, |detail| detail.decision.wanted)
}

fn judged(status: &Status) -> Option<Judged> {
    let detail = status.detail.as_ref()?;
    let (policy, history) = (&detail.policy, &detail.history);
    Some(Judged {
        decision: detail.decision.clone(),
        bounds: policy.bounds,
        rules: policy.metrics.clone(),
        schedules: detail.schedules.clone(),
        algorithm: if policy.forecast { "predictive" } else { policy.algorithm.name() }.to_owned(),
        dry_run: detail.dry_run,
        last: history.last,
        manual: history.manual,
        paused_until_ms: history.paused_until_ms.filter(|until| *until > status.decided_at_ms),
        room: detail.observed.room,
        reading_at_ms: detail.observed.reading.as_ref().map(|reading| reading.taken_at_ms),
        point: Point::of(status),
    })
}

/// The autoscaled services, as many as are shown.
#[must_use]
pub fn scaled<'a>(statuses: impl Iterator<Item = &'a Status>, sight: &Sight<'_>) -> Vec<Scaled> {
    statuses.take(MOST_SERVICES).map(|status| Scaled::of(status, sight)).collect()
}

/// The services of a stack; outside of one, all there are.
#[must_use]
pub fn members(snapshot: &Snapshot, stack: Option<&str>) -> Vec<Member> {
    let prefix = stack.map(|stack| format!("{stack}_")).unwrap_or_default();
    let own = snapshot.services.iter().filter(|(name, _)| name.starts_with(&prefix));
    own.take(MOST_SERVICES).map(|(name, reading)| member(name, reading)).collect()
}

fn member(name: &str, reading: &ServiceReading) -> Member {
    let count = |states: &[shared::snapshot::TaskState]| {
        reading.tasks.iter().filter(|task| states.contains(&task.state)).count() as u64
    };
    use shared::snapshot::TaskState::{Pending, Running, Starting};
    // A global service has as many tasks as nodes it fits on: those that Swarm has made for it.
    let wanted = reading.replicas_desired.unwrap_or_else(|| count(&[Pending, Starting, Running]));
    Member {
        service: name.to_owned(),
        wanted,
        running: reading.replicas_running,
        starting: count(&[Pending, Starting]),
    }
}

impl From<&Snapshot> for Collected {
    fn from(snapshot: &Snapshot) -> Self {
        let caches =
            snapshot.services.iter().filter_map(|(name, reading)| Some((name.clone(), reading.cache.clone()?)));
        Self {
            at_ms: snapshot.taken_at_ms,
            interval_ms: snapshot.interval_ms,
            sources: snapshot.sources.clone(),
            balancer: snapshot.balancer.as_ref().cloned(),
            databases: snapshot.databases.clone(),
            caches: caches.collect(),
        }
    }
}
