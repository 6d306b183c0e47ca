//! Failures, and how they look to a client: RFC 9457 problem documents.
//!
//! A 5xx body is constant. Its cause rides in the response's extensions to the log line and is
//! never sent. The body itself is written by `observe`, which knows the request's id.

use std::{borrow::Cow, fmt::Display};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::DbError;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, as it is named in the request.
    pub field: Cow<'static, str>,
    /// What is allowed.
    pub message: Cow<'static, str>,
}

/// The body of every failure, by RFC 9457.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened to this request.
    pub detail: Cow<'static, str>,
    /// The request's id, as in the header `x-request-id` and in our logs.
    pub request_id: String,
    /// For 422: every field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// Everything a handler may fail with; each maps to one status.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// 400: the request cannot be read.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
    /// 401: no usable credentials.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// 404: no such route.
    #[error("There is nothing at this path.")]
    NoRoute,
    /// 404: no such thing, or not the caller's.
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// 405.
    #[error("This path does not take that method; the header Allow names those it takes.")]
    MethodNotAllowed,
    /// 409.
    #[error("{0}")]
    Conflict(&'static str),
    /// 412: `If-Match` names another version.
    #[error("The item has changed: read it again.")]
    Changed,
    /// 413.
    #[error("The body is larger than this service takes.")]
    TooLarge,
    /// 415.
    #[error("The body must be JSON, and the header Content-Type must say application/json.")]
    NotJson,
    /// 422: fields that are wrong.
    #[error("Some fields are not acceptable.")]
    Invalid(Vec<FieldError>),
    /// 422: an `Idempotency-Key` that came with another request before.
    #[error("This Idempotency-Key was used with another request.")]
    KeyReused,
    /// 429, with the seconds to wait.
    #[error("There were too many attempts: wait before the next one.")]
    TooMany(u64),
    /// 500, with the cause for the log.
    #[error("The request could not be handled; the fault is ours.")]
    Internal(String),
    /// 503: too much at once, with the cause for the log.
    #[error("The service is busy: try again shortly.")]
    Busy(&'static str),
    /// 503: something that is needed is away, with the cause for the log.
    #[error("The service cannot do this just now: try again shortly.")]
    Unavailable(String),
    /// 504: not done in the time that is allowed.
    #[error("The request took too long.")]
    TooSlow,
}

/// Seconds after which to come back from a 503. A lost primary is back in 2–7.
const RETRY_AFTER: u64 = 2;

/// What `observe` needs to finish a failed answer.
#[derive(Debug, Clone)]
pub(super) struct Failure(pub(super) ApiError);

impl ApiError {
    /// A token that outlived its account.
    pub const ACCOUNT_GONE: Self = Self::Unauthorized("The account of this access token is gone.");

    /// One wrong field.
    pub fn field(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// A fault of ours; the cause goes to the log only.
    pub fn internal(cause: impl Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::NoRoute | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Changed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) | Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy(_) | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What only the log may say.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal(cause) | Self::Unavailable(cause) => Some(cause),
            Self::Busy(cause) => Some(cause),
            _ => None,
        }
    }

    /// The document that is sent.
    #[must_use]
    pub fn problem(&self, request_id: &str) -> Problem {
        let status = self.status();
        Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.to_string().into(),
            request_id: request_id.to_owned(),
            errors: if let Self::Invalid(errors) = self { errors.clone() } else { Vec::new() },
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(seconds) => Some(*seconds),
            Self::Busy(_) => Some(1),
            Self::Unavailable(_) => Some(RETRY_AFTER),
            _ => None,
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        // All rows belong to an account in the end.
        if error.is_orphan() {
            return Self::ACCOUNT_GONE;
        }
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        let cause = format!("{error}{source}");
        if error.is_passing() { Self::Unavailable(cause) } else { Self::Internal(cause) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if matches!(self, Self::Unauthorized(_)) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Failure(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_for_the_log_and_never_in_the_body() {
        let error = ApiError::internal("relation \"users\" does not exist");
        let body = serde_json::to_string(&error.problem("id-1")).unwrap();
        assert!(!body.contains("users"), "{body}");
        assert_eq!(error.cause(), Some("relation \"users\" does not exist"));
    }

    #[test]
    fn every_503_says_when_to_come_back() {
        for error in [ApiError::Busy("x"), ApiError::Unavailable("y".into())] {
            let response = error.into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(response.headers().contains_key(header::RETRY_AFTER));
        }
    }
}
