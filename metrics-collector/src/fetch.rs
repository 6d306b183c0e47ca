//! One bounded GET over TCP or a Unix socket.
//!
//! Time, size and status are checked here, so that parsers only see whole answers of a
//! sane size. There is no other method than GET on purpose.

use std::{error::Error, path::Path, time::Duration};

use serde::de::DeserializeOwned;

/// A client whose every request ends: in time, and within a number of bytes.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    max_bytes: usize,
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The HTTP client could not be built.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// No connection, no answer, or not in time.
    #[error("no answer")]
    Transport(#[source] reqwest::Error),
    /// An answer that is not 200.
    #[error("answered with status {0}")]
    Status(u16),
    /// More bytes than anything we read could need.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// Text was expected.
    #[error("the answer is not UTF-8")]
    NotText,
    /// JSON of a known shape was expected.
    #[error("the answer is not the expected JSON")]
    Json(#[source] serde_json::Error),
}

impl Fetcher {
    /// A client over TCP.
    pub fn tcp(timeout: Duration, max_bytes: usize) -> Result<Self, FetchError> {
        Self::build(reqwest::Client::builder(), timeout, max_bytes)
    }

    /// A client that speaks to the server behind one Unix socket. It connects anew whenever
    /// the server was away, so there is nothing to re-establish.
    pub fn unix(socket: &Path, timeout: Duration, max_bytes: usize) -> Result<Self, FetchError> {
        Self::build(reqwest::Client::builder().unix_socket(socket), timeout, max_bytes)
    }

    fn build(builder: reqwest::ClientBuilder, timeout: Duration, max_bytes: usize) -> Result<Self, FetchError> {
        let client = builder
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .pool_max_idle_per_host(4)
            .build()
            .map_err(FetchError::Client)?;
        Ok(Self { client, max_bytes })
    }

    /// The body of a 200.
    pub async fn bytes(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let mut response = self.client.get(url).send().await.map_err(transport)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > self.max_bytes {
                return Err(FetchError::TooLarge(self.max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The body of a 200 as text.
    pub async fn text(&self, url: &str) -> Result<String, FetchError> {
        String::from_utf8(self.bytes(url).await?).map_err(|_| FetchError::NotText)
    }

    /// The body of a 200 as JSON of a known shape.
    pub async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        serde_json::from_slice(&self.bytes(url).await?).map_err(FetchError::Json)
    }
}

/// Whoever reports the error names the server; the address once is enough.
fn transport(error: reqwest::Error) -> FetchError {
    FetchError::Transport(error.without_url())
}

/// An error and its causes in one line, for people, cut to a length that a page can show.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.chars().take(240).collect()
}
