//! `autoscaler status`: the overview as a table, once or until it is interrupted.

use std::{fmt::Write, time::Duration};

use serde::Deserialize;

use crate::{
    bounded, client, clock,
    dashboard::{
        Overview,
        overview::{Collected, Scaled},
    },
    scaling::Action,
};

const TIMEOUT: Duration = Duration::from_secs(10);

const MOST_BYTES: usize = 64 << 20;

/// Longer sentences go into the next lines.
const WIDTH: usize = 100;

/// Why there is no overview.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The autoscaler does not answer.
    #[error("the autoscaler at {url} does not answer: {cause}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// The innermost cause.
        cause: String,
    },
    /// It cannot tell.
    #[error("the autoscaler answered {status}: {text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// How its answer begins.
        text: String,
    },
    /// The answer is not understood: the two may be of different versions.
    #[error("the overview is not understood: {0}")]
    Garbage(#[from] serde_json::Error),
}

/// An overview and the time by the autoscaler's clock.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// Unix milliseconds.
    pub now_ms: u64,
    /// The overview.
    pub overview: Overview,
}

/// The overview of the autoscaler at `url`, as JSON.
pub async fn ask(url: &str) -> Result<String, StatusError> {
    let url = format!("{}/api/v1/overview", url.trim_end_matches('/'));
    let unreachable = |cause| StatusError::Unreachable { url: url.clone(), cause };
    let client = client::client(TIMEOUT).map_err(|e| unreachable(bounded::innermost(&e)))?;
    let response = client.get(&url).send().await.map_err(|e| unreachable(bounded::innermost(&e)))?;
    let status = response.status();
    let text = bounded::text(response, MOST_BYTES).await.map_err(|e| unreachable(bounded::innermost(&e)))?;
    if status.is_success() {
        return Ok(text);
    }
    Err(StatusError::Refused { status: status.as_u16(), text: text.chars().take(300).collect() })
}

/// The overview for people.
pub fn table(json: &str) -> Result<String, StatusError> {
    let Seen { now_ms, overview } = serde_json::from_str(json)?;
    let mut out = String::new();
    head(&mut out, &overview, now_ms);
    let rows: Vec<[String; 6]> = overview.services.iter().map(|service| row(service, &overview, now_ms)).collect();
    if rows.is_empty() {
        line(&mut out, "no service carries the label swarm.autoscaler=true");
    } else {
        columns(&mut out, ["SERVICE", "REPLICAS", "BOUNDS", "STATE", "LEFT", "METRICS"], &rows);
        out.push('\n');
    }
    for service in &overview.services {
        let why = service.ordered.as_ref().map_or(&service.why, |ordered| &ordered.text);
        folded(&mut out, &format!("{}: {why}", service.service));
        for note in service.config_errors.iter().chain(&service.warnings).chain(&service.apply_error) {
            folded(&mut out, &format!("  ! {note}"));
        }
    }
    if let Some(collected) = &overview.collected {
        out.push('\n');
        tiers(&mut out, collected, now_ms);
    }
    Ok(printable(&out))
}

fn head(out: &mut String, overview: &Overview, now_ms: u64) {
    let stack = overview.stack.as_deref().unwrap_or("no stack");
    let status = format!("{:?}", overview.health.status).to_lowercase();
    let round = overview.rounds.last_ms.map_or_else(
        || "no round yet".to_owned(),
        |last| format!("last round {} ago", span(now_ms.saturating_sub(last))),
    );
    line(out, &format!("{stack}: {status}, {round}, every {}", span(overview.interval_ms)));
    for why in overview.health.why.iter().chain(&overview.swarm_error).chain(&overview.collector_error) {
        folded(out, &format!("  ! {why}"));
    }
    let wanting: Vec<_> = overview.stack_services.iter().filter(|member| member.running < member.wanted).collect();
    for member in wanting {
        line(out, &format!("  ! {} runs {} of {}", member.service, member.running, member.wanted));
    }
    out.push('\n');
}

