//! Ways in which a server that is asked for JSON can fail to give it.

use std::{io, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use serde_json::json;

/// What a call meets instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trouble {
    /// Never answers.
    Hang,
    /// Begins to answer, and never ends.
    HangInTheMiddle,
    /// A byte at a time, so that no single read is slow.
    Drip,
    /// The connection breaks in the middle of the answer.
    BreakOff,
    /// The answer has no end.
    Endless,
    /// Status 500.
    Fail,
    /// Status 500 with a page of a proxy.
    FailAsPage,
    /// Status 200, no JSON.
    Garbage,
    /// Status 200, not even text.
    Binary,
    /// Status 200, JSON of another kind.
    OtherJson,
    /// JSON that is nested without end.
    Nested,
    /// The call is carried out, but its answer is lost.
    LoseAnswer,
    /// Somebody else writes the service first.
    Overtake,
}

/// Troubles with a call that only reads, and a word of what is said about each.
pub(crate) const READING: [(Trouble, &str); 11] = [
    (Trouble::Hang, "does not answer: operation timed out"),
    (Trouble::HangInTheMiddle, "does not answer: operation timed out"),
    (Trouble::Drip, "does not answer: operation timed out"),
    (Trouble::BreakOff, "does not answer"),
    (Trouble::Endless, "larger than"),
    (Trouble::Fail, "500"),
    (Trouble::FailAsPage, "500"),
    (Trouble::Garbage, "not understood"),
    (Trouble::Binary, "not UTF-8"),
    (Trouble::OtherJson, "not understood"),
    (Trouble::Nested, "not understood"),
];

/// The answer of a call that meets trouble; `None` when it is to be carried out.
pub(crate) async fn spoil(trouble: Option<Trouble>) -> Option<Response> {
    let failed = |body: Response| (StatusCode::INTERNAL_SERVER_ERROR, body).into_response();
    let begun = || Bytes::from_static(b"[{\"ID\":\"");
    Some(match trouble? {
        Trouble::Hang => std::future::pending().await,
        Trouble::HangInTheMiddle => streamed(stream::iter([Ok(begun())]).chain(stream::pending())),
        Trouble::Drip => streamed(stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Bytes::from_static(b" "))
        })),
        Trouble::BreakOff => {
            let cut = io::Error::from(io::ErrorKind::ConnectionReset);
            streamed(stream::iter([Ok(begun()), Err(cut)]))
        }
        Trouble::Endless => streamed(stream::repeat(()).map(|()| Ok(Bytes::from_static(&[b' '; 65_536])))),
        Trouble::Fail => failed(Json(json!({"message": "no leader"})).into_response()),
        Trouble::FailAsPage => failed("<html>oops</html>".into_response()),
        Trouble::Garbage => "<html>[{".into_response(),
        Trouble::Binary => vec![0xff_u8, 0xfe, 0x00].into_response(),
        Trouble::OtherJson => Json(json!({"message": "page not found", "contract": "1"})).into_response(),
        Trouble::Nested => "[".repeat(200_000).into_response(),
        Trouble::LoseAnswer | Trouble::Overtake => return None,
    })
}

fn streamed(chunks: impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(chunks)).into_response()
}
