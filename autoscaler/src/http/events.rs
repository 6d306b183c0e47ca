//! Decisions as they are made, as server-sent events: `event: decision` with the same JSON as
//! in `/api/v1/decisions`.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Shown, problem};
use crate::board;

/// Proxies close what has been silent for longer, usually after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) async fn events(State(shown): State<Shown>) -> Response {
    let Some(listening) = shown.board.listen() else {
        return problem::answer(StatusCode::SERVICE_UNAVAILABLE, "the autoscaler is stopping").into_response();
    };
    let events = stream::unfold(listening.decisions, |mut listening| async {
        let event = next(&mut listening).await?;
        Some((Ok::<_, Infallible>(event), listening))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// The next event; `None` at the end of the program.
async fn next(listening: &mut Receiver<board::Event>) -> Option<Event> {
    match listening.recv().await {
        // A decision that cannot be written as JSON does not exist; an empty event would say so.
        Ok(event) => Some(Event::default().event("decision").json_data(event).unwrap_or_default()),
        Err(RecvError::Lagged(missed)) => Some(Event::default().event("missed").data(missed.to_string())),
        Err(RecvError::Closed) => None,
    }
}
