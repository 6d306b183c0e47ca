//! The description of this API, generated from the handlers, and a page to read it.
//!
//! The page loads nothing from elsewhere and runs only the script that is served beside it.

use std::sync::OnceLock;

use axum::{
    Router,
    extract::State,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::app::AppState;

/// What the handlers do not say themselves.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "scalable-backend", description = "Accounts, sessions and items."),
    modifiers(&BearerToken),
    components(schemas(super::problem::Problem, super::problem::FieldError)),
    tags(
        (name = "auth", description = "Accounts and sessions"),
        (name = "users", description = "The caller"),
        (name = "items", description = "Items of the caller"),
        (name = "operations", description = "How this replica is")
    )
)]
pub struct Description;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/page.js");
const STYLE: &str = include_str!("docs/page.css");
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The description as JSON and the page with its parts.
pub fn router(description: utoipa::openapi::OpenApi) -> Router<AppState> {
    // Rendered when it is first asked for: starting must be cheap.
    let rendered: OnceLock<Bytes> = OnceLock::new();
    let rendered = std::sync::Arc::new((description, rendered));
    let json = Router::new().route("/api/openapi.json", get(openapi)).with_state(rendered);
    Router::new()
        .merge(json)
        .route("/api/docs", get(async || part("text/html; charset=utf-8", PAGE)))
        .route("/api/docs/page.js", get(async || part("text/javascript; charset=utf-8", SCRIPT)))
        .route("/api/docs/page.css", get(async || part("text/css; charset=utf-8", STYLE)))
}

type Rendered = std::sync::Arc<(utoipa::openapi::OpenApi, OnceLock<Bytes>)>;

async fn openapi(State(state): State<Rendered>) -> impl IntoResponse {
    let body = state.1.get_or_init(|| serde_json::to_vec(&state.0).unwrap_or_default().into());
    ([(header::CONTENT_TYPE, "application/json")], body.clone())
}

fn part(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
