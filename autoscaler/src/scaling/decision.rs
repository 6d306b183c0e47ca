//! The answer, and everything that led to it: enough to say in one sentence why a service
//! is, or is not, scaled.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Forecast, Metric, Mode, Observed, Rule, target};

/// What to do with one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Replicas now.
    pub from: u64,
    /// Replicas that it should have.
    pub wanted: u64,
    /// The direction from the one to the other.
    pub action: Action,
    /// Why, as one code.
    pub reason: Reason,
    /// What the metrics alone would have, within the bounds.
    pub recommended: u64,
    /// Why they would.
    pub recommended_reason: Reason,
    /// What kept `wanted` from being what the metrics ask for; `None` when nothing did.
    pub held_by: Option<Reason>,
    /// How long that still holds; `None` when it is not a matter of time.
    pub wait_ms: Option<u64>,
    /// What each metric said; empty when it did not come to that.
    pub proposals: BTreeMap<Metric, Proposal>,
    /// What is expected, in replicas; empty without forecasts.
    pub outlooks: BTreeMap<Metric, Outlook>,
}

/// What happens to the replica count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Stays.
    Hold,
    /// Rises.
    Up,
    /// Falls.
    Down,
}

/// What one metric said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proposal {
    /// Its vote.
    pub vote: Vote,
    /// The value in the metric's unit; `None` when not measured.
    pub value: Option<f64>,
    /// The value with missing and newborn replicas counted in, when that differs.
    pub cautious: Option<f64>,
    /// What the value was compared with.
    pub rule: Rule,
    /// The count that it proposes; `None` without an up or down vote.
    pub replicas: Option<u64>,
    /// Replicas or servers whose samples are in the value.
    pub measured: u64,
    /// Live replicas without a sample, and those that are asked for and not listed.
    pub missing: u64,
    /// Replicas that are paid for but not yet judged.
    pub newborn: u64,
}

impl Proposal {
    /// Whether what was measured is above the upper threshold, whatever became of the vote.
    fn is_over(&self) -> bool {
        match (self.vote, self.value, self.rule) {
            (Vote::Up, ..) => true,
            // The replicas that cannot be judged yet might turn the vote, so there is none.
            (Vote::Stay, Some(value), Rule::Band { up, .. }) => value > up,
            (Vote::Stay, Some(value), Rule::Target { target }) => target::vote(value, target) == Vote::Up,
            _ => false,
        }
    }
}

/// What one forecast comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outlook {
    /// The forecast.
    pub forecast: Forecast,
    /// The fewest replicas that carry it, margin included.
    pub floor: u64,
    /// Whether that counts: only while forecasts beat knowing nothing.
    pub acts: bool,
}

/// A metric's vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// More replicas.
    Up,
    /// Fewer replicas.
    Down,
    /// Neither; forbids fewer.
    Stay,
    /// Nothing to say (too few requests, for instance); forbids nothing.
    Silent,
    /// Not measured or too old; forbids fewer.
    Absent,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why, as one code. The set is closed, so that it can label a metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Reason { $($(#[$doc])* #[serde(rename = $code)] $name,)* }

        impl Reason {
            /// The code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

reasons! {
    /// Nothing asks for a change.
    Steady = "steady",
    /// CPU is above its threshold.
    CpuHigh = "cpu_high",
    /// Memory is above its threshold.
    MemoryHigh = "memory_high",
    /// Latency is above its threshold.
    ResponseTimeHigh = "response_time_high",
    /// The error rate is above its threshold.
    ErrorRateHigh = "error_rate_high",
    /// Database connections are above their threshold.
    ConnectionsHigh = "connections_high",
    /// Cache memory is above its threshold.
    CacheHigh = "cache_high",
    /// There are more requests than the replicas are meant to carry.
    RequestsHigh = "requests_high",
    /// More work is coming than the replicas will carry.
    Forecast = "forecast",
    /// The work that is coming forbids a scale-down.
    ForecastForbidsDown = "forecast_forbids_down",
    /// Every metric is low.
    AllLow = "all_low",
    /// There are fewer replicas than the minimum.
    BelowMinimum = "below_minimum",
    /// There are more replicas than the maximum.
    AboveMaximum = "above_maximum",
    /// A redeploy had put the file's number back.
    RestoredAfterRedeploy = "restored_after_redeploy",
    /// The service has no replica count.
    NotReplicated = "not_replicated",
    /// An operator paused it.
    Paused = "paused",
    /// A human scaled it to zero.
    SwitchedOff = "switched_off",
    /// A rolling update or rollback is under way, or waits for a human.
    Updating = "updating",
    /// A human set the count a short while ago.
    Manual = "manual",
    /// There is no reading of this service.
    NoData = "no_data",
    /// The reading is too old, or its time cannot be true.
    StaleData = "stale_data",
    /// A metric is not measured, so that a scale-down would be blind.
    MetricMissing = "metric_missing",
    /// Errors forbid a scale-down.
    ErrorsForbidDown = "errors_forbid_down",
    /// Errors survived three scale-ups, so that they are not load.
    ErrorsNotLoad = "errors_not_load",
    /// Fewer replicas would at once be too few again.
    WouldBounce = "would_bounce",
    /// The maximum is reached.
    AtMaximum = "at_maximum",
    /// The minimum is reached.
    AtMinimum = "at_minimum",
    /// A higher recommendation is too recent.
    StabilizingDown = "stabilizing_down",
    /// A lower recommendation is too recent.
    StabilizingUp = "stabilizing_up",
    /// The last action is too recent.
    Cooldown = "cooldown",
    /// The last scale-up is too recent.
    UpCooldown = "up_cooldown",
    /// The replicas of the last step are not ready.
    WaitingForReplicas = "waiting_for_replicas",
    /// There is no sample since the replicas of the last step became ready.
    WaitingForSample = "waiting_for_sample",
    /// The step limit of the service.
    StepLimit = "step_limit",
    /// The nodes cannot place the replicas there are.
    NoRoom = "no_room",
}

impl Decision {
    pub(super) fn holding(observed: &Observed, reason: Reason) -> Self {
        let from = if observed.mode == Mode::Replicated { observed.replicas } else { 0 };
        Self {
            from,
            wanted: from,
            action: Action::Hold,
            reason,
            recommended: from,
            recommended_reason: reason,
            held_by: None,
            wait_ms: None,
            proposals: BTreeMap::new(),
            outlooks: BTreeMap::new(),
        }
    }

    /// Ends with the present count.
    pub(super) fn hold(mut self, reason: Reason) -> Self {
        (self.wanted, self.action, self.reason) = (self.from, Action::Hold, reason);
        self.held_by = (reason != Reason::Steady).then_some(reason);
        self
    }

    /// Ends with a count.
    pub(super) fn settle(mut self, wanted: u64, reason: Reason) -> Self {
        if wanted == self.from {
            return self.hold(reason);
        }
        self.wanted = wanted;
        self.action = if wanted > self.from { Action::Up } else { Action::Down };
        self.reason = reason;
        if self.proposals.is_empty() {
            (self.recommended, self.recommended_reason) = (wanted, reason);
        }
        self
    }

    pub(super) fn waiting(mut self, wait_ms: Option<u64>) -> Self {
        self.wait_ms = wait_ms;
        self
    }

    /// Metrics were read, and none is above its upper threshold, not even one that has no vote
    /// because the last step's replicas may yet bring it down.
    pub(super) fn quiet(&self) -> bool {
        self.proposals.values().any(|p| p.value.is_some()) && !self.proposals.values().any(Proposal::is_over)
    }
}
