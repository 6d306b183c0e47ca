//! The collector's snapshot, fetched. A snapshot of a contract that is not known is refused:
//! its numbers could mean something else.

use std::time::Duration;

use reqwest::Client;
use shared::snapshot::{CONTRACT, Snapshot};

use crate::{
    bounded::{self, BodyError},
    client,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// A hundred thousand tasks of 500 bytes are 50 MB.
const MOST_BYTES: usize = 128 << 20;

/// The collector of this stack.
#[derive(Debug, Clone)]
pub struct Collector {
    client: Client,
    url: String,
    most_bytes: usize,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// It does not answer, or not in time.
    #[error("the collector at {url} does not answer: {cause}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The innermost cause.
        cause: String,
    },
    /// It answered something else than 200.
    #[error("the collector answered {0}")]
    Status(u16),
    /// The answer is no snapshot.
    #[error("the collector's snapshot is not understood: {0}")]
    Garbage(String),
    /// The snapshot is of another contract.
    #[error("the collector speaks contract {0}, this autoscaler {CONTRACT}: update the older of the two")]
    Contract(u64),
}

impl Collector {
    /// Speaks to the collector at `url`. Opens nothing yet.
    pub fn new(url: &str) -> Result<Self, reqwest::Error> {
        Self::with_limits(url, TIMEOUT, MOST_BYTES)
    }

    /// The same with other bounds on the time of a call and the size of its answer.
    pub fn with_limits(url: &str, timeout: Duration, most_bytes: usize) -> Result<Self, reqwest::Error> {
        let client = client::builder(timeout)?.pool_max_idle_per_host(0).build()?;
        Ok(Self { client, url: format!("{url}/snapshot"), most_bytes })
    }

    /// The newest snapshot.
    pub async fn snapshot(&self) -> Result<Snapshot, CollectorError> {
        let unreachable = |cause| CollectorError::Unreachable { url: self.url.clone(), cause };
        let sent = self.client.get(&self.url).send().await;
        let response = sent.map_err(|error| unreachable(bounded::innermost(&error)))?;
        if !response.status().is_success() {
            return Err(CollectorError::Status(response.status().as_u16()));
        }
        let text = bounded::text(response, self.most_bytes).await;
        parse(&text.map_err(|error: BodyError| unreachable(bounded::innermost(&error)))?)
    }
}

/// A snapshot from its text.
pub fn parse(text: &str) -> Result<Snapshot, CollectorError> {
    #[derive(serde::Deserialize)]
    struct Head {
        contract: u64,
    }
    let garbage = |error: serde_json::Error| CollectorError::Garbage(error.to_string());
    let head: Head = serde_json::from_str(text).map_err(garbage)?;
    if head.contract != u64::from(CONTRACT) {
        return Err(CollectorError::Contract(head.contract));
    }
    serde_json::from_str(text).map_err(garbage)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unknown_contract_is_refused_before_its_fields_are_read() {
        let error = parse(r#"{"contract": 2, "services": "something new"}"#).unwrap_err();
        assert!(error.to_string().contains("contract 2"), "{error}");
    }

    proptest! {
        #[test]
        fn nonsense_is_an_error_and_no_panic(text in any::<String>()) {
            prop_assert!(parse(&text).is_err());
        }
    }
}
