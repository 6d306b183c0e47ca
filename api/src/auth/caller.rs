//! The caller of a request, from its access token. Asks no database.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use uuid::Uuid;

use crate::{app::AppState, http::problem::ApiError};

/// The user whose access token came with the request.
#[derive(Debug, Clone, Copy)]
pub struct Caller(pub Uuid);

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let header = parts.headers.get(header::AUTHORIZATION);
        let Some(header) = header else {
            return Err(ApiError::Unauthorized("An access token is needed: Authorization: Bearer …"));
        };
        let token = header.to_str().ok().and_then(|text| text.split_once(' '));
        token
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, token)| state.tokens.user(token.trim()))
            .map(Self)
            .ok_or(ApiError::Unauthorized("The access token is not good, or not any more."))
    }
}
