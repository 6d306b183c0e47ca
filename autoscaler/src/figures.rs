//! The autoscaler's own metrics. Labels are service names and closed sets of codes.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use crate::{
    board::Rounds,
    notify::Kind,
    scaling::{Decision, Step},
};

mod services;

pub use services::services;

/// Gives every metric its help text and type.
pub fn describe() {
    describe_counter!("autoscaler_decisions_total", "Decisions, by service and reason.");
    describe_counter!("autoscaler_steps_total", "Changes of a replica count, by service and direction.");
    describe_counter!("autoscaler_reversals_total", "Changes in the other direction than the one before.");
    describe_counter!(
        "autoscaler_replacements_total",
        "Times that all tasks of a service were replaced since one was paused for too long."
    );
    describe_gauge!("autoscaler_snapshot_age_seconds", Unit::Seconds, "Age of the collector's newest snapshot.");
    describe_counter!("autoscaler_apply_errors_total", "Replica counts that could not be written.");
    describe_counter!("autoscaler_round_errors_total", "Rounds in which a source could not be read.");
    describe_counter!("autoscaler_notices_total", "Notices to the webhook, by kind and what became of them.");
    describe_gauge!("autoscaler_build_info", "1, with the version as a label.");
    gauge!("autoscaler_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    counter!("autoscaler_round_errors_total", "source" => "swarm").absolute(0);
    counter!("autoscaler_round_errors_total", "source" => "collector").absolute(0);
}

/// Counts a decision.
pub fn decided(service: &str, decision: &Decision) {
    let service = || service.to_owned();
    counter!("autoscaler_decisions_total", "service" => service(), "reason" => decision.reason.code()).increment(1);
    // A counter that appears with its first count is one whose rise nobody sees.
    counter!("autoscaler_apply_errors_total", "service" => service()).increment(0);
    counter!("autoscaler_steps_total", "service" => service(), "direction" => "up").increment(0);
    counter!("autoscaler_steps_total", "service" => service(), "direction" => "down").increment(0);
    counter!("autoscaler_reversals_total", "service" => service()).increment(0);
    counter!("autoscaler_replacements_total", "service" => service()).increment(0);
}

/// Counts a replacement of all tasks.
pub fn replaced(service: &str) {
    counter!("autoscaler_replacements_total", "service" => service.to_owned()).increment(1);
}

/// Counts a change that was carried out, and whether it undoes the direction of the one before.
pub fn stepped(service: &str, decision: &Decision, before: Option<Step>) {
    let up = decision.wanted > decision.from;
    let direction = if up { "up" } else { "down" };
    counter!("autoscaler_steps_total", "service" => service.to_owned(), "direction" => direction).increment(1);
    if before.is_some_and(|before| (before.to > before.from) != up) {
        counter!("autoscaler_reversals_total", "service" => service.to_owned()).increment(1);
    }
}

/// Counts a failure to write.
pub fn apply_failed(service: &str) {
    counter!("autoscaler_apply_errors_total", "service" => service.to_owned()).increment(1);
}

/// Shows how the round fared.
pub fn round(rounds: &Rounds, now_ms: u64) {
    if let Some(at) = rounds.snapshot_at_ms {
        gauge!("autoscaler_snapshot_age_seconds").set(now_ms.saturating_sub(at) as f64 / 1000.0);
    }
    for (source, error) in [("swarm", &rounds.swarm_error), ("collector", &rounds.collector_error)] {
        if error.is_some() {
            counter!("autoscaler_round_errors_total", "source" => source).increment(1);
        }
    }
}

/// Describes the history's figures; without a history there are none.
pub fn history() {
    describe_gauge!("autoscaler_history_kept", "1 while the history is written, 0 while it cannot be.");
    describe_gauge!("autoscaler_history_bytes", Unit::Bytes, "Size of the history's file.");
    describe_counter!("autoscaler_history_points_lost_total", "Points of the history that could not be written.");
    describe_counter!(
        "autoscaler_history_set_aside_total",
        "Times that the history could not be used and was begun anew."
    );
    gauge!("autoscaler_history_kept").set(0.0);
    history_lost(0);
    counter!("autoscaler_history_set_aside_total").increment(0);
}

/// Shows whether the history is written.
pub fn history_kept(kept: bool) {
    gauge!("autoscaler_history_kept").set(f64::from(u8::from(kept)));
}

/// Shows the size of the history's file.
pub fn history_bytes(bytes: u64) {
    gauge!("autoscaler_history_bytes").set(bytes as f64);
}

/// Counts points that could not be written.
pub fn history_lost(points: u64) {
    counter!("autoscaler_history_points_lost_total").increment(points);
}

/// Counts a file that could not be used.
pub fn history_set_aside() {
    counter!("autoscaler_history_set_aside_total").increment(1);
}

/// What became of a notice.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// It arrived.
    Sent,
    /// It did not, after all tries.
    Failed,
    /// It was held back by the limit on its kind.
    Suppressed,
    /// Too many were waiting.
    Dropped,
}

impl Outcome {
    const ALL: &[Self] = &[Self::Sent, Self::Failed, Self::Suppressed, Self::Dropped];

    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Suppressed => "suppressed",
            Self::Dropped => "dropped",
        }
    }
}

/// Shows all kinds of notices from the start: an alert cannot see the first of a series.
pub fn notices() {
    for kind in Kind::ALL {
        Outcome::ALL.iter().for_each(|outcome| notice(*kind, *outcome, 0));
    }
}

/// Counts notices.
pub fn notice(kind: Kind, outcome: Outcome, count: u64) {
    counter!("autoscaler_notices_total", "kind" => kind.name(), "outcome" => outcome.name()).increment(count);
}
