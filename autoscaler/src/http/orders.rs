//! The calls that change something. Without the token nothing of them is even read.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Request, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::problem;
use crate::{
    clock,
    operate::{Operator, Order, OrderError},
    swarm::{Engine, SwarmError},
};

/// Longer than a week is not a pause but a decision, which belongs into a label.
const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 86_400);

/// The operator behind the calls.
pub(super) type Operated = State<Arc<Operator<Engine>>>;

/// Lets a call pass that carries the admin token.
pub(super) async fn guard(State(token): State<Option<SecretString>>, request: Request, next: Next) -> Response {
    let Some(token) = token else {
        let detail = "no ADMIN_TOKEN is set, so nothing can be changed through this address";
        return problem::answer(StatusCode::FORBIDDEN, detail).into_response();
    };
    let given = bearer(request.headers()).unwrap_or_default();
    // The comparison takes as long for a token that is nearly right as for any other.
    if bool::from(given.as_bytes().ct_eq(token.expose_secret().as_bytes())) {
        return next.run(request).await;
    }
    let detail = "this call needs the header `Authorization: Bearer` with the admin token";
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem::answer(StatusCode::UNAUTHORIZED, detail)).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    seconds: u64,
}

pub(super) async fn pause(
    State(operator): Operated,
    Path(name): Path<String>,
    body: Result<Json<Pause>, JsonRejection>,
) -> Response {
    let seconds = match body {
        Ok(Json(pause)) => pause.seconds,
        Err(rejection) => return refuse(&rejection),
    };
    if !(1..=LONGEST_PAUSE.as_secs()).contains(&seconds) {
        let detail = format!("seconds={seconds}: allowed is a whole number from 1 to {}", LONGEST_PAUSE.as_secs());
        return problem::answer(StatusCode::UNPROCESSABLE_ENTITY, &detail).into_response();
    }
    let until_ms = clock::now_ms().saturating_add(seconds.saturating_mul(1000));
    carry_out(&operator, &name, Order::Pause { until_ms }).await
}

pub(super) async fn resume(State(operator): Operated, Path(name): Path<String>) -> Response {
    carry_out(&operator, &name, Order::Resume).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scale {
    replicas: u64,
}

pub(super) async fn scale(
    State(operator): Operated,
    Path(name): Path<String>,
    body: Result<Json<Scale>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(Scale { replicas })) => carry_out(&operator, &name, Order::Scale { replicas }).await,
        Err(rejection) => refuse(&rejection),
    }
}

fn refuse(rejection: &JsonRejection) -> Response {
    problem::answer(rejection.status(), &rejection.body_text()).into_response()
}

async fn carry_out(operator: &Operator<Engine>, name: &str, order: Order) -> Response {
    let error = match operator.carry_out(name, order, clock::now_ms()).await {
        Ok(done) => return Json(done).into_response(),
        Err(error) => error,
    };
    let status = match &error {
        OrderError::Unknown => StatusCode::NOT_FOUND,
        OrderError::NotScalable(_) | OrderError::Swarm(SwarmError::Conflict) => StatusCode::CONFLICT,
        OrderError::OutOfBounds { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        OrderError::Swarm(_) => {
            tracing::error!(%error, service = name, "cannot carry out an operator's order");
            let detail = "the Swarm could not be read or written: the log tells why";
            return problem::answer(StatusCode::BAD_GATEWAY, detail).into_response();
        }
    };
    problem::answer(status, &error.to_string()).into_response()
}
