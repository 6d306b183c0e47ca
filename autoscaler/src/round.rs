//! One round: read, decide, act. It takes no hints from the round before except through the
//! memory, and does not retry anything but a conflict: the next round is the retry.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::RngExt;
use shared::snapshot::Snapshot;

use crate::{
    board::{Board, Event, Rounds, Status},
    collector::Collector,
    figures,
    history::Keeper,
    labels::{self, Directions, Labelled},
    memory::{Memory, Said},
    observe::{View, is_fresh, observe, reading_of, warnings},
    owner,
    paused::Paused,
    placement::Room,
    scaling::{Action, Decision, Reason, decide, explain},
    settings::Defaults,
    state::State,
    swarm::{Service, Swarm, SwarmError},
};

/// Conflicts that one round puts up with before it leaves the service to the next.
const MOST_TRIES: u32 = 3;

/// What the rounds need and keep.
#[derive(Debug)]
pub struct Rounder<S> {
    swarm: S,
    collector: Collector,
    defaults: Defaults,
    stack: Option<String>,
    board: Arc<Board>,
    past: Option<Keeper>,
    memories: HashMap<String, Memory>,
    snapshot: Option<Arc<Snapshot>>,
    /// Whether a write of this round was waited for in vain: further ones would only add up.
    silent: AtomicBool,
}

impl<S: Swarm> Rounder<S> {
    /// Ready for the first round.
    pub fn new(swarm: S, collector: Collector, defaults: Defaults, stack: Option<String>, board: Arc<Board>) -> Self {
        Self {
            swarm,
            collector,
            defaults,
            stack,
            board,
            past: None,
            memories: HashMap::new(),
            snapshot: None,
            silent: AtomicBool::new(false),
        }
    }

    /// The same with a history, from which forecasts take what they knew in former lives.
    #[must_use]
    pub fn with_past(self, past: Option<Keeper>) -> Self {
        Self { past, ..self }
    }

    /// Reads everything once, decides on each service, and acts.
    pub async fn run(&mut self, now_ms: u64) {
        let (services, nodes, snapshot) =
            tokio::join!(self.swarm.services(), self.swarm.nodes(), self.collector.snapshot());
        let mut rounds = Rounds { last_ms: Some(now_ms), ..Rounds::default() };
        match snapshot {
            Ok(snapshot) => self.snapshot = Some(Arc::new(snapshot)),
            // The last one stands in until its age speaks against it.
            Err(error) => rounds.collector_error = Some(error.to_string()),
        }
        if let Some(snapshot) = &self.snapshot {
            rounds.snapshot_at_ms = Some(snapshot.taken_at_ms);
            rounds.snapshot_fresh = is_fresh(snapshot, now_ms);
        }
        self.complain(&rounds);
        match services {
            Ok(services) => {
                // Without the nodes, a task that finds no place is noticed when it waits.
                let nodes = nodes.unwrap_or_else(|error| {
                    tracing::warn!(%error, "cannot read the nodes");
                    Vec::new()
                });
                let snapshot = self.snapshot.clone();
                let room = snapshot.as_ref().filter(|_| !nodes.is_empty()).map(|s| Room::new(&nodes, &services, s));
                let view = View { snapshot: snapshot.as_deref(), room };
                let statuses = self.visit(&services, &view, now_ms).await;
                self.board.publish(statuses, rounds.clone());
            }
            Err(error) => {
                let error = error.to_string();
                if self.board.rounds().swarm_error.as_ref() != Some(&error) {
                    tracing::error!(%error, "cannot read the Swarm, nothing is scaled until it answers");
                }
                rounds.swarm_error = Some(error);
                self.board.blind(rounds.clone());
            }
        }
        figures::round(&rounds, now_ms);
    }

    fn complain(&self, rounds: &Rounds) {
        match (&self.board.rounds().collector_error, &rounds.collector_error) {
            (before, Some(error)) if before.as_ref() != Some(error) => {
                tracing::warn!(%error, "no snapshot: services are held once the last one is too old");
            }
            (Some(_), None) => tracing::info!("the collector answers again"),
            _ => {}
        }
    }

