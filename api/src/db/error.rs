//! What can go wrong with Postgres, sorted by what a client should do about it.

use sqlx::error::DatabaseError;

/// A failed piece of work.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No server has said yet that it is the primary: come back later.
    #[error("the primary has not been found yet")]
    Unknown,
    /// No answer in the time that was allowed: come back later.
    #[error("the database did not answer in time")]
    TimedOut,
    /// No server, no connection, or a server that is starting or stopping: come back later.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// Anything else: a fault of ours.
    #[error("the database refused a statement")]
    Failed(#[source] sqlx::Error),
}

impl DbError {
    /// Whether the same request may well succeed in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }

    /// Whether what the new row would belong to is gone.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        matches!(self, Self::Failed(sqlx::Error::Database(error)) if error.is_foreign_key_violation())
    }

    /// Whether the connection broke under the work, so that others are likely broken too.
    #[must_use]
    pub fn is_broken_connection(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::PoolTimedOut) => false,
            Self::Unavailable(sqlx::Error::Database(error)) => is_ending_code(&code_of(error.as_ref())),
            Self::Unavailable(_) => true,
            Self::Unknown | Self::TimedOut | Self::Failed(_) => false,
        }
    }

    /// Whether the server itself said no.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Database(_)) | Self::Failed(sqlx::Error::Database(_)))
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let passing = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => true,
            sqlx::Error::Database(error) => is_passing_code(&code_of(error.as_ref())),
            _ => false,
        };
        if passing { Self::Unavailable(error) } else { Self::Failed(error) }
    }
}

fn code_of(error: &dyn DatabaseError) -> String {
    error.code().unwrap_or_default().into_owned()
}

/// SQLSTATEs of a server that is starting, stopping, full, no longer the primary, or too slow just now,
/// and of a statement that stood in the way of others.
fn is_passing_code(code: &str) -> bool {
    is_ending_code(code) || matches!(code, "57014" | "53300" | "25006" | "40001" | "40P01" | "55P03")
}

/// Those after which the connection is of no use.
fn is_ending_code(code: &str) -> bool {
    code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pool_is_passing_but_breaks_no_connection() {
        let error = DbError::from(sqlx::Error::PoolTimedOut);
        assert!(error.is_passing() && !error.is_broken_connection());
    }

    #[test]
    fn a_reset_connection_is_passing_and_broken() {
        let error = DbError::from(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(error.is_passing() && error.is_broken_connection() && !error.is_answer());
    }

    #[test]
    fn a_statement_that_gives_way_to_replay_is_passing_and_breaks_no_connection() {
        assert!(is_passing_code("40001") && !is_ending_code("40001"));
        assert!(is_passing_code("57P01") && is_ending_code("57P01"));
    }

    #[test]
    fn a_wrong_statement_is_our_own_fault() {
        assert!(!DbError::from(sqlx::Error::ColumnNotFound("x".into())).is_passing());
        assert!(is_passing_code("57P03") && !is_passing_code("42601") && !is_passing_code("23505"));
    }
}
