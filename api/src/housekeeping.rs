//! Deletes what has expired, a bounded piece at a time.
//!
//! Every replica does it, at its own moment; two at once only find less to do.

use std::time::Duration;

use rand::RngExt;
use tokio_util::sync::CancellationToken;

use crate::db::{Database, DbError};

/// Few enough rows that a piece never holds locks for long.
const SWEEPS: [&str; 4] = [
    "delete from idempotency_keys where ctid in (select ctid from idempotency_keys where expires_at < now() limit 1000)",
    "delete from refresh_tokens where ctid in (select ctid from refresh_tokens where expires_at < now() limit 1000)",
    "delete from sessions where ctid in (select ctid from sessions where expires_at < now() limit 1000)",
    "delete from login_attempts where ctid in (select ctid from login_attempts where expires_at < now() limit 1000)",
];

/// Runs until `stop`.
pub async fn run(database: Database, stop: CancellationToken) {
    loop {
        // Spread, or replicas that were deployed together would sweep together.
        let pause = Duration::from_secs(rand::rng().random_range(30..90));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = sweep(&database).await {
            tracing::debug!(%error, "expired rows stay for now");
        }
    }
}

/// One pass over all tables; returns how many rows went.
pub async fn sweep(database: &Database) -> Result<u64, DbError> {
    let mut gone = 0;
    for statement in SWEEPS {
        let work = async { Ok(sqlx::query(statement).execute(&database.writer()?).await?.rows_affected()) };
        gone += database.bounded(work).await?;
    }
    Ok(gone)
}
