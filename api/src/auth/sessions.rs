//! Sessions: refresh tokens, their rotation and their revocation.
//!
//! A refresh token is good once. Whoever shows a used one again ends the whole session, since of two
//! holders one must have stolen it and nobody can tell which.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rand::Rng;
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use uuid::Uuid;

use crate::db::{Database, DbError};

/// A refresh token as its client holds it: 256 random bits. Never printed, never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken([u8; 32]);

/// What came of showing a refresh token.
#[derive(Debug)]
pub enum Rotation {
    /// It was good; the user and the token that follows it.
    Renewed(Uuid, RefreshToken),
    /// It was used before: the session has been revoked.
    Reused,
    /// It is unknown, expired or revoked.
    Refused,
}

#[derive(Debug, FromRow)]
struct Found {
    session_id: Uuid,
    user_id: Uuid,
    used: bool,
    ended: bool,
}

impl RefreshToken {
    fn fresh() -> Self {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// `None` for what cannot be one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The text for its client.
    #[must_use]
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What the database knows of it. No salt and no slowness: there is nothing to guess in 256 random bits.
    fn digest(&self) -> Vec<u8> {
        Sha256::digest(self.0).to_vec()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

/// Begins a session after a good log-in, whose `subject` need not be throttled any more.
pub async fn begin(database: &Database, user: Uuid, subject: &[u8], ttl: Duration) -> Result<RefreshToken, DbError> {
    let token = RefreshToken::fresh();
    let expires_at: DateTime<Utc> = Utc::now() + ttl;
    database
        .bounded(async {
            let query = sqlx::query(
                "with cleared as (delete from login_attempts where subject = $1),
                 session as (insert into sessions (id, user_id, expires_at) values ($2, $3, $4) returning id)
                 insert into refresh_tokens (token_hash, session_id, expires_at) select $5, id, $4 from session",
            );
            let query = query.bind(subject).bind(Uuid::now_v7()).bind(user).bind(expires_at).bind(token.digest());
            query.execute(&database.writer()?).await?;
            Ok(())
        })
        .await?;
    Ok(token)
}

/// Exchanges a refresh token for the next one.
pub async fn rotate(database: &Database, token: &RefreshToken, ttl: Duration) -> Result<Rotation, DbError> {
    let next = RefreshToken::fresh();
    let expires_at: DateTime<Utc> = Utc::now() + ttl;
    database
        .bounded(async {
            let mut tx = database.writer()?.begin().await?;
            // Both rows are locked: two that show tokens of one session at once come one after the other.
            let found: Option<Found> = sqlx::query_as(
                "select t.session_id, s.user_id, t.used_at is not null as used,
                        s.revoked_at is not null or t.expires_at <= now() as ended
                 from refresh_tokens t join sessions s on s.id = t.session_id
                 where t.token_hash = $1 for update",
            )
            .bind(token.digest())
            .fetch_optional(&mut *tx)
            .await?;
            let (query, rotation) = match found {
                None => return Ok(Rotation::Refused),
                Some(found) if found.ended => return Ok(Rotation::Refused),
                Some(found) if found.used => {
                    let query = sqlx::query("update sessions set revoked_at = now() where id = $1");
                    (query.bind(found.session_id), Rotation::Reused)
                }
                Some(found) => {
                    let query = sqlx::query(
                        "with used as (update refresh_tokens set used_at = now() where token_hash = $1),
                         session as (update sessions set expires_at = $4 where id = $3)
                         insert into refresh_tokens (token_hash, session_id, expires_at) values ($2, $3, $4)",
                    );
                    let query = query.bind(token.digest()).bind(next.digest()).bind(found.session_id).bind(expires_at);
                    (query, Rotation::Renewed(found.user_id, next.clone()))
                }
            };
            query.execute(&mut *tx).await?;
            tx.commit().await?;
            Ok(rotation)
        })
        .await
}

/// Ends the session of a token; an unknown token is no error.
pub async fn revoke(database: &Database, token: &RefreshToken) -> Result<(), DbError> {
    database
        .bounded(async {
            let query = sqlx::query(
                "update sessions set revoked_at = now()
                 from refresh_tokens t
                 where t.token_hash = $1 and sessions.id = t.session_id and sessions.revoked_at is null",
            );
            query.bind(token.digest()).execute(&database.writer()?).await?;
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_hides_from_debug_output() {
        let token = RefreshToken::fresh();
        assert_eq!(RefreshToken::parse(&token.expose()), Some(token.clone()));
        assert!(!format!("{token:?}").contains(&token.expose()));
        assert_ne!(token, RefreshToken::fresh());
    }

    #[test]
    fn what_is_no_token_of_ours_is_refused() {
        for bad in ["", "abc", "\0", &"A".repeat(42), &"A".repeat(44), "….."] {
            assert_eq!(RefreshToken::parse(bad), None, "{bad:?}");
        }
    }
}
