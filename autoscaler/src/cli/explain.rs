//! `autoscaler explain`: asks the running autoscaler, whose memory is part of the reason, and
//! shows its account of one service: first the sentence, then every input.

use std::{fmt::Write, time::Duration};

use reqwest::StatusCode;

use crate::{
    board::{Detail, Status},
    bounded, client,
    scaling::explain::reading,
};

const TIMEOUT: Duration = Duration::from_secs(10);

const MOST_BYTES: usize = 64 << 20;

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The autoscaler does not answer.
    #[error("the autoscaler at {url} does not answer: {cause}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// The innermost cause.
        cause: String,
    },
    /// It does not know the service.
    #[error("{0}: no such service, or it does not carry the label swarm.autoscaler=true")]
    Unknown(String),
    /// It cannot tell.
    #[error("the autoscaler answered {status}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        detail: String,
    },
    /// Its account is not understood: it may be of another version.
    #[error("the account is not understood: {0}")]
    Garbage(#[from] serde_json::Error),
}

/// The account of the service `name` by the autoscaler at `url`.
pub async fn ask(url: &str, name: &str) -> Result<Status, ExplainError> {
    let url = format!("{}/api/v1/services/{name}", url.trim_end_matches('/'));
    let unreachable = |cause| ExplainError::Unreachable { url: url.clone(), cause };
    let client = client::client(TIMEOUT).map_err(|e| unreachable(bounded::innermost(&e)))?;
    let response = client.get(&url).send().await.map_err(|e| unreachable(bounded::innermost(&e)))?;
    let status = response.status();
    let text = bounded::text(response, MOST_BYTES).await.map_err(|e| unreachable(bounded::innermost(&e)))?;
    match status {
        StatusCode::OK => Ok(serde_json::from_str(&text)?),
        StatusCode::NOT_FOUND => Err(ExplainError::Unknown(name.to_owned())),
        status => Err(ExplainError::Refused { status: status.as_u16(), detail: detail(&text) }),
    }
}

/// The sentence of a problem document; of anything else, how it begins.
fn detail(text: &str) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    detail.unwrap_or(text).chars().take(300).collect()
}

/// An account for people.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut out = format!("{}: {}\n", status.service, status.why);
    let notes = [("label error", &status.config_errors), ("warning", &status.warnings)];
    for (kind, texts) in notes {
        for text in texts {
            line(&mut out, kind, text);
        }
    }
    if let Some(error) = &status.apply_error {
        line(&mut out, "write failed", error);
    }
    if let Some(detail) = &status.detail {
        inputs(&mut out, detail, status.decided_at_ms);
    }
    out
}

fn inputs(out: &mut String, detail: &Detail, at_ms: u64) {
    let Detail { decision, policy, observed, history, .. } = detail;
    let ago = |ms: u64| format!("{} s before", at_ms.saturating_sub(ms) / 1000);
    out.push('\n');
    line(out, "replicas", &format!("{}, wanted {}", decision.from, decision.wanted));
    line(out, "bounds", &format!("{} to {}", policy.bounds.min(), policy.bounds.max()));
    if !detail.schedules.is_empty() {
        line(out, "raised by", &detail.schedules.join(", "));
    }
    line(out, "algorithm", &policy.pace());
    line(out, "dry run", if detail.dry_run { "yes" } else { "no" });
    line(out, "reason", decision.reason.code());
    line(out, "recommended", &format!("{} ({})", decision.recommended, decision.recommended_reason.code()));
    if let Some(held_by) = decision.held_by {
        let wait = decision.wait_ms.map_or(String::new(), |ms| format!(", {} s left", ms.div_ceil(1000)));
        line(out, "held by", &format!("{}{wait}", held_by.code()));
    }
    if let Some(room) = observed.room {
        line(out, "room", &format!("the nodes hold {room}"));
    }
    let last = history.last.map_or_else(|| "none".to_owned(), |s| format!("{} to {}, {}", s.from, s.to, ago(s.at_ms)));
    line(out, "last step", &last);
    if let Some(manual) = history.manual {
        line(out, "set by hand", &format!("{}, {}", manual.replicas, ago(manual.at_ms)));
    }
    let age = observed.reading.as_ref().map_or_else(|| "none".to_owned(), |reading| ago(reading.taken_at_ms));
    line(out, "reading", &age);
    for (metric, outlook) in &decision.outlooks {
        let forecast = &outlook.forecast;
        let skill = forecast.skill.map_or_else(|| "not known yet".to_owned(), |skill| format!("{skill:.2}"));
        let acts = if outlook.acts { "acts" } else { "does not act" };
        let (name, value, margin) = (metric.name(), forecast.expected, forecast.margin);
        let text = format!(
            "{name}: {value:.2} + {margin:.2} in {} s ({:?}), at least {} replicas; skill {skill}, {acts}",
            forecast.lead_ms / 1000,
            forecast.model,
            outlook.floor
        );
        line(out, "forecast", &text);
    }
    for proposal in &decision.proposals {
        let p = proposal.1;
        let wants = p.replicas.map_or(String::new(), |replicas| format!(", proposes {replicas}"));
        let seen = format!("measured {}, missing {}, newborn {}", p.measured, p.missing, p.newborn);
        line(out, "metric", &format!("{}: {:?}{wants} ({seen})", reading(proposal), p.vote));
    }
}

fn line(out: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "  {name:<13}{value}");
}
