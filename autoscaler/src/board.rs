//! What the status server shows: written by the loop, read by everyone, never the other way.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};

use crate::{
    labels::Directions,
    scaling::{Action, Decision, History, Observed, Policy, Reason, explain},
};

/// Decisions that are kept for `/api/v1/decisions`.
pub const MOST_EVENTS: usize = 1_000;

/// Decisions that a slow listener may be behind; it is told when it missed some.
const MOST_BEHIND: usize = 256;

/// The board.
#[derive(Debug, Default)]
pub struct Board(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    services: BTreeMap<String, Status>,
    events: VecDeque<Event>,
    rounds: Rounds,
    /// `None` once the board is closed.
    listeners: Option<Listeners>,
}

#[derive(Debug)]
struct Listeners {
    decisions: broadcast::Sender<Event>,
    rounds: watch::Sender<()>,
}

/// Hears of what happens on the board, until it is closed.
#[derive(Debug)]
pub struct Listener {
    /// Every decision from now on.
    pub decisions: broadcast::Receiver<Event>,
    /// Changes with every round that ends.
    pub rounds: watch::Receiver<()>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            services: BTreeMap::new(),
            events: VecDeque::new(),
            rounds: Rounds::default(),
            listeners: Some(Listeners {
                decisions: broadcast::Sender::new(MOST_BEHIND),
                rounds: watch::Sender::new(()),
            }),
        }
    }
}

/// How the rounds fare.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rounds {
    /// When the last one ended; `None` before the first.
    pub last_ms: Option<u64>,
    /// When the newest snapshot was taken; `None` without one.
    pub snapshot_at_ms: Option<u64>,
    /// Whether it is young enough to decide on.
    pub snapshot_fresh: bool,
    /// Why the Swarm could not be read.
    pub swarm_error: Option<String>,
    /// Why there was no new snapshot.
    pub collector_error: Option<String>,
}

/// One service, with everything that led to its state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Name, with the stack's prefix.
    pub service: String,
    /// Replicas in its specification.
    pub replicas: u64,
    /// Why it is where it is, in one sentence.
    pub why: String,
    /// When that was decided.
    pub decided_at_ms: u64,
    /// Wrong labels; a service that has some is left alone.
    pub config_errors: Vec<String>,
    /// What should be mended although it stops nothing.
    pub warnings: Vec<String>,
    /// Why the last attempt to scale it failed.
    pub apply_error: Option<String>,
    /// What an operator asked for since that was decided; the next round takes it up.
    #[serde(default)]
    pub ordered: Option<Ordered>,
    /// Everything that was decided and looked at; `None` when the labels are wrong.
    pub detail: Option<Detail>,
}

/// An order that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// When.
    pub at_ms: u64,
    /// What, as a sentence.
    pub text: String,
    /// Replicas since then.
    pub replicas: u64,
    /// Until when the service is left alone; `None` when it is not paused.
    pub paused_until_ms: Option<u64>,
}

/// The decision and its inputs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Detail {
    /// Shown, not acted on.
    pub dry_run: bool,
    /// Windows that raise the bounds now.
    pub schedules: Vec<String>,
    /// The answer.
    pub decision: Decision,
    /// What the labels and settings ask for.
    pub policy: Policy,
    /// What was seen.
    pub observed: Observed,
    /// What was remembered.
    pub history: History,
    /// How long its new replicas took to start of late; `None` when that was not measured.
    pub start_up_ms: Option<u64>,
}

impl Status {
    /// Of a service that was decided on.
    #[must_use]
    pub fn decided(
        service: &str,
        at_ms: u64,
        directions: &Directions,
        observed: Observed,
        history: History,
        start_up_ms: Option<u64>,
        decision: Decision,
    ) -> Self {
        Self {
            service: service.to_owned(),
            replicas: observed.replicas,
            why: explain::sentence(&decision),
            decided_at_ms: at_ms,
            config_errors: Vec::new(),
            warnings: Vec::new(),
            apply_error: None,
            ordered: None,
            detail: Some(Detail {
                dry_run: directions.dry_run,
                schedules: directions.active.clone(),
                decision,
                policy: directions.policy.clone(),
                observed,
                history,
                start_up_ms,
            }),
        }
    }

    /// Of a service whose labels are wrong.
    #[must_use]
    pub fn wrong(service: &str, replicas: u64, at_ms: u64, problems: Vec<String>) -> Self {
        Self {
            service: service.to_owned(),
            replicas,
            why: format!("left alone: {}", problems.join("; ")),
            decided_at_ms: at_ms,
            config_errors: problems,
            warnings: Vec::new(),
            apply_error: None,
            ordered: None,
            detail: None,
        }
    }
}

