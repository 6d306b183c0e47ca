//! `/health`: 200 while the loop turns, even when it is blind or without a history: a restart
//! would mend neither. 503 only when the loop itself stands still.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;

use super::Shown;
use crate::{
    clock,
    health::{Condition, assess},
};

pub(super) async fn health(State(shown): State<Shown>) -> impl IntoResponse {
    let now_ms = clock::now_ms();
    let health = assess(&shown.board, shown.keeper.as_ref(), shown.interval, now_ms);
    let rounds = shown.board.rounds();
    let stalled = health.status == Condition::Stalled;
    let status = if stalled { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = json!({
        "status": health.status,
        "why": health.why,
        "version": env!("CARGO_PKG_VERSION"),
        "last_round_ms": rounds.last_ms,
        "snapshot_age_seconds": rounds.snapshot_at_ms.map(|at| now_ms.saturating_sub(at) as f64 / 1000.0),
        "services": shown.board.services().len(),
    });
    (status, Json(body))
}
