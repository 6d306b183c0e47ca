//! The services, one service with every input, and the decisions of late.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{Shown, problem};
use crate::{
    board::{Rounds, Status},
    scaling::{Action, Reason},
};

/// Decisions in one answer, unless asked for fewer or more.
const DECISIONS: usize = 100;

pub(super) async fn list(State(shown): State<Shown>) -> impl IntoResponse {
    let services: Vec<_> = shown.board.services().iter().map(brief).collect();
    Json(json!({ "services": services, "rounds": shown.board.rounds() }))
}

fn brief(status: &Status) -> serde_json::Value {
    let decision = status.detail.as_ref().map(|detail| &detail.decision);
    json!({
        "service": status.service,
        "replicas": status.replicas,
        "wanted": decision.map(|d| d.wanted),
        "action": decision.map(|d| d.action),
        "reason": decision.map(|d| d.reason),
        "held_by": decision.and_then(|d| d.held_by),
        "wait_seconds": decision.and_then(|d| d.wait_ms).map(|ms| ms.div_ceil(1000)),
        "minimum": status.detail.as_ref().map(|d| d.policy.bounds.min()),
        "maximum": status.detail.as_ref().map(|d| d.policy.bounds.max()),
        "dry_run": status.detail.as_ref().map(|d| d.dry_run),
        "why": status.why,
        "config_errors": status.config_errors,
        "warnings": status.warnings,
        "decided_at_ms": status.decided_at_ms,
    })
}

pub(super) async fn one(State(shown): State<Shown>, Path(name): Path<String>) -> Response {
    match shown.board.service(&name, shown.stack.as_deref()) {
        Some(status) => Json(status).into_response(),
        None => unknown(&shown.board.rounds()).into_response(),
    }
}

/// Why a service is not on the board: as long as the Swarm was not read, nobody knows.
fn unknown(rounds: &Rounds) -> impl IntoResponse + use<> {
    match (&rounds.swarm_error, rounds.last_ms) {
        (Some(error), _) => {
            problem::answer(StatusCode::SERVICE_UNAVAILABLE, &format!("the Swarm cannot be read: {error}"))
        }
        (None, None) => problem::answer(StatusCode::SERVICE_UNAVAILABLE, "the first round has not ended"),
        (None, Some(_)) => {
            let detail = "no such service, or it does not carry the label swarm.autoscaler=true";
            problem::answer(StatusCode::NOT_FOUND, detail)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Filter {
    service: Option<String>,
    action: Option<Action>,
    reason: Option<Reason>,
    limit: Option<usize>,
}

pub(super) async fn decisions(
    State(shown): State<Shown>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(filter)) = filter else {
        let detail = "allowed are service, action (up, down, hold), reason and limit (a whole number)";
        return problem::answer(StatusCode::BAD_REQUEST, detail).into_response();
    };
    let prefixed = filter.service.as_ref().zip(shown.stack.as_ref()).map(|(name, stack)| format!("{stack}_{name}"));
    let named = |name: &String| {
        filter.service.is_none() || Some(name) == filter.service.as_ref() || Some(name) == prefixed.as_ref()
    };
    let events = shown.board.events(
        |event| {
            named(&event.service)
                && filter.action.is_none_or(|action| action == event.action)
                && filter.reason.is_none_or(|reason| reason == event.reason)
        },
        filter.limit.unwrap_or(DECISIONS),
    );
    Json(json!({ "decisions": events })).into_response()
}