/// A decision that changed something, or that differs from the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_ms: u64,
    /// Name of the service.
    pub service: String,
    /// Replicas before.
    pub from: u64,
    /// Replicas wanted.
    pub to: u64,
    /// Direction.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Why, as a sentence.
    pub why: String,
    /// Whether it was carried out; never for a hold or in a dry run.
    pub applied: bool,
    /// Why it could not be carried out.
    pub error: Option<String>,
}

impl Board {
    /// Replaces the view of all services.
    pub fn publish(&self, services: Vec<Status>, rounds: Rounds) {
        let mut inner = self.lock();
        let mut before = std::mem::take(&mut inner.services);
        let services = services.into_iter().map(|mut status| {
            // A round that had begun before an order does not know of it.
            let ordered = before.remove(&status.service).and_then(|status| status.ordered);
            status.ordered = ordered.filter(|ordered| ordered.at_ms >= status.decided_at_ms);
            (status.service.clone(), status)
        });
        inner.services = services.collect();
        inner.end_round(rounds);
    }

    /// Shows an order until a round has taken it up.
    pub fn ordered(&self, service: &str, ordered: Ordered) {
        if let Some(status) = self.lock().services.get_mut(service) {
            status.ordered = Some(ordered);
        }
    }

    /// Notes that a round could not see the Swarm; the last view stays.
    pub fn blind(&self, rounds: Rounds) {
        self.lock().end_round(rounds);
    }

    /// Adds a decision, forgetting the oldest when there are too many.
    pub fn add(&self, event: Event) {
        let mut inner = self.lock();
        if inner.events.len() == MOST_EVENTS {
            inner.events.pop_front();
        }
        if let Some(listeners) = &inner.listeners {
            // Nobody may be listening.
            let _ = listeners.decisions.send(event.clone());
        }
        inner.events.push_back(event);
    }

    /// Puts decisions of former lives before those of this one. Nobody is told of them.
    pub fn restore(&self, events: Vec<Event>) {
        let mut inner = self.lock();
        let room = MOST_EVENTS.saturating_sub(inner.events.len());
        for event in events.into_iter().rev().take(room) {
            inner.events.push_front(event);
        }
    }

    /// Hears of everything from now on; `None` once the board is closed.
    #[must_use]
    pub fn listen(&self) -> Option<Listener> {
        let inner = self.lock();
        let Listeners { decisions, rounds } = inner.listeners.as_ref()?;
        Some(Listener { decisions: decisions.subscribe(), rounds: rounds.subscribe() })
    }

    /// Looks at all services and the rounds without copying them. The loop waits meanwhile, so
    /// the look has to be a quick one.
    pub fn view<T>(&self, look: impl FnOnce(&mut dyn Iterator<Item = &Status>, &Rounds) -> T) -> T {
        let inner = self.lock();
        look(&mut inner.services.values(), &inner.rounds)
    }

    /// Sends all listeners home, so that nobody holds up the end of the program.
    pub fn close(&self) {
        self.lock().listeners = None;
    }

    /// All services by name.
    #[must_use]
    pub fn services(&self) -> Vec<Status> {
        let inner = self.lock();
        inner.services.values().map(|status| inner.account(status)).collect()
    }

    /// One service by its name, with or without the stack's prefix.
    #[must_use]
    pub fn service(&self, name: &str, stack: Option<&str>) -> Option<Status> {
        let inner = self.lock();
        let prefixed = stack.map(|stack| format!("{stack}_{name}"));
        let found = inner.services.get(name).or_else(|| inner.services.get(&prefixed?));
        found.map(|status| inner.account(status))
    }

    /// The newest decisions first, of one service or of all.
    #[must_use]
    pub fn events(&self, matches: impl Fn(&Event) -> bool, limit: usize) -> Vec<Event> {
        self.lock().events.iter().rev().filter(|event| matches(event)).take(limit).cloned().collect()
    }

    /// How the rounds fare.
    #[must_use]
    pub fn rounds(&self) -> Rounds {
        self.lock().rounds.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held leaves whole values behind: each is written in one go.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What a service is like as far as is known: without the Swarm, only what it was like.
    fn account(&self, status: &Status) -> Status {
        let mut status = status.clone();
        if let Some(error) = &self.rounds.swarm_error {
            let (n, before) = (status.replicas, &status.why);
            status.why = format!("stays at {n}: the Swarm cannot be read: {error}; the decision before was: {before}");
        }
        status
    }

    fn end_round(&mut self, rounds: Rounds) {
        self.rounds = rounds;
        if let Some(listeners) = &self.listeners {
            listeners.rounds.send_replace(());
        }
    }
}
