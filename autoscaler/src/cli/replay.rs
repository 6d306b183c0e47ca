//! `autoscaler replay`: what would other policies have done with the load that was recorded?

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use reqwest::Client;

use super::simulate::{self as cli, Comparison};
use crate::{
    bounded, client, clock,
    history::{DAY_MS, Reader, Recording},
    simulate::{self, Candidate, recorded::Load},
};

/// What the help says of what a replay can tell.
pub const LIMITS: &str = "\
The work that was recorded (cores in use, else connections, else requests per second) is put as load
on the same plain model as in `simulate`, and each policy decides on it with the same rules as live.
What it can tell: how many replicas a policy would have kept, when, and how often too few for that work.
What it cannot: the work is that of the system as it was. Replicas in full use hide what was wanted beyond
(the report says for how long), clients that met errors may have stayed away, and every replica uses a
little on its own. Latency, errors and memory of other counts are not known, so policies are followed on
the work alone. Points are means, of five minutes after a day, so shorter peaks are flat.
The row `recorded` is what really happened, measured in the same way; how many requests were lost then is
not known and shown as 0. The others meet the model's delays instead of the real ones, and `predictive` knows
nothing of the time before.";

const TIMEOUT: Duration = Duration::from_secs(30);

const MOST_BYTES: usize = 16 << 20;

/// Points in one answer of the API, and how far apart they are asked for.
const PAGE: u64 = 2_000;
const STEP_MS: u64 = 30_000;

/// What to replay.
#[derive(Debug, Args)]
pub struct Replay {
    /// The service, with or without the stack's prefix.
    service: String,
    /// Where the autoscaler is whose history is replayed; without it and --file, in this container.
    #[arg(long, conflicts_with = "file")]
    url: Option<String>,
    /// The file history.redb of an autoscaler that does not run, or an answer of /api/v1/history.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Only the newest so many days; without it everything.
    #[arg(long)]
    days: Option<f64>,
    /// A policy as JSON, as `decide` takes it, to be compared under the name of its file. May be repeated.
    #[arg(long = "policy")]
    policies: Vec<PathBuf>,
    #[command(flatten)]
    comparison: Comparison,
}

/// Runs it, and gives what is to be printed. `here` is the autoscaler in this container.
pub async fn run(asked: &Replay, here: &str) -> anyhow::Result<String> {
    let days = asked.days.unwrap_or(366.0);
    ensure!(days > 0.0 && days <= 366.0, "--days {days}: allowed is a number above 0, up to 366");
    let length_ms = (days * DAY_MS as f64) as u64;
    let recording = match &asked.file {
        Some(file) => from_file(file, &asked.service, length_ms)?,
        None => from_url(asked.url.as_deref().unwrap_or(here), &asked.service, length_ms).await?,
    };
    compare(asked, &recording).with_context(|| recording.service.clone())
}