    async fn visit(&mut self, services: &[Service], view: &View<'_>, now_ms: u64) -> Vec<Status> {
        self.silent = AtomicBool::new(false);
        let stack = self.stack.clone();
        let mut statuses = Vec::new();
        let mut seen = HashMap::new();
        for service in owner::ours(services, stack.as_deref()) {
            let memory = match self.memories.entry(service.id.clone()) {
                Entry::Occupied(entry) => entry.remove(),
                Entry::Vacant(_) => Memory::first_sight(service, now_ms),
            };
            if let (memory, Some(status)) = self.visit_one(service, memory, view, now_ms).await {
                seen.insert(service.id.clone(), memory);
                statuses.push(status);
            }
        }
        // Services that are gone, or no longer ours, are forgotten.
        self.memories = seen;
        statuses
    }

    /// Decides on one service and acts; `None` when it is not to be scaled.
    async fn visit_one(
        &self,
        service: &Service,
        mut memory: Memory,
        view: &View<'_>,
        now_ms: u64,
    ) -> (Memory, Option<Status>) {
        let mut read;
        let mut service = service;
        for attempt in 1.. {
            let directions = match labels::parse(&service.labels, &self.defaults) {
                Labelled::No => return (memory, None),
                Labelled::Wrong(problems) => return self.leave_alone(service, memory, problems, now_ms),
                Labelled::Yes(directions) => directions.at(now_ms),
            };
            memory.update(service, now_ms);
            let observed = observe(service, memory.before_redeploy, view);
            memory.recall(self.past.as_ref(), &service.name, &directions.policy);
            memory.look_ahead(&directions.policy, &observed, now_ms);
            let decision = decide(&directions.policy, &observed, &memory.history, now_ms);
            let outcome = self.apply(service, &directions, &decision, memory.note(&decision, now_ms)).await;
            if matches!(outcome, Outcome::Failed(SwarmError::Conflict)) && attempt < MOST_TRIES {
                let jitter = rand::rng().random_range(20..100);
                tokio::time::sleep(Duration::from_millis(jitter)).await;
                match self.swarm.service(&service.id).await {
                    Ok(again) => {
                        read = again;
                        service = &read;
                        continue;
                    }
                    Err(SwarmError::NotFound) => return (memory, None),
                    Err(error) => tracing::warn!(%error, service = service.name, "cannot read it again"),
                }
            }
            // Unless the gates say that somebody, human or Swarm, is at work on it.
            let elsewhere = matches!(decision.reason, Reason::NotReplicated | Reason::Paused | Reason::Updating);
            let may_replace = decision.action == Action::Hold && !directions.dry_run && !elsewhere;
            let mut status = self.conclude(service, &mut memory, &directions, observed, decision, outcome, now_ms);
            status.warnings = warnings(service, view);
            status.warnings.extend(self.replace_paused(service, &mut memory, may_replace, view, now_ms).await);
            return (memory, Some(status));
        }
        (memory, None)
    }

    async fn apply(&self, service: &Service, directions: &Directions, decision: &Decision, note: State) -> Outcome {
        if decision.action == Action::Hold || directions.dry_run {
            return Outcome::Nothing;
        }
        if self.silent.load(Ordering::Relaxed) {
            return Outcome::Failed(SwarmError::GivenUp);
        }
        match self.swarm.scale(service, decision.wanted, &note.to_string()).await {
            Ok(()) => Outcome::Done,
            Err(error) => {
                self.note(&error);
                Outcome::Failed(error)
            }
        }
    }

    fn note(&self, error: &SwarmError) {
        self.silent.store(matches!(error, SwarmError::Unreachable { .. }), Ordering::Relaxed);
    }

