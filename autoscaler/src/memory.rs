//! What is remembered of a service between two rounds, and how a redeploy is told from a
//! human: a redeploy takes our label away, a human's `docker service scale` leaves it.

use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::{
    history::Keeper,
    paused::Paused,
    scaling::{Decision, Foresight, History, Observed, Policy, Reason, Recommendation, Step},
    state::State,
    swarm::Service,
};

/// One service's memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// For the rules.
    pub history: History,
    /// The count that a redeploy took away and that is not restored yet.
    pub before_redeploy: Option<u64>,
    /// What was learnt about the time to come.
    pub foresight: Foresight,
    /// What was learnt of it in former lives.
    recalled: Recalled,
    /// Who of its tasks is paused.
    pub paused: Paused,
    /// What was last said about it, so that the log speaks on changes only.
    pub said: Option<Said>,
    had_label: bool,
    /// The count of the round before; `None` at first sight.
    seen: Option<u64>,
    noted_step: Noted,
    noted_manual: Noted,
}

/// A time in a note that is later than now, and when it was first seen: a clock was ahead, or
/// ours was set back. What it tells of counts as done at first sight, so that nothing is waited
/// for any longer than usual.
#[derive(Debug, Default)]
struct Noted(Option<(u64, u64)>);

impl Noted {
    fn believed(&mut self, noted_ms: u64, now_ms: u64) -> u64 {
        let (noted, first_seen) = self.0.filter(|(known, _)| *known == noted_ms).unwrap_or((noted_ms, now_ms));
        self.0 = (noted > first_seen).then_some((noted, first_seen));
        noted.min(first_seen).min(now_ms)
    }
}

/// How far the past of a service has come back.
#[derive(Debug, Default)]
enum Recalled {
    /// Not asked for: nothing is forecast.
    #[default]
    No,
    /// Asked for, and on its way.
    Soon(oneshot::Receiver<Foresight>),
    /// It is part of what was learnt.
    Yes,
}

/// A thing that is said once until it changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// An outcome and the count that goes with it.
    Decision(Reason, u64),
    /// Wrong labels.
    Wrong(Vec<String>),
}

impl Memory {
    /// The memory of a service that is seen for the first time since the start.
    #[must_use]
    pub fn first_sight(service: &Service, now_ms: u64) -> Self {
        let state = State::read(&service.labels);
        let before = service.previous.as_ref().and_then(|p| Some((State::read(&p.labels)?, p.replicas)));
        // The label is on the former specification only: redeployed while nobody watched.
        let redeployed = before.filter(|_| state.is_none());
        let known = state.or(redeployed.map(|(before, _)| before)).unwrap_or_default();
        let mut history = History::first_sight(known.step, service.replicas, now_ms);
        history.paused_until_ms = known.paused_until_ms;
        Self {
            history,
            // A note without a step is an operator's: the count was never ours to restore.
            before_redeploy: redeployed.and_then(|(before, replicas)| before.step.map(|_| replicas)),
            had_label: state.is_some(),
            ..Self::default()
        }
    }

    /// The note to write with a step that is being taken now. An operator's count ends with it.
    #[must_use]
    pub fn note(&self, decision: &Decision, now_ms: u64) -> State {
        let step = Step { from: decision.from, to: decision.wanted, at_ms: now_ms };
        let paused_until_ms = self.history.paused_until_ms.filter(|until| *until > now_ms);
        State { step: Some(step), paused_until_ms, manual: None }
    }

    /// Takes in what former lives learnt, as soon as it is there. Until then, and without it,
    /// forecasts begin with what is seen now.
    pub fn recall(&mut self, past: Option<&Keeper>, service: &str, policy: &Policy) {
        self.recalled = match (std::mem::take(&mut self.recalled), past) {
            _ if !policy.forecast => Recalled::No,
            (Recalled::No, Some(past)) => Recalled::Soon(past.recall(service)),
            (Recalled::Soon(mut soon), _) => match soon.try_recv() {
                Ok(foresight) => {
                    self.foresight = foresight;
                    Recalled::Yes
                }
                Err(TryRecvError::Empty) => Recalled::Soon(soon),
                // The history cannot be read: it is asked for again.
                Err(TryRecvError::Closed) => Recalled::No,
            },
            (recalled, _) => recalled,
        };
    }

    /// Learns from what was seen, and keeps what is expected where the rules look for it.
    pub fn look_ahead(&mut self, policy: &Policy, observed: &Observed, now_ms: u64) {
        let expected = self.foresight.look(policy, observed, self.history.last, now_ms);
        // A snapshot that was seen before teaches nothing; what it taught is still expected.
        self.history.forecasts.extend(expected);
        self.history.forecasts.retain(|metric, _| policy.forecast && policy.metrics.contains_key(metric));
    }

    /// Takes in that a decision was carried out; the label was written with it.
    pub fn applied(&mut self, decision: &Decision, now_ms: u64) {
        self.history.applied(decision, now_ms);
        self.before_redeploy = None;
        self.had_label = true;
    }

    /// The note with no time in it that is yet to come.
    fn believed(&mut self, mut state: State, now_ms: u64) -> State {
        if let Some(step) = &mut state.step {
            step.at_ms = self.noted_step.believed(step.at_ms, now_ms);
        }
        if let Some(manual) = &mut state.manual {
            manual.at_ms = self.noted_manual.believed(manual.at_ms, now_ms);
        }
        state
    }

    /// Takes in the service as it was read.
    pub fn update(&mut self, service: &Service, now_ms: u64) {
        let before = self.seen.replace(service.replicas);
        let state = State::read(&service.labels).map(|state| self.believed(state, now_ms));
        if let Some(last) = &mut self.history.last {
            last.at_ms = last.at_ms.min(now_ms);
        }
        match state {
            Some(state) => {
                self.had_label = true;
                self.before_redeploy = None;
                self.history.paused_until_ms = state.paused_until_ms;
                // Newer than what we know: an answer that got lost, another autoscaler, an operator.
                self.history.last = match (state.step, self.history.last) {
                    (Some(step), Some(last)) if step.at_ms < last.at_ms => Some(rolled_back(last, step, service)),
                    (step, last) => step.or(last),
                };
            }
            None if self.had_label => {
                self.had_label = false;
                self.before_redeploy = self.history.last.map(|last| last.to);
            }
            None => {}
        }
        match self.before_redeploy {
            Some(before) if before > service.replicas => return,
            Some(before) if before < service.replicas => {
                // The file asks for more than there was: not a human's count either, and no
                // reason to shrink at once.
                self.history.last = None;
                let present = Recommendation { at_ms: now_ms, replicas: service.replicas };
                self.history.recommendations.push(present);
            }
            _ => {
                let changed_at_ms = service.updated_at_ms.map_or(now_ms, |at| at.min(now_ms));
                self.history.notice(service.replicas, before, changed_at_ms);
            }
        }
        self.before_redeploy = None;
        if let Some(manual) = state.and_then(|state| state.manual).filter(|manual| manual.replicas == service.replicas)
        {
            self.history.manual = Some(manual);
        }
    }
}

/// The last step, after a note was read that is older. When its count is there as well, the service
/// was rolled back to before our last step: no human chose that count, and the cooldown goes on.
fn rolled_back(last: Step, older: Step, service: &Service) -> Step {
    if service.replicas == older.to { Step { at_ms: last.at_ms, ..older } } else { last }
}
