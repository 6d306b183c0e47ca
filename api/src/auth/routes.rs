//! The handlers for accounts and sessions.

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    accounts::{self, User},
    caller::Caller,
    credentials,
    sessions::{self, RefreshToken, Rotation},
    throttle,
};
use crate::{
    app::AppState,
    http::{
        extract::Json,
        problem::{ApiError, Problem},
    },
};

/// A mail address and a password.
#[derive(Deserialize, ToSchema)]
struct Credentials {
    /// At most 254 bytes; upper and lower case are the same.
    #[schema(format = "email")]
    email: String,
    /// 8 to 128 characters.
    #[schema(format = "password", min_length = 8, max_length = 128)]
    password: String,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
struct RefreshRequest {
    /// As it came from the log-in or the latest refresh.
    refresh_token: String,
}

/// What a client needs to make requests and to stay logged in.
#[derive(Serialize, ToSchema)]
struct TokenPair {
    /// For the header `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds the access token is good for.
    expires_in: u64,
    /// Good once, for the next pair.
    refresh_token: String,
}

type NoStore = [(HeaderName, HeaderValue); 1];

/// Tokens must stay out of every cache on the way.
const NO_STORE: NoStore = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

/// All routes of this module.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(me))
}

/// Makes an account.
#[utoipa::path(post, path = "/api/auth/register", tag = "auth", request_body = Credentials, responses(
    (status = 201, description = "Made", body = User),
    (status = 409, description = "The mail address has an account", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Fields that are wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Busy: see Retry-After", body = Problem, content_type = "application/problem+json"),
))]
async fn register(
    State(state): State<AppState>,
    Json(body): Json<Credentials>,
) -> Result<(StatusCode, axum::Json<User>), ApiError> {
    let (email, password) = credentials::parse(&body.email, &body.password)?;
    accounts::refuse_taken(&state.database, &email).await?;
    let hash = state.hasher.hash(password).await?;
    let user = accounts::create(&state.database, &email, &hash).await?;
    Ok((StatusCode::CREATED, axum::Json(user)))
}

/// Begins a session. A wrong address and a wrong password are answered alike.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = Credentials, responses(
    (status = 200, description = "A pair of tokens", body = TokenPair),
    (status = 401, description = "Wrong address or password", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Fields that are wrong", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many attempts: see Retry-After", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Busy: see Retry-After", body = Problem, content_type = "application/problem+json"),
))]
async fn login(
    State(state): State<AppState>,
    Json(body): Json<Credentials>,
) -> Result<(NoStore, axum::Json<TokenPair>), ApiError> {
    let (email, password) = credentials::parse(&body.email, &body.password)?;
    let attempt = state.throttle().admit(&state.database, state.cache.as_ref(), &email).await?;
    let good = state.hasher.verify(password, attempt.password_hash).await?;
    let Some(user) = attempt.user_id.filter(|_| good) else {
        return Err(ApiError::Unauthorized("The mail address or the password is wrong."));
    };
    let ttl = state.settings.auth.refresh_ttl;
    let token = sessions::begin(&state.database, user, &throttle::subject(&email), ttl).await?;
    pair(&state, user, &token)
}

/// Exchanges a refresh token for a new pair. A token that is shown twice ends its whole session.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "auth", request_body = RefreshRequest, responses(
    (status = 200, description = "A new pair; the token that was shown is used up", body = TokenPair),
    (status = 401, description = "Unknown, used, expired or revoked", body = Problem, content_type = "application/problem+json"),
))]
async fn refresh(
    State(state): State<AppState>,
    Json(body): Json<RefreshRequest>,
) -> Result<(NoStore, axum::Json<TokenPair>), ApiError> {
    const REFUSED: ApiError = ApiError::Unauthorized("The refresh token is not good, or not any more.");
    let token = RefreshToken::parse(&body.refresh_token).ok_or(REFUSED)?;
    match sessions::rotate(&state.database, &token, state.settings.auth.refresh_ttl).await? {
        Rotation::Renewed(user, next) => pair(&state, user, &next),
        Rotation::Refused => Err(REFUSED),
        Rotation::Reused => {
            tracing::warn!("a used refresh token was shown again: its session is revoked");
            Err(REFUSED)
        }
    }
}

/// Ends a session. Its refresh tokens are void at once, its access token when it expires.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", request_body = RefreshRequest, responses(
    (status = 204, description = "Ended, or was not there"),
))]
async fn logout(State(state): State<AppState>, Json(body): Json<RefreshRequest>) -> Result<StatusCode, ApiError> {
    if let Some(token) = RefreshToken::parse(&body.refresh_token) {
        sessions::revoke(&state.database, &token).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's account.
#[utoipa::path(get, path = "/api/users/me", tag = "users", security(("bearer" = [])), responses(
    (status = 200, description = "The account", body = User),
    (status = 401, description = "No good access token", body = Problem, content_type = "application/problem+json"),
))]
async fn me(State(state): State<AppState>, Caller(id): Caller) -> Result<axum::Json<User>, ApiError> {
    let user = accounts::find(&state.database, id).await?;
    user.map(axum::Json).ok_or(ApiError::ACCOUNT_GONE)
}

fn pair(state: &AppState, user: Uuid, token: &RefreshToken) -> Result<(NoStore, axum::Json<TokenPair>), ApiError> {
    let pair = TokenPair {
        access_token: state.tokens.issue(user)?,
        token_type: "Bearer",
        expires_in: state.tokens.ttl_seconds(),
        refresh_token: token.expose(),
    };
    Ok((NO_STORE, axum::Json(pair)))
}