    /// Has all tasks replaced once one of them was paused for too long; says what becomes of those that are paused.
    async fn replace_paused(
        &self,
        service: &Service,
        memory: &mut Memory,
        may: bool,
        view: &View<'_>,
        now_ms: u64,
    ) -> Option<String> {
        let snapshot = view.snapshot.filter(|snapshot| is_fresh(snapshot, now_ms))?;
        memory.paused.look(reading_of(service, snapshot)?, now_ms);
        let longest = memory.paused.longest(now_ms)?;
        let after = self.defaults.replace_paused_after.filter(|_| may);
        let warning = memory.paused.warning(after);
        if after.is_none_or(|after| longest < after) || self.silent.load(Ordering::Relaxed) {
            return warning;
        }
        let name = &service.name;
        match self.swarm.replace_tasks(service).await {
            Ok(()) => {
                tracing::warn!(
                    service = name,
                    "a task of {name} was paused for too long: all are replaced, one by one"
                );
                figures::replaced(name);
                // Swarm is busy with it from now on; should it not succeed, the time begins anew.
                memory.paused = Paused::default();
            }
            // Somebody else wrote: the next round sees what.
            Err(SwarmError::Conflict) => {}
            Err(error) => {
                self.note(&error);
                tracing::error!(%error, service = name, "cannot replace a paused task of {name}");
            }
        }
        warning
    }

    #[allow(clippy::too_many_arguments, reason = "everything that one visit found out meets here")]
    fn conclude(
        &self,
        service: &Service,
        memory: &mut Memory,
        directions: &Directions,
        observed: crate::scaling::Observed,
        decision: Decision,
        outcome: Outcome,
        now_ms: u64,
    ) -> Status {
        let said = Said::Decision(decision.reason, decision.wanted);
        let changed = memory.said.as_ref() != Some(&said);
        let error = match &outcome {
            Outcome::Failed(error) => Some(error.to_string()),
            _ => None,
        };
        let applied = matches!(outcome, Outcome::Done);
        let last = memory.history.last;
        let decision_acts = decision.action != Action::Hold;
        if applied || changed || error.is_some() {
            announce(&service.name, directions, &decision, applied, error.as_deref());
            self.board.add(Event {
                at_ms: now_ms,
                service: service.name.clone(),
                from: decision.from,
                to: decision.wanted,
                action: decision.action,
                reason: decision.reason,
                why: explain::sentence(&decision),
                applied,
                error: error.clone(),
            });
        }
        if error.is_some() {
            figures::apply_failed(&service.name);
        }
        figures::decided(&service.name, &decision);
        let mut status = Status::decided(
            &service.name,
            now_ms,
            directions,
            observed,
            memory.history.clone(),
            memory.foresight.start_up_ms(),
            decision.clone(),
        );
        if let Some(error) = &error {
            status.why = format!("{}; writing that failed: {error}", status.why);
        } else if directions.dry_run && decision_acts {
            status.why = format!("dry run, nothing is done: {}", status.why);
        }
        status.apply_error = error;
        memory.said = Some(said);
        memory.history.note(&decision, &directions.policy, now_ms);
        if applied {
            figures::stepped(&service.name, &decision, last);
            memory.applied(&decision, now_ms);
        }
        status
    }

    fn leave_alone(
        &self,
        service: &Service,
        mut memory: Memory,
        problems: Vec<String>,
        now_ms: u64,
    ) -> (Memory, Option<Status>) {
        let said = Said::Wrong(problems.clone());
        let status = Status::wrong(&service.name, service.replicas, now_ms, problems);
        if memory.said.as_ref() != Some(&said) {
            let problems = status.config_errors.join("; ");
            tracing::error!(service = service.name, problems, "labels are wrong, the service is left alone");
        }
        memory.said = Some(said);
        (memory, Some(status))
    }
}

enum Outcome {
    Nothing,
    Done,
    Failed(SwarmError),
}

fn announce(service: &str, directions: &Directions, decision: &Decision, applied: bool, error: Option<&str>) {
    let (from, to, reason) = (decision.from, decision.wanted, decision.reason.code());
    let why = explain::sentence(decision);
    if applied {
        tracing::info!(service, from, to, reason, why, "scaled {service} from {from} to {to}");
    } else if let Some(error) = error {
        tracing::error!(service, from, to, reason, error, "cannot change the replica count of {service}");
    } else if decision.action == Action::Hold {
        tracing::info!(service, replicas = from, reason, why, "{service} is held");
    } else if directions.dry_run {
        tracing::info!(service, from, to, reason, why, "dry run: {service} would go from {from} to {to}");
    }
}
