//! What was done and recommended before. The last step survives a restart in a label of the
//! service; recommendations do not, and are replaced by the present count.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Decision, Forecast, Metric, Policy, Reason, Vote};

/// What the rules remember of one service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// The last change that we made; `None` if we never made one.
    pub last: Option<Step>,
    /// Recommendations by age; equal neighbours are kept once, with the newest time.
    pub recommendations: Vec<Recommendation>,
    /// A count that somebody else set.
    pub manual: Option<Manual>,
    /// Until when an operator wants to be left alone.
    pub paused_until_ms: Option<u64>,
    /// Scale-ups in a row without a quiet moment in between.
    pub ups: u32,
    /// Of these, the ones that errors alone asked for.
    pub error_ups: u32,
    /// What is expected of the work behind each metric.
    pub forecasts: BTreeMap<Metric, Forecast>,
}

/// One change of a replica count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Replicas before.
    pub from: u64,
    /// Replicas after.
    pub to: u64,
    /// When.
    pub at_ms: u64,
}

impl Step {
    pub(super) fn is_up(self) -> bool {
        self.to > self.from
    }

    /// Neither this nor the other when an operator handed back a count that somebody had set.
    pub(super) fn is_down(self) -> bool {
        self.to < self.from
    }
}

/// A count that the metrics asked for at some time, whether or not it was acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// When.
    pub at_ms: u64,
    /// Replicas.
    pub replicas: u64,
}

/// A count that somebody else set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manual {
    /// Replicas.
    pub replicas: u64,
    /// When it was set, as far as known.
    pub at_ms: u64,
}

/// More entries than any window needs; bounds the memory when the load flutters.
const MOST_RECOMMENDATIONS: usize = 1_000;

impl History {
    /// The memory of a service that is seen for the first time since the start: the present
    /// count stands as a recommendation, so that nothing shrinks on first sight.
    #[must_use]
    pub fn first_sight(last: Option<Step>, replicas: u64, now_ms: u64) -> Self {
        Self { last, recommendations: vec![Recommendation { at_ms: now_ms, replicas }], ..Self::default() }
    }

    /// Compares the present count with the last one that we set or, as long as we set none,
    /// with the one `before`. `changed_at_ms` is when the service was last written.
    pub fn notice(&mut self, replicas: u64, before: Option<u64>, changed_at_ms: u64) {
        match (self.last, self.manual) {
            (Some(last), _) if last.to == replicas => self.manual = None,
            (_, Some(manual)) if manual.replicas == replicas => {}
            (None, _) if before.is_none_or(|before| before == replicas) => {}
            _ => self.manual = Some(Manual { replicas, at_ms: changed_at_ms }),
        }
    }

    /// Remembers what was recommended, acted on or not. Without any measurement the present
    /// count stands in, so that the first reading after a blind time does not shrink at once.
    pub fn note(&mut self, decision: &Decision, policy: &Policy, now_ms: u64) {
        let (up, down) = policy.windows();
        let oldest = now_ms.saturating_sub(up.max(down));
        // A clock that was set back must not make a recommendation forgotten, nor last for ever.
        self.recommendations.iter_mut().for_each(|r| r.at_ms = r.at_ms.min(now_ms));
        self.recommendations.retain(|r| r.at_ms >= oldest);
        match self.recommendations.last_mut() {
            Some(last) if last.replicas == decision.recommended => last.at_ms = now_ms,
            _ => self.recommendations.push(Recommendation { at_ms: now_ms, replicas: decision.recommended }),
        }
        let excess = self.recommendations.len().saturating_sub(MOST_RECOMMENDATIONS);
        self.recommendations.drain(..excess);
        if decision.quiet() {
            self.ups = 0;
        }
        // Silent is measured and not above the threshold; not measured is not over.
        if decision.proposals.get(&Metric::ErrorRate).is_some_and(|errors| errors.vote == Vote::Silent) {
            self.error_ups = 0;
        }
    }

    /// Remembers an action that succeeded.
    pub fn applied(&mut self, decision: &Decision, now_ms: u64) {
        self.last = Some(Step { from: decision.from, to: decision.wanted, at_ms: now_ms });
        self.manual = None;
        if decision.action == Action::Up {
            self.ups = self.ups.saturating_add(1);
            self.error_ups = self.error_ups.saturating_add(u32::from(decision.reason == Reason::ErrorRateHigh));
        } else {
            self.ups = 0;
        }
    }
}
