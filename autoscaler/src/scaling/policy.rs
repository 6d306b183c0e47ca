//! What an operator asks for: bounds, thresholds, pace. Values are checked when they are
//! made, so that the rules never meet a bound or a threshold that makes no sense.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Metric, Rule};

/// How a service is to be scaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Fewest and most replicas.
    pub bounds: Bounds,
    /// How far one action goes.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Whether a forecast of the work may raise the count ahead of time. It never lowers it.
    #[serde(default)]
    pub forecast: bool,
    /// What the service is judged on.
    #[serde(deserialize_with = "fitting_rules")]
    pub metrics: BTreeMap<Metric, Rule>,
    /// After an action: no scale-down and no change of direction for so long.
    #[serde(default = "defaults::cooldown_ms")]
    pub cooldown_ms: u64,
    /// After an action: no scale-up for so long, even when its replicas are ready.
    #[serde(default)]
    pub up_cooldown_ms: u64,
    /// A scale-down follows the highest recommendation of so long; `None` is the cooldown.
    #[serde(default)]
    pub down_window_ms: Option<u64>,
    /// A scale-up follows the lowest recommendation of so long.
    #[serde(default)]
    pub up_window_ms: u64,
    /// For how long a count that a human set is left alone.
    #[serde(default = "defaults::hold_ms")]
    pub hold_ms: u64,
    /// A running task younger than this is not judged.
    #[serde(default = "defaults::warm_up_ms")]
    pub warm_up_ms: u64,
    /// Most replicas added by one action; `None` is no limit.
    #[serde(default)]
    pub step_up: Option<u64>,
    /// Most replicas removed by one action; `None` is no limit.
    #[serde(default)]
    pub step_down: Option<u64>,
    /// Requests in the window below which latency and error rate have nothing to say.
    #[serde(default = "defaults::min_requests")]
    pub min_requests: f64,
}

/// What the settings say when nobody sets them.
pub mod defaults {
    /// 120 s.
    pub const fn cooldown_ms() -> u64 {
        120_000
    }
    /// 10 minutes.
    pub const fn hold_ms() -> u64 {
        600_000
    }
    /// 15 s, which is also the length of the collector's window.
    pub const fn warm_up_ms() -> u64 {
        15_000
    }
    /// One slow request of twenty is the 95th percentile itself.
    pub const fn min_requests() -> f64 {
        20.0
    }
}

/// Rules whose kind makes sense for their metric.
fn fitting_rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Metric, Rule>, D::Error> {
    let rules = BTreeMap::<Metric, Rule>::deserialize(deserializer)?;
    match rules.iter().find(|(metric, rule)| !rule.fits(**metric)) {
        Some((metric, _)) => Err(serde::de::Error::custom(PolicyError::Misfit(metric.name()))),
        None => Ok(rules),
    }
}

impl Policy {
    /// Each metric's rule as the algorithm reads it: `target` keeps a share at its upper threshold.
    pub(super) fn rules(&self) -> impl Iterator<Item = (Metric, Rule)> {
        self.metrics.iter().map(|(metric, rule)| match rule {
            Rule::Band { up, .. } | Rule::Ceiling { up }
                if self.algorithm == Algorithm::Target && metric.is_share() =>
            {
                (*metric, Rule::Target { target: *up })
            }
            _ => (*metric, *rule),
        })
    }

    /// The stabilisation windows, up and down, in milliseconds.
    pub(super) fn windows(&self) -> (u64, u64) {
        (self.up_window_ms, self.down_window_ms.unwrap_or(self.cooldown_ms))
    }
}

/// How far one action goes towards what the metrics propose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// One replica at a time.
    #[default]
    Linear,
    /// Up by half, or double when far over; down by one.
    Exponential,
    /// Straight to the count at which shares of a limit are at their upper threshold; the lower
    /// one is not used. What is not proportional to the count (latency, errors) adds one.
    Target,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: &[Self] = &[Self::Linear, Self::Exponential, Self::Target];

    /// The words for them in settings and labels, with whether a forecast comes on top:
    /// `predictive` is `linear` with one.
    pub const NAMES: &[(&str, (Self, bool))] = &[
        ("linear", (Self::Linear, false)),
        ("exponential", (Self::Exponential, false)),
        ("target", (Self::Target, false)),
        ("predictive", (Self::Linear, true)),
    ];

    /// The word for this one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Exponential => "exponential",
            Self::Target => "target",
        }
    }
}

impl Policy {
    /// The pace in words.
    #[must_use]
    pub fn pace(&self) -> String {
        let forecast = if self.forecast { ", with a forecast's floor" } else { "" };
        format!("{}{forecast}", self.algorithm.name())
    }
}

/// Fewest and most replicas; the fewest never exceeds the most, and the most is at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawBounds")]
pub struct Bounds {
    min: u64,
    max: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawBounds {
    min: u64,
    max: u64,
}

impl TryFrom<RawBounds> for Bounds {
    type Error = PolicyError;

    fn try_from(raw: RawBounds) -> Result<Self, PolicyError> {
        Self::new(raw.min, raw.max)
    }
}

/// More replicas than any Swarm holds; a larger number is a slip of the pen.
pub const MOST_REPLICAS: u64 = 100_000;

/// 2 to 10.
impl Default for Bounds {
    fn default() -> Self {
        Self { min: 2, max: 10 }
    }
}

impl Bounds {
    /// Bounds that make sense together.
    pub fn new(min: u64, max: u64) -> Result<Self, PolicyError> {
        if min > max || max == 0 || max > MOST_REPLICAS {
            return Err(PolicyError::Bounds { min, max });
        }
        Ok(Self { min, max })
    }

    /// The fewest replicas.
    #[must_use]
    pub fn min(self) -> u64 {
        self.min
    }

    /// The most replicas.
    #[must_use]
    pub fn max(self) -> u64 {
        self.max
    }

    /// The count within these bounds that is nearest to `n`.
    #[must_use]
    pub fn clamp(self, n: u64) -> u64 {
        n.clamp(self.min, self.max)
    }
}

/// Why a policy makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Bounds that contradict each other.
    #[error(
        "bounds {min} to {max}: allowed is a minimum not above the maximum, and a maximum from 1 to {MOST_REPLICAS}"
    )]
    Bounds {
        /// The fewest replicas asked for.
        min: u64,
        /// The most replicas asked for.
        max: u64,
    },
    /// Thresholds that contradict each other.
    #[error("thresholds up {up} and down {down}: allowed are numbers from 0 on, the lower one below the upper one")]
    Band {
        /// The upper threshold asked for.
        up: f64,
        /// The lower threshold asked for.
        down: f64,
    },
    /// A number that must be above zero.
    #[error("{0}: allowed is a number above 0")]
    Positive(f64),
    /// Neither thresholds nor a share.
    #[error("a rule is either `up` and `down`, or one of `up`, `target` and `per_replica` alone")]
    Rule,
    /// A rule of a kind that its metric does not have.
    #[error("{0}: this kind of rule does not fit; `target` is for shares of a limit, `per_replica` for totals")]
    Misfit(&'static str),
}
