//! `autoscaler simulate`: policies side by side on a trace.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    scaling::{Metric, Policy, Rule, policy::MOST_REPLICAS},
    simulate::{self, Candidate, Model, Row, Trace, report},
};

/// What to simulate.
#[derive(Debug, Args)]
pub struct Simulation {
    /// CSV: a time (RFC 3339, Unix seconds) or a step number, and the requests until the next row.
    #[arg(long)]
    trace: PathBuf,
    /// A policy as JSON, as `decide` takes it; without it CPU at 70 and 20 % between 1 and 100.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Seconds that a step number stands for.
    #[arg(long, default_value_t = 60.0)]
    step: f64,
    #[command(flatten)]
    comparison: Comparison,
}

/// How policies are compared, and how that is shown.
#[derive(Debug, Args)]
pub struct Comparison {
    /// linear, exponential, target, predictive or hpa; all of them without it. May be repeated.
    #[arg(long = "algorithm")]
    pub(super) algorithms: Vec<String>,
    /// Load that one replica carries; without it what is recorded, or a twentieth of the peak.
    #[arg(long)]
    pub(super) capacity: Option<f64>,
    /// Seconds until a new replica serves; without it what is recorded, or 15.
    #[arg(long)]
    start_up: Option<f64>,
    /// Seconds between two decisions; without it what is recorded, or 30.
    #[arg(long)]
    interval: Option<f64>,
    /// Where to draw a chart.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What holds when nobody says anything else.
const USUAL_START_UP_MS: u64 = 15_000;
const USUAL_INTERVAL_MS: u64 = 30_000;

/// Runs it, and gives what is to be printed.
pub fn run(asked: &Simulation) -> anyhow::Result<String> {
    let comparison = &asked.comparison;
    let trace = Trace::parse(&read(&asked.trace)?, millis("step", asked.step, 1.0)?)
        .map_err(|error| anyhow!("{}: {error}", asked.trace.display()))?;
    let policy = asked.policy.as_deref().map(policy).unwrap_or_else(|| Ok(simulate::usual_policy()?))?;
    let target = match policy.metrics.get(&Metric::Cpu) {
        Some(Rule::Band { up, .. } | Rule::Ceiling { up } | Rule::Target { target: up }) => *up,
        _ => 70.0,
    };
    let model = comparison.model(trace.peak() / 20.0, target, (None, None))?;
    let names = comparison.names();
    let candidates = simulate::candidates(&names, &policy, &trace, &model).map_err(|error| anyhow!(error))?;
    let hours = trace.seconds() / 3600.0;
    let head = format!(
        "{hours:.1} hours, peak {:.1} and mean {:.1} requests/s, {:.1} per replica",
        trace.peak(),
        trace.mean(),
        model.capacity
    );
    comparison.run(&head, candidates, Vec::new(), &trace, &model)
}

/// A policy from its file.
pub(super) fn policy(path: &Path) -> anyhow::Result<Policy> {
    serde_json::from_str(&read(path)?).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn millis(name: &str, seconds: f64, least: f64) -> anyhow::Result<u64> {
    anyhow::ensure!((least..=86_400.0).contains(&seconds), "--{name} {seconds}: allowed is {least} to 86400");
    Ok((seconds * 1000.0) as u64)
}

impl Comparison {
    /// The names of the policies that are compared.
    pub(super) fn names(&self) -> Vec<String> {
        if self.algorithms.is_empty() {
            return ["linear", "exponential", "target", "predictive", "hpa"].map(str::to_owned).into();
        }
        self.algorithms.clone()
    }

    /// The model, with what is known where nothing is asked for: capacity and its target, and in
    /// milliseconds start-up time and interval.
    pub(super) fn model(
        &self,
        capacity: f64,
        target: f64,
        (start_up_ms, interval_ms): (Option<u64>, Option<u64>),
    ) -> anyhow::Result<Model> {
        if let Some(asked) = self.capacity {
            anyhow::ensure!(asked.is_finite() && asked > 0.0, "--capacity {asked}: allowed is a number above 0");
        }
        let capacity = self.capacity.unwrap_or(capacity).max(f64::MIN_POSITIVE);
        let start_up_ms = start_up_ms.unwrap_or(USUAL_START_UP_MS);
        let interval_ms = interval_ms.unwrap_or(USUAL_INTERVAL_MS);
        Ok(Model {
            capacity,
            start_up_ms: self.start_up.map_or(Ok(start_up_ms), |seconds| millis("start-up", seconds, 0.0))?,
            interval_ms: self.interval.map_or(Ok(interval_ms), |seconds| millis("interval", seconds, 1.0))?,
            target,
        })
    }

    /// Runs the candidates and shows them, `known` rows first.
    pub(super) fn run(
        &self,
        head: &str,
        candidates: Vec<Candidate>,
        known: Vec<Row>,
        trace: &Trace,
        model: &Model,
    ) -> anyhow::Result<String> {
        let most = model.demand(trace.peak());
        anyhow::ensure!(
            most <= MOST_REPLICAS,
            "--capacity {}: the peak would take {most} replicas, allowed are {MOST_REPLICAS}",
            model.capacity
        );
        let bar = progress(candidates.len(), trace, model)?;
        let mut rows = known;
        rows.extend(simulate::run(candidates, trace, model, &|ms| bar.inc(ms)));
        bar.finish_and_clear();
        if let Some(path) = &self.svg {
            let chart = report::svg(&rows, trace.seconds());
            std::fs::write(path, chart).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.json {
            return Ok(serde_json::to_string_pretty(&rows)?);
        }
        Ok(format!("{head}\n\n{}", report::table(&rows)))
    }
}

/// Intervals that take so long that a human wants to see them pass.
const LONG: u64 = 50_000;

/// A bar on a terminal's standard error for all candidates together; hidden on a short trace.
fn progress(candidates: usize, trace: &Trace, model: &Model) -> anyhow::Result<ProgressBar> {
    let ms = (candidates as u64).saturating_mul(trace.end_ms() - trace.start_ms());
    if ms / model.interval_ms < LONG {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("simulating {wide_bar} {percent} %, {eta} left")?;
    Ok(ProgressBar::new(ms).with_style(style))
}
