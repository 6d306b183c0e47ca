//! `/api/v1/history`: one service over time, in no more points than a chart can show.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{Shown, problem};
use crate::{
    clock,
    history::{DAY_MS, QueryError, keeper},
};

/// Points in one answer, unless asked for fewer or more.
const POINTS: u64 = 500;

/// More than any screen has columns.
const MOST_POINTS: u64 = 2_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    service: String,
    from: Option<u64>,
    to: Option<u64>,
    points: Option<u64>,
}

pub(super) async fn history(State(shown): State<Shown>, part: Result<Query<Part>, QueryRejection>) -> Response {
    let refuse = |status, detail: &str| problem::answer(status, detail).into_response();
    let Some(keeper) = shown.keeper else {
        return refuse(StatusCode::NOT_FOUND, "no history is kept: HISTORY_DIR is not set");
    };
    let part = match part {
        Ok(Query(part)) => part,
        Err(rejection) => {
            let allowed = "needed is service; allowed are from and to (Unix milliseconds) and points";
            return refuse(StatusCode::BAD_REQUEST, &format!("{allowed}: {}", rejection.body_text()));
        }
    };
    let to_ms = part.to.unwrap_or_else(clock::now_ms);
    let from_ms = part.from.unwrap_or(to_ms.saturating_sub(DAY_MS));
    let most = part.points.unwrap_or(POINTS);
    if from_ms >= to_ms {
        return refuse(
            StatusCode::BAD_REQUEST,
            &format!("from={from_ms}, to={to_ms}: allowed is a beginning before the end"),
        );
    }
    if !(1..=MOST_POINTS).contains(&most) {
        return refuse(
            StatusCode::BAD_REQUEST,
            &format!("points={most}: allowed is a whole number from 1 to {MOST_POINTS}"),
        );
    }
    let prefixed = shown.stack.map(|stack| format!("{stack}_{}", part.service));
    let names = [Some(part.service), prefixed].into_iter().flatten().collect();
    match keeper.query(keeper::Query { names, from_ms, to_ms, most }).await {
        Ok(recording) => Json(recording).into_response(),
        Err(error) => {
            let status = match error {
                QueryError::Unknown => StatusCode::NOT_FOUND,
                QueryError::Busy | QueryError::Broken => StatusCode::SERVICE_UNAVAILABLE,
            };
            refuse(status, &error.to_string())
        }
    }
}
