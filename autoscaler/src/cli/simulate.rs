//! `autoscaler simulate`: policies side by side on a trace.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    scaling::{Metric, Policy, Rule},
    simulate::{self, Model, Trace, report},
};

/// What to replay, and on what.
#[derive(Debug, Args)]
pub struct Simulation {
    /// CSV: a time (RFC 3339, Unix seconds) or a step number, and the requests until the next row.
    #[arg(long)]
    trace: PathBuf,
    /// A policy as JSON, as `decide` takes it; without it CPU at 70 and 20 % between 1 and 100.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// linear, exponential, target, predictive or hpa; all of them without it. May be repeated.
    #[arg(long = "algorithm")]
    algorithms: Vec<String>,
    /// Requests per second of one replica; without it a twentieth of the peak.
    #[arg(long)]
    capacity: Option<f64>,
    /// Seconds until a new replica serves.
    #[arg(long, default_value_t = 15.0)]
    start_up: f64,
    /// Seconds between two decisions.
    #[arg(long, default_value_t = 30.0)]
    interval: f64,
    /// Seconds that a step number stands for.
    #[arg(long, default_value_t = 60.0)]
    step: f64,
    /// Where to draw a chart.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs it, and gives what is to be printed.
pub fn run(asked: &Simulation) -> anyhow::Result<String> {
    use anyhow::{Context, anyhow};
    let read =
        |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let millis = |name: &str, seconds: f64, least: f64| {
        let allowed = (least..=86_400.0).contains(&seconds);
        allowed
            .then_some((seconds * 1000.0) as u64)
            .ok_or_else(|| anyhow!("--{name} {seconds}: allowed is {least} to 86400"))
    };
    let trace = Trace::parse(&read(&asked.trace)?, millis("step", asked.step, 1.0)?)
        .map_err(|error| anyhow!("{}: {error}", asked.trace.display()))?;
    let policy: Policy = match &asked.policy {
        Some(path) => serde_json::from_str(&read(path)?).with_context(|| path.display().to_string())?,
        None => simulate::usual_policy()?,
    };
    let capacity = asked.capacity.unwrap_or(trace.peak() / 20.0).max(f64::MIN_POSITIVE);
    anyhow::ensure!(capacity.is_finite(), "--capacity {capacity}: allowed is a number above 0");
    let target = match policy.metrics.get(&Metric::Cpu) {
        Some(Rule::Band { up, .. } | Rule::Ceiling { up } | Rule::Target { target: up }) => *up,
        _ => 70.0,
    };
    let model = Model {
        capacity,
        start_up_ms: millis("start-up", asked.start_up, 0.0)?,
        interval_ms: millis("interval", asked.interval, 1.0)?,
        target,
    };
    let all = ["linear", "exponential", "target", "predictive", "hpa"].map(str::to_owned);
    let names = if asked.algorithms.is_empty() { &all[..] } else { &asked.algorithms };
    let candidates = simulate::candidates(names, &policy, &trace, &model).map_err(|error| anyhow!(error))?;
    let bar = progress(candidates.len(), &trace, &model)?;
    let rows = simulate::run(candidates, &trace, &model, &|ms| bar.inc(ms));
    bar.finish_and_clear();
    if let Some(path) = &asked.svg {
        let chart = report::svg(&rows, trace.seconds());
        std::fs::write(path, chart).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if asked.json {
        return Ok(serde_json::to_string_pretty(&rows)?);
    }
    let hours = trace.seconds() / 3600.0;
    let head = format!(
        "{hours:.1} hours, peak {:.1} and mean {:.1} requests/s, {capacity:.1} per replica",
        trace.peak(),
        trace.mean()
    );
    Ok(format!("{head}\n\n{}", report::table(&rows)))
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