fn row(service: &Scaled, overview: &Overview, now_ms: u64) -> [String; 6] {
    let prefix = overview.stack.as_ref().map(|stack| format!("{stack}_")).unwrap_or_default();
    let name = service.service.strip_prefix(&prefix).unwrap_or(&service.service).to_owned();
    let Some(detail) = &service.detail else {
        return [name, service.replicas.to_string(), "-".into(), "left alone".into(), "-".into(), "-".into()];
    };
    let decision = &detail.decision;
    let running = service.running.map(|running| format!(" ({running} run)")).unwrap_or_default();
    let count = match decision.wanted {
        wanted if wanted == service.replicas || service.ordered.is_some() => service.replicas.to_string(),
        wanted => format!("{} -> {wanted}", service.replicas),
    };
    let state = match (&service.ordered, decision.held_by, decision.action) {
        (Some(_), ..) => "ordered",
        (_, Some(held_by), _) => held_by.code(),
        (_, None, Action::Hold) => "steady",
        (_, None, _) => decision.reason.code(),
    };
    let ends_ms = decision.wait_ms.map(|wait| service.decided_at_ms.saturating_add(wait));
    let left = ends_ms.filter(|ends| *ends > now_ms && service.ordered.is_none());
    let metrics = decision.proposals.iter().map(|(metric, proposal)| {
        let value = proposal.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}{}", metric.unit()));
        format!("{} {value} {}", metric.name(), format!("{:?}", proposal.vote).to_lowercase())
    });
    [
        name,
        format!("{count}{running}"),
        format!("{}-{}", detail.bounds.min(), detail.bounds.max()),
        format!("{state}{}", if detail.dry_run { ", dry run" } else { "" }),
        left.map_or_else(|| "-".to_owned(), |ends| span(ends - now_ms)),
        metrics.collect::<Vec<_>>().join(", "),
    ]
}

/// Sources, balancer, database and cache, a line each.
fn tiers(out: &mut String, collected: &Collected, now_ms: u64) {
    let age = span(now_ms.saturating_sub(collected.at_ms));
    let failed: Vec<_> = collected.sources.iter().filter(|source| !source.ok).collect();
    line(
        out,
        &format!(
            "sources   {} of {} whole, {age} ago",
            collected.sources.len() - failed.len(),
            collected.sources.len()
        ),
    );
    for source in failed {
        folded(out, &format!("  ! {}: {}", source.name, source.error.as_deref().unwrap_or("failed")));
    }
    if let Some(balancer) = &collected.balancer {
        let rate = balancer.requests_per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
        line(out, &format!("balancer  {rate} requests/s, {} connections", balancer.active_connections));
    }
    for server in &collected.databases {
        let lag = server.lag_seconds.map(|lag| format!(", lag {lag:.1} s")).unwrap_or_default();
        let role = format!("{:?}", server.role).to_lowercase();
        line(
            out,
            &format!(
                "database  {role} {}: {} of {} connections at work{lag}",
                server.address, server.active, server.usable
            ),
        );
    }
    for (service, cache) in &collected.caches {
        let full = match cache.max_bytes {
            0 => "without a bound".to_owned(),
            max => format!("{:.1} % of {} MB", cache.used_bytes as f64 * 100.0 / max as f64, max >> 20),
        };
        line(out, &format!("cache     {service}: {full}, {} shards", cache.servers.len()));
    }
}

fn columns<const N: usize>(out: &mut String, heads: [&str; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut print = |cells: [&str; N]| {
        let padded: Vec<_> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        line(out, padded.join("  ").trim_end());
    };
    print(heads);
    for row in rows {
        print(std::array::from_fn(|column| row[column].as_str()));
    }
}

/// A sentence over several lines.
fn folded(out: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            out.push_str("\n   ");
            width = 3;
        }
        if width > 0 {
            out.push(' ');
        }
        out.push_str(word);
        width += length + 1;
    }
    out.push('\n');
}

fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn span(ms: u64) -> String {
    match ms.div_ceil(1000) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Names and errors come from others: nothing of them may steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Moves to the top and clears what is below, for the next table.
pub const AGAIN: &str = "\x1b[H\x1b[J";

/// The time, for the head of a table that is shown again and again.
#[must_use]
pub fn time() -> String {
    let seconds = clock::now_ms() / 1000 % 86_400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
