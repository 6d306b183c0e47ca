//! Replays a trace of load through the rules and a plain model of a service, and measures how
//! well supply followed demand. The rules are the ones of the live loop, called the same way.

use serde::Serialize;

use crate::scaling::{Algorithm, Bounds, Metric, Policy, Rule};

/// Load over time, from CSV.
pub mod trace;

/// A service that the rules scale.
pub mod model;

/// How well supply followed demand.
pub mod measures;

/// What was recorded of a live service, to be simulated.
pub mod recorded;

/// Table and chart.
pub mod report;

pub use measures::{Measures, Steps};
pub use model::{Model, Run};
pub use trace::Trace;

/// A policy under test.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What it is called in the report.
    pub name: String,
    /// The policy; `None` is a count that never changes.
    pub policy: Option<Policy>,
    /// Replicas at the start.
    pub start: u64,
}

/// One row of the report.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The policy's name.
    pub name: String,
    /// How it did.
    #[serde(flatten)]
    pub measures: Measures,
    /// Supply over time, for the chart.
    #[serde(skip)]
    pub run: Run,
}

/// Names that a policy can be asked for by, beside those of the algorithms.
const HPA: &str = "hpa";

/// The candidates of these names on top of `base`, and two counts that never change: one for
/// the peak, one for the mean.
///
/// # Errors
/// A name that is not known.
pub fn candidates(names: &[String], base: &Policy, trace: &Trace, model: &Model) -> Result<Vec<Candidate>, String> {
    let start = base.bounds.clamp(model.demand(trace.at(trace.start_ms())));
    let mut all = Vec::new();
    for name in names {
        let policy = match Algorithm::NAMES.iter().find(|(word, _)| word == name) {
            Some((_, (algorithm, forecast))) => Policy { algorithm: *algorithm, forecast: *forecast, ..base.clone() },
            None if name == HPA => hpa(base),
            None => {
                let words: Vec<_> = Algorithm::NAMES.iter().map(|(word, _)| *word).chain([HPA]).collect();
                return Err(format!("--algorithm {name}: allowed is one of {}", words.join(", ")));
            }
        };
        all.push(Candidate { name: name.clone(), policy: Some(policy), start });
    }
    for (name, load) in [("static-peak", trace.peak()), ("static-mean", trace.mean())] {
        all.push(Candidate { name: name.to_owned(), policy: None, start: model.demand(load) });
    }
    Ok(all)
}

/// What Kubernetes' horizontal autoscaler does when nobody says otherwise: straight to the
/// target, a window of five minutes downwards, no cooldown. Its limit on one scale-up, twice as
/// many or four more in 15 s, is left out: it seldom binds, and a policy here knows no such step.
fn hpa(base: &Policy) -> Policy {
    Policy {
        algorithm: Algorithm::Target,
        forecast: false,
        cooldown_ms: 0,
        down_window_ms: Some(300_000),
        step_up: None,
        step_down: None,
        ..base.clone()
    }
}

/// The policy when none is given: CPU alone, by the usual thresholds, between 1 and 100.
///
/// # Errors
/// Never with these numbers.
pub fn usual_policy() -> Result<Policy, crate::scaling::PolicyError> {
    let defaults = crate::settings::Defaults::default();
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Ok(Policy {
        bounds: Bounds::new(1, 100)?,
        algorithm: Algorithm::Linear,
        forecast: false,
        metrics: [(Metric::Cpu, Rule::band(70.0, 20.0)?)].into(),
        cooldown_ms: millis(defaults.cooldown),
        up_cooldown_ms: 0,
        down_window_ms: None,
        up_window_ms: 0,
        hold_ms: millis(defaults.hold),
        warm_up_ms: millis(defaults.warm_up),
        step_up: None,
        step_down: None,
        min_requests: crate::scaling::policy::defaults::min_requests(),
    })
}

/// Runs every candidate through the trace. `passed` is told how much of it was done each time,
/// in milliseconds: in the end the length of the trace for each candidate.
pub fn run(candidates: Vec<Candidate>, trace: &Trace, model: &Model, passed: &dyn Fn(u64)) -> Vec<Row> {
    let row = |candidate: Candidate| {
        let run = model.run(candidate.policy.as_ref(), candidate.start, trace, passed);
        Row { measures: Measures::of(&run, trace.seconds()), name: candidate.name, run }
    };
    candidates.into_iter().map(row).collect()
}
