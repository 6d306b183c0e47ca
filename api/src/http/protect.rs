//! The layer around the business routes: readiness, bounded concurrency, bounded time, panics.
//!
//! Too much at once is refused at once: a queue would only make every answer late. Probes and
//! scrapes do not pass here, so a busy process still tells that it lives.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

use super::problem::ApiError;
use crate::app::AppState;

/// Runs the request if there is room, for no longer than allowed.
pub async fn protect(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if !state.readiness.is_migrated() {
        return ApiError::Unavailable("the schema has not been seen up to date yet".to_owned()).into_response();
    }
    let Ok(_permit) = state.room.try_acquire() else {
        return ApiError::Busy("as many requests in flight as are allowed").into_response();
    };
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(state.settings.limits.request_timeout, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => ApiError::Internal(format!("panic: {}", message(panic.as_ref()))).into_response(),
        Err(_) => ApiError::TooSlow.into_response(),
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
