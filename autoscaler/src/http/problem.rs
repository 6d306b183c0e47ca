//! Errors as problem documents (RFC 9457).

use axum::{
    Json,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde_json::json;

/// A problem with a status and a sentence.
pub(super) fn answer(status: StatusCode, detail: &str) -> impl IntoResponse + use<> {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body))
}
