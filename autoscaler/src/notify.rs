//! Notices to a webhook: what an operator wants to hear of without looking. Everything is
//! read off the board, in tasks of their own: no round ever waits for a webhook.

use serde::Serialize;

use crate::scaling::Reason;

/// What is worth a notice.
pub mod watch;

/// No more than one of a kind in a while.
pub mod limit;

/// Delivery.
pub mod webhook;

pub use limit::Limiter;
pub use watch::Watch;
pub use webhook::{Format, Notifier, Pace};

/// What a notice is about. The set is closed, so that it can label a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A replica count was changed.
    Scaled,
    /// A service has as many replicas as it may have.
    AtMaximum,
    /// The labels of a service are wrong, so it is left alone.
    LabelErrors,
    /// There is no data to decide on.
    Blind,
    /// There is again.
    Sighted,
}

impl Kind {
    /// Every kind.
    pub const ALL: &[Self] = &[Self::Scaled, Self::AtMaximum, Self::LabelErrors, Self::Blind, Self::Sighted];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scaled => "scaled",
            Self::AtMaximum => "at_maximum",
            Self::LabelErrors => "label_errors",
            Self::Blind => "blind",
            Self::Sighted => "sighted",
        }
    }
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// What it is about.
    pub kind: Kind,
    /// The service; `None` when it concerns all of them.
    pub service: Option<String>,
    /// When it happened.
    pub at_ms: u64,
    /// All of it as one sentence.
    pub text: String,
    /// The change of the replica count, of a [`Kind::Scaled`].
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
}

/// A change of a replica count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Replicas before.
    pub from: u64,
    /// Replicas after.
    pub to: u64,
    /// Why.
    pub reason: Reason,
}
