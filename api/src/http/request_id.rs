//! The id each request carries through logs and answers.
//!
//! An id from outside is kept only when it is short and plain: it ends up in log lines.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 64;

/// The id of one request.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// As text; always plain ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    fn of(request: &Request) -> Self {
        match request.headers().get(HEADER) {
            Some(given) if is_sane(given.as_bytes()) => Self(given.clone()),
            _ => Self::fresh(),
        }
    }

    fn fresh() -> Self {
        let mut text = Uuid::encode_buffer();
        let text = Uuid::now_v7().hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("none")))
    }
}

/// Gives the request its id and names it in the answer, whatever the answer is.
pub async fn attach(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(HEADER, id.0);
    response
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_and_plain_ids_are_taken_over() {
        assert!(is_sane(b"abc-DEF_123"));
        assert!(is_sane(&[b'a'; 64]) && !is_sane(&[b'a'; 65]));
        for bad in ["", "a b", "a\"b", "\u{e9}", "a\tb", "{}", "a/b"] {
            assert!(!is_sane(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn a_fresh_id_is_a_uuid() {
        assert!(Uuid::parse_str(RequestId::fresh().as_str()).is_ok());
    }
}