fn compare(asked: &Replay, recording: &Recording) -> anyhow::Result<String> {
    let load = Load::of(recording).map_err(|error| anyhow!(error))?;
    let profile = recording.profile.as_ref().context("its policy is not recorded")?;
    let known = load.capacity(&profile.policy);
    let (capacity, target) =
        known.or(asked.comparison.capacity.map(|capacity| (capacity, 100.0))).with_context(|| {
            format!("what one replica carries of its {} is not known: say it with --capacity", load.metric.name())
        })?;
    let model = asked.comparison.model(capacity, target, (profile.start_up_ms, load.interval_ms()))?;
    let name = load.metric.name();
    let base = load.modelled(&profile.policy).with_context(|| format!("its policy does not judge it on {name}"))?;
    // With policies of one's own, algorithms are compared when they are asked for.
    let names = match asked.policies.is_empty() || !asked.comparison.algorithms.is_empty() {
        true => asked.comparison.names(),
        false => Vec::new(),
    };
    let mut candidates = Vec::new();
    for path in &asked.policies {
        let policy = load.modelled(&cli::policy(path)?);
        let policy = policy.with_context(|| format!("{}: it does not judge a service on {name}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        candidates.push(Candidate { name, policy: Some(policy), start: 1 });
    }
    let more = simulate::candidates(&names, &base, &load.trace, &model);
    candidates.extend(more.map_err(|error| anyhow!(error))?);
    load.begin(&mut candidates);
    let as_it_was = load.as_it_was(&model);
    asked.comparison.run(&head(recording, &load, model.capacity), candidates, vec![as_it_was], &load.trace, &model)
}

fn head(recording: &Recording, load: &Load, capacity: f64) -> String {
    let mut head = format!(
        "{}: {}, {} points, {} peak {:.2} and mean {:.2}, {capacity:.2} per replica",
        recording.service,
        span(load.trace.seconds()),
        recording.points.len(),
        load.metric.name(),
        load.trace.peak(),
        load.trace.mean()
    );
    if load.gaps_ms > 0 {
        let gaps = span(load.gaps_ms as f64 / 1000.0);
        head += &format!("\nnothing is recorded of {gaps}, for which the value before is taken");
    }
    if load.saturated_percent > 0.0 {
        let percent = load.saturated_percent;
        head += &format!(
            "\nfor {percent:.1} % of the time the replicas had no more to give: more was wanted than is known"
        );
    }
    head
}

/// A time for people.
fn span(seconds: f64) -> String {
    if seconds < 7_200.0 { format!("{:.0} minutes", seconds / 60.0) } else { format!("{:.1} hours", seconds / 3_600.0) }
}

/// Reads either kind of file.
fn from_file(file: &Path, service: &str, length_ms: u64) -> anyhow::Result<Recording> {
    let shown = || file.display().to_string();
    let mut first = [0];
    std::fs::File::open(file).and_then(|mut file| file.read(&mut first)).with_context(shown)?;
    let mut recording = if first == *b"{" {
        let recording: Recording = serde_json::from_slice(&std::fs::read(file)?).with_context(shown)?;
        ensure!(is_named(&recording.service, service), "{}: it is of {}", shown(), recording.service);
        recording
    } else {
        from_store(&Reader::open(file).with_context(shown)?, service).with_context(shown)?
    };
    let newest = recording.points.last().map_or(0, |point| point.at_ms);
    recording.points.retain(|point| point.at_ms >= newest.saturating_sub(length_ms));
    Ok(recording)
}

fn from_store(reader: &Reader, service: &str) -> anyhow::Result<Recording> {
    let all = reader.services()?;
    let named: Vec<_> = all.iter().filter(|name| is_named(name, service)).collect();
    let exact = named.iter().find(|name| **name == service).or(named.first().filter(|_| named.len() == 1));
    let name = exact.with_context(|| format!("{service}: there are {}", all.join(", ")))?;
    let points = reader.points(name, 0, u64::MAX)?;
    let profile = reader.profile(name)?;
    Ok(Recording { service: (*name).clone(), from_ms: 0, to_ms: u64::MAX, step_ms: STEP_MS, profile, points })
}

/// Whether a service is meant by a name with or without its stack's prefix.
fn is_named(full: &str, name: &str) -> bool {
    full == name || full.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('_'))
}

/// Asks page by page, so that points stay as near to each other as they were recorded.
async fn from_url(url: &str, service: &str, length_ms: u64) -> anyhow::Result<Recording> {
    let (client, now_ms) = (client::client(TIMEOUT)?, clock::now_ms());
    let from_ms = now_ms.saturating_sub(length_ms);
    let mut recording = page(&client, url, service, (from_ms, now_ms)).await?;
    let mut at_ms = recording.points.first().map_or(now_ms, |first| first.at_ms);
    recording.points.clear();
    while at_ms < now_ms {
        let end_ms = at_ms.saturating_add(PAGE * STEP_MS).min(now_ms);
        recording.points.extend(page(&client, url, service, (at_ms, end_ms)).await?.points);
        at_ms = end_ms;
    }
    Ok(recording)
}

async fn page(client: &Client, url: &str, service: &str, (from, to): (u64, u64)) -> anyhow::Result<Recording> {
    let url = format!("{}/api/v1/history", url.trim_end_matches('/'));
    let unreachable = |cause| anyhow!("the autoscaler at {url} does not answer: {cause}");
    let query = [
        ("service", service.to_owned()),
        ("from", from.to_string()),
        ("to", to.to_string()),
        ("points", PAGE.to_string()),
    ];
    let parsed = reqwest::Url::parse_with_params(&url, query).with_context(|| url.clone())?;
    let response = client.get(parsed).send().await.map_err(|e| unreachable(bounded::innermost(&e)))?;
    let status = response.status();
    let text = bounded::text(response, MOST_BYTES).await.map_err(|e| unreachable(bounded::innermost(&e)))?;
    if !status.is_success() {
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        return Err(anyhow!("{service}: {}", problem["detail"].as_str().unwrap_or(status.as_str())));
    }
    serde_json::from_str(&text).context("the history is not understood")
}
