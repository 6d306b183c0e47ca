//! The HTTP surface: which routes there are and what wraps them.
//!
//! Every answer passes `observe` (id, log, counts, problem bodies); only the business routes pass
//! `protect` (readiness, concurrency, time, panics), so that probes answer under any load.

/// The description of this API and a page to read it.
pub mod docs;
/// Bodies, paths and queries, with refusals as problems.
pub mod extract;
/// Liveness and readiness.
pub mod health;
/// The outermost layer: id, log line, counts, problem bodies.
pub mod observe;
/// Failures, and how they look to a client.
pub mod problem;
/// The inner layer: readiness, bounded concurrency, bounded time, panics.
pub mod protect;
/// The id each request carries through logs and answers.
pub mod request_id;
/// How the work is spread over databases and shards, as Prometheus text.
mod servers;

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse,
    routing::get,
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::AppState, auth, items};
use problem::ApiError;

/// All routes with everything around them.
pub fn router(state: AppState) -> Router {
    let (business, mut description) = OpenApiRouter::with_openapi(docs::Description::openapi())
        .merge(auth::routes::router())
        .merge(items::routes::router())
        .split_for_parts();
    let business = business
        .layer(DefaultBodyLimit::max(state.settings.limits.max_body))
        .layer(from_fn_with_state(state.clone(), protect::protect));
    let (probes, probe_description) =
        OpenApiRouter::new().routes(routes!(health::health)).routes(routes!(health::live)).split_for_parts();
    description.merge(probe_description);
    Router::new()
        .merge(business)
        .merge(probes)
        .merge(docs::router(description))
        .route("/metrics", get(metrics))
        .fallback(async || ApiError::NoRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn_with_state(state.access_log(), observe::observe))
        .layer(from_fn(request_id::attach))
        .with_state(state)
}

/// The exposition for Prometheus. Not for the world: the balancer does not pass it on.
async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    shared::prom::render_with(&state.prometheus, &servers::render(&state))
}
