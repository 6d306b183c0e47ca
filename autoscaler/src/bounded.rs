//! Reading an HTTP answer without trusting its size.

use std::error::Error;

use futures_util::StreamExt;

/// Why an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection broke, or the time was up.
    #[error("the answer broke off")]
    Broken(#[from] reqwest::Error),
    /// It was larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It was not text.
    #[error("the answer is not UTF-8 text")]
    NotText,
}

/// The body as text, if it has at most `most` bytes.
pub(crate) async fn text(response: reqwest::Response, most: usize) -> Result<String, BodyError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk?);
        if body.len() > most {
            return Err(BodyError::TooLarge(most));
        }
    }
    String::from_utf8(body).map_err(|_| BodyError::NotText)
}

/// The innermost cause of an error: the one that an operator can act on.
#[must_use]
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
