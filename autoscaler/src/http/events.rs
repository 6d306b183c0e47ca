//! What happens, as server-sent events: `decision` as soon as one is made, with the same JSON
//! as in `/api/v1/decisions`; `overview` whenever anything that `/api/v1/overview` shows has
//! changed; `beat` when nothing has, so that a page knows a silent line from a dead one.
//!
//! Listeners are bounded. One that reads too slowly gets the newest overview only, and is told
//! how many decisions it missed; one that does not read at all is cut off by the server.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream;
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast::error::RecvError},
    time::{Interval, MissedTickBehavior},
};

use super::{Shown, problem};
use crate::{board::Listener, clock, dashboard::Window};

/// Listeners at once: more than a team has open, and little memory.
pub(super) const MOST_LISTENERS: usize = 64;

/// How often a listener looks whether anything has changed.
const TICK: Duration = Duration::from_secs(1);

/// After so long without an event comes a beat.
const SILENCE_MS: u64 = 5_000;

pub(super) async fn events(State(shown): State<Shown>) -> Response {
    let Ok(place) = Arc::clone(&shown.listeners).try_acquire_owned() else {
        let detail = format!("{MOST_LISTENERS} are listening already: close some pages, or ask /api/v1/overview");
        let answer = problem::answer(StatusCode::SERVICE_UNAVAILABLE, &detail);
        return ([(header::RETRY_AFTER, "10")], answer).into_response();
    };
    let Some(heard) = shown.board.listen() else {
        return problem::answer(StatusCode::SERVICE_UNAVAILABLE, "the autoscaler is stopping").into_response();
    };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let listening = Listening { heard, window: shown.window, tick, shown: None, spoke_ms: 0, _place: place };
    let events = stream::unfold(listening, |mut listening| async {
        let event = listening.next().await?;
        Some((Ok::<_, Infallible>(event), listening))
    });
    // Proxies that collect an answer before they pass it on would hold all of this back.
    ([("x-accel-buffering", "no")], Sse::new(events)).into_response()
}

/// One listener.
struct Listening {
    heard: Listener,
    window: Arc<Window>,
    tick: Interval,
    /// Number of the overview that was sent last.
    shown: Option<u64>,
    spoke_ms: u64,
    _place: OwnedSemaphorePermit,
}

impl Listening {
    /// The next event; `None` at the end of the program.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                // Decisions first: they are what somebody waits for.
                biased;
                decision = self.heard.decisions.recv() => {
                    self.spoke_ms = clock::now_ms();
                    return match decision {
                        // A decision that cannot be written as JSON does not exist; an empty event would say so.
                        Ok(event) => Some(Event::default().event("decision").json_data(event).unwrap_or_default()),
                        Err(RecvError::Lagged(missed)) => Some(Event::default().event("missed").data(missed.to_string())),
                        Err(RecvError::Closed) => None,
                    };
                }
                changed = self.heard.rounds.changed() => changed.ok()?,
                _ = self.tick.tick() => {}
            }
            if let Some(event) = self.look().await {
                return Some(event);
            }
        }
    }

    async fn look(&mut self) -> Option<Event> {
        let frame = self.window.frame().await;
        let now_ms = clock::now_ms();
        let silent = now_ms.saturating_sub(self.spoke_ms) >= SILENCE_MS;
        let event = if self.shown != Some(frame.number) {
            self.shown = Some(frame.number);
            Event::default().event("overview").data(frame.at(now_ms))
        } else if silent {
            Event::default().event("beat").data(now_ms.to_string())
        } else {
            return None;
        };
        self.spoke_ms = now_ms;
        Some(event)
    }
}
