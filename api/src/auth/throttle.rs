//! How often somebody may try to log in to one account.
//!
//! The count is in Postgres, where no lost cache and no moved shard can forget it; the log-in needs
//! Postgres anyway, and the count rides in the statement that reads the account. Redis only remembers
//! that an account is shut, so that a flood of attempts costs neither a connection nor a hash; without
//! Redis the same refusals come from Postgres.
//!
//! An attempt counts before its password is checked, or many at once would all be free. Accounts that
//! do not exist are counted alike, so a refusal tells nothing about them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use uuid::Uuid;

use super::credentials::Email;
use crate::{
    cache::Cache,
    db::{Database, DbError},
    http::problem::ApiError,
};

/// What is known when an attempt is admitted.
#[derive(Debug, FromRow)]
pub struct Attempt {
    attempts: i32,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
    /// The account, if there is one.
    pub user_id: Option<Uuid>,
    /// Its password's hash.
    pub password_hash: Option<String>,
}

/// How many attempts, in what time.
#[derive(Debug, Clone, Copy)]
pub struct Throttle {
    /// Attempts that do not succeed, per address and window.
    pub attempts: i32,
    /// Counted from the first attempt.
    pub window: Duration,
}

/// The digest under which attempts for an address are counted.
#[must_use]
pub fn subject(email: &Email) -> [u8; 32] {
    Sha256::digest(email.as_str()).into()
}

impl Throttle {
    /// Counts an attempt and reads the account, or refuses with the time to wait.
    pub async fn admit(&self, database: &Database, cache: Option<&Cache>, email: &Email) -> Result<Attempt, ApiError> {
        let subject = subject(email);
        if let Some(cache) = cache
            && let Some(seconds) = cache.shut_for(&subject).await
        {
            return Err(ApiError::TooMany(seconds));
        }
        let attempt = self.count(database, &subject, email).await?;
        if attempt.attempts <= self.attempts {
            return Ok(attempt);
        }
        let seconds = seconds_left(attempt.expires_at, attempt.now);
        if let Some(cache) = cache {
            cache.shut(&subject, seconds).await;
        }
        Err(ApiError::TooMany(seconds))
    }

    async fn count(&self, database: &Database, subject: &[u8], email: &Email) -> Result<Attempt, DbError> {
        database
            .bounded(async {
                let query = sqlx::query_as(
                    "with attempt as (
                         insert into login_attempts as a (subject, attempts, expires_at)
                         values ($1, 1, now() + make_interval(secs => $2))
                         on conflict (subject) do update set
                             attempts = case when a.expires_at <= now() then 1 else least(a.attempts + 1, 1000000) end,
                             expires_at = case when a.expires_at <= now() then excluded.expires_at else a.expires_at end
                         returning attempts, expires_at
                     )
                     select attempt.attempts, attempt.expires_at, now() as now, u.id as user_id, u.password_hash
                     from attempt left join users u on u.email = $3",
                );
                let query = query.bind(subject).bind(self.window.as_secs_f64()).bind(email.as_str());
                Ok(query.fetch_one(&database.writer()?).await?)
            })
            .await
    }
}

/// Rounded up: coming back a moment early would count again.
fn seconds_left(expires_at: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    let left = (expires_at - now).to_std().unwrap_or_default();
    left.as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_never_zero() {
        let now = Utc::now();
        assert_eq!(seconds_left(now - Duration::from_secs(5), now), 1);
        assert_eq!(seconds_left(now + Duration::from_millis(1500), now), 2);
    }
}
