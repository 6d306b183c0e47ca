//! Metrics, and the rules that say when one of them asks for more or fewer replicas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PolicyError;

/// What a service can be judged on. The order settles ties between equal proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Processor use, percent of the limit.
    Cpu,
    /// Memory use without page cache, percent of the limit.
    Memory,
    /// 95th percentile of latency, milliseconds.
    ResponseTime,
    /// Share of answers with status 5xx, percent.
    ErrorRate,
    /// Busy database connections, percent of the usable ones.
    Connections,
    /// Cache memory, percent of what the cache may hold.
    Cache,
    /// Requests per second, all replicas together.
    Requests,
}

impl Metric {
    /// Every metric.
    pub const ALL: &[Self] =
        &[Self::Cpu, Self::Memory, Self::ResponseTime, Self::ErrorRate, Self::Connections, Self::Cache, Self::Requests];

    /// The word for it in labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::ResponseTime => "response-time",
            Self::ErrorRate => "error-rate",
            Self::Connections => "connections",
            Self::Cache => "cache",
            Self::Requests => "requests",
        }
    }

    /// Its unit, as it is written behind a number.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::ResponseTime => " ms",
            Self::Requests => " requests/s",
            _ => " %",
        }
    }

    /// Whether it is a share of something that each replica brings: it falls in proportion when
    /// replicas are added.
    #[must_use]
    pub fn is_share(self) -> bool {
        self.is_of_tasks() || matches!(self, Self::Connections | Self::Cache)
    }

    /// Whether it is measured of each task by itself.
    pub(super) fn is_of_tasks(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory)
    }
}

/// When a metric asks for more or fewer replicas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawRule", untagged)]
pub enum Rule {
    /// Above `up` more, at or below `down` fewer, in between neither.
    Band {
        /// Upper threshold.
        up: f64,
        /// Lower threshold, below the upper one.
        down: f64,
    },
    /// Above `up` more; never fewer.
    Ceiling {
        /// The threshold.
        up: f64,
    },
    /// As many replicas as bring a share to this value; within a tenth of it, neither.
    Target {
        /// The value, percent.
        target: f64,
    },
    /// One replica for each so much of a total.
    PerReplica {
        /// What one replica is to carry.
        per_replica: f64,
    },
}

/// A rule before it is checked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRule {
    up: Option<f64>,
    down: Option<f64>,
    target: Option<f64>,
    per_replica: Option<f64>,
}

impl TryFrom<RawRule> for Rule {
    type Error = PolicyError;

    fn try_from(raw: RawRule) -> Result<Self, PolicyError> {
        match (raw.up, raw.down, raw.target, raw.per_replica) {
            (Some(up), Some(down), None, None) => Self::band(up, down),
            (Some(up), None, None, None) => Self::ceiling(up),
            (None, None, Some(target), None) => Self::target(target),
            (None, None, None, Some(per_replica)) => Self::per_replica(per_replica),
            _ => Err(PolicyError::Rule),
        }
    }
}

impl Rule {
    /// Two thresholds, the lower one below the upper one.
    pub fn band(up: f64, down: f64) -> Result<Self, PolicyError> {
        let sound = up.is_finite() && down.is_finite() && down >= 0.0 && down < up;
        if sound { Ok(Self::Band { up, down }) } else { Err(PolicyError::Band { up, down }) }
    }

    /// One threshold above zero.
    pub fn ceiling(up: f64) -> Result<Self, PolicyError> {
        positive(up).map(|up| Self::Ceiling { up })
    }

    /// A share above zero.
    pub fn target(target: f64) -> Result<Self, PolicyError> {
        positive(target).map(|target| Self::Target { target })
    }

    /// A part of a total above zero.
    pub fn per_replica(per_replica: f64) -> Result<Self, PolicyError> {
        positive(per_replica).map(|per_replica| Self::PerReplica { per_replica })
    }

    /// Whether this kind of rule makes sense for `metric`.
    #[must_use]
    pub fn fits(self, metric: Metric) -> bool {
        match self {
            Self::Band { .. } | Self::Ceiling { .. } => metric != Metric::Requests,
            Self::Target { .. } => metric.is_share(),
            Self::PerReplica { .. } => matches!(metric, Metric::Requests | Metric::Connections),
        }
    }
}

fn positive(value: f64) -> Result<f64, PolicyError> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(PolicyError::Positive(value)) }
}
