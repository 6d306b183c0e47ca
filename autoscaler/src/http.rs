//! The status server: what the board says, as JSON, as metrics and as a page, and the few
//! calls by which an operator changes something.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    response::IntoResponse,
    routing::{get, post},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;

use crate::{
    board::Board, dashboard::Window, figures, history::Keeper, operate::Operator, settings::Settings, swarm::Engine,
};

mod events;
mod health;
mod history;
mod orders;
mod overview;
mod page;
mod problem;
mod services;

/// What the handlers share.
#[derive(Debug, Clone)]
struct Shown {
    board: Arc<Board>,
    stack: Option<String>,
    interval: Duration,
    keeper: Option<Keeper>,
    window: Arc<Window>,
    /// Places for those who listen to events.
    listeners: Arc<Semaphore>,
}

/// More than any order needs.
const MOST_BODY_BYTES: usize = 4096;

/// All routes.
pub fn router(window: Window, operator: Operator<Engine>, settings: &Settings, prom: PrometheusHandle) -> Router {
    let figured = Arc::clone(&window.board);
    let shown = Shown {
        board: Arc::clone(&window.board),
        stack: settings.stack.clone(),
        interval: settings.check_interval,
        keeper: window.keeper.clone(),
        window: Arc::new(window),
        listeners: Arc::new(Semaphore::new(events::MOST_LISTENERS)),
    };
    let metrics = get(move || async move { shared::prom::render_with(&prom, &figures::services(&figured)) });
    let orders = Router::new()
        .route("/api/v1/services/{name}/pause", post(orders::pause))
        .route("/api/v1/services/{name}/resume", post(orders::resume))
        .route("/api/v1/services/{name}/scale", post(orders::scale))
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .route_layer(middleware::from_fn_with_state(settings.admin_token.clone(), orders::guard))
        .with_state(Arc::new(operator));
    Router::new()
        .route("/", get(page::page))
        .route("/assets/{*name}", get(page::asset))
        .route("/health", get(health::health))
        .route("/api/v1/overview", get(overview::overview))
        .route("/api/v1/services", get(services::list))
        .route("/api/v1/services/{name}", get(services::one))
        .route("/api/v1/decisions", get(services::decisions))
        .route("/api/v1/history", get(history::history))
        .route("/api/v1/events", get(events::events))
        .with_state(shown)
        .merge(orders)
        .route("/metrics", metrics)
        .fallback(|| async { problem::answer(StatusCode::NOT_FOUND, "no such page").into_response() })
        .method_not_allowed_fallback(|| async {
            problem::answer(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method").into_response()
        })
}
