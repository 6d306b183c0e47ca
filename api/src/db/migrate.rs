//! Brings the schema up to date, however many replicas start at once.
//!
//! Each migration only adds, so that the version before keeps working beside it; and migrations of a
//! version after this one are left alone, so that going back is possible.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection, PgConnection, migrate::MigrateError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Database, connect};

/// For one statement of a migration, and for the turn of another starter that holds the lock.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One failed try.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error("the primary has not been found yet")]
    Unknown,
    #[error("no connection in time")]
    TimedOut,
    #[error("no connection: {0}")]
    Connect(#[source] sqlx::Error),
    #[error("{0}")]
    Migrate(#[from] MigrateError),
}

/// Tries until it succeeds or `stop` comes; returns whether the schema is up to date.
pub async fn run(database: &Database, stop: &CancellationToken) -> bool {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        match attempt(database).await {
            Ok(()) => {
                let duration_ms = started.elapsed().as_micros() as f64 / 1000.0;
                tracing::info!(duration_ms, "the schema is up to date");
                return true;
            }
            // Expected for a moment at every start of a whole stack.
            Err(AttemptError::Unknown) => tracing::debug!("waiting for a primary to be found"),
            Err(error) => tracing::warn!(%error, "the schema cannot be brought up to date yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = stop.cancelled() => return false,
        }
    }
}

async fn attempt(database: &Database) -> Result<(), AttemptError> {
    let address = database.fleet().primary.as_ref().ok_or(AttemptError::Unknown)?.address;
    // A connection of its own: the pool's statements are cut off far too early for this.
    let options = connect::options(&database.inner.settings, address, STATEMENT_TIMEOUT);
    let mut connection: PgConnection = tokio::time::timeout(CONNECT_TIMEOUT, options.connect())
        .await
        .map_err(|_| AttemptError::TimedOut)?
        .map_err(AttemptError::Connect)?;
    let mut migrator = sqlx::migrate!();
    migrator.set_ignore_missing(true);
    migrator.run_direct(None, &mut connection, false).await?;
    let _ = connection.close().await;
    Ok(())
}
