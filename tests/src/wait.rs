//! Waiting for a condition instead of for a time.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

const POLL: Duration = Duration::from_millis(250);

/// Repeats `attempt` until it succeeds; after `bound` its last error is the failure.
pub async fn eventually<T, F>(what: &str, bound: Duration, mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let start = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() >= bound => {
                bail!("{what}: not within {} s: {error:#}", bound.as_secs())
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Demands that `check` holds at every look for the whole of `span`.
pub async fn steadily<F>(what: &str, span: Duration, mut check: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let start = Instant::now();
    while start.elapsed() < span {
        if let Err(error) = check().await {
            bail!("{what}: broken after {:.1} s: {error:#}", start.elapsed().as_secs_f64());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
