//! What can go wrong with one request. Overload answers (429, 503) are failures like any
//! other: a system that scales in time gives none.

use std::{borrow::Cow, error::Error};

/// The kinds that failures are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No connection could be made.
    Connect,
    /// No whole answer within the time allowed.
    Timeout,
    /// The connection ended before the answer was whole.
    Disconnected,
    /// An answer with another status than the one that was due.
    Status(u16),
    /// The right status, but not the content that was written or asked for.
    WrongBody,
}

impl Kind {
    /// Its name in the report: a fixed word, or `http_` and the status.
    #[must_use]
    pub fn label(self) -> Cow<'static, str> {
        match self {
            Self::Connect => "connect".into(),
            Self::Timeout => "timeout".into(),
            Self::Disconnected => "disconnected".into(),
            Self::WrongBody => "wrong_body".into(),
            Self::Status(429) => "http_429".into(),
            Self::Status(503) => "http_503".into(),
            Self::Status(status) => format!("http_{status}").into(),
        }
    }
}

/// One failed request.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What it is counted as.
    pub kind: Kind,
    /// For people: what was expected and what came. Never a token or a password.
    pub detail: String,
}

impl Failure {
    /// The right status with the wrong content.
    pub fn wrong_body(detail: impl Into<String>) -> Self {
        Self { kind: Kind::WrongBody, detail: detail.into() }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // A connection that is not made in time counts as no connection.
        let kind = if error.is_connect() {
            Kind::Connect
        } else if error.is_timeout() {
            Kind::Timeout
        } else {
            Kind::Disconnected
        };
        Self { kind, detail: causes(&error.without_url()) }
    }
}

/// The error and what caused it, outermost first.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpListener, time::Duration};

    use super::*;

    async fn kind_of(url: &str) -> Kind {
        let client =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(300)).build().expect("a client");
        let answer = async { client.get(url).send().await?.bytes().await };
        Failure::from(answer.await.expect_err("no whole answer")).kind
    }

    /// Accepts connections for ever, writes `head` and then does as told.
    fn listen(head: &'static [u8], hang_up: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // The request must have been read, or closing resets the connection.
                let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
                stream.write_all(head).unwrap();
                if !hang_up {
                    kept.push(stream);
                }
            }
        });
        url
    }

    #[tokio::test]
    async fn failures_of_the_wire_are_told_apart() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(kind_of(&format!("http://{closed}/")).await, Kind::Connect);
        assert_eq!(kind_of(&listen(b"", false)).await, Kind::Timeout);
        assert_eq!(kind_of(&listen(b"", true)).await, Kind::Disconnected);
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal";
        assert_eq!(kind_of(&listen(half, true)).await, Kind::Disconnected);
        assert_eq!(kind_of(&listen(half, false)).await, Kind::Timeout);
    }

    #[test]
    fn labels_are_words_of_a_report() {
        let labels = [Kind::Status(500), Kind::Status(429), Kind::WrongBody].map(Kind::label);
        assert_eq!(labels, ["http_500", "http_429", "wrong_body"]);
    }
}
