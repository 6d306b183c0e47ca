//! Retried creates that are never doubled: `Idempotency-Key`.
//!
//! The key, the answer and the item are written by one statement, so that there is no moment at which
//! a crash could leave one without the other. Requests with the same key meet at the key's row: the
//! second waits for the first and then replays its answer.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use uuid::Uuid;

use super::item::{Draft, Item};
use crate::{
    db::{Database, DbError},
    http::problem::ApiError,
};

/// The header with the client's key.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks an answer as a repetition.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const LONGEST: usize = 255;
/// A key can vanish between meeting it and reading it only when it expires just then.
const TRIES: usize = 3;

/// A key as a client chose it: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

/// What a create with a key came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Created {
    /// Made now.
    Now,
    /// Made before: the item and the answer that was sent then.
    Before(Uuid, String),
    /// The key belongs to another request.
    KeyReused,
}

#[derive(Debug, FromRow)]
struct Kept {
    request_hash: Vec<u8>,
    answer: String,
    item_id: Uuid,
}

impl Key {
    /// The key of a request; `None` when it has none.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let text = value.as_bytes();
        let good = (1..=LONGEST).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        let text = value.to_str().ok().filter(|_| good);
        text.map(|text| Some(Self(text.to_owned())))
            .ok_or_else(|| ApiError::field("Idempotency-Key", "must have 1 to 255 visible ASCII characters"))
    }
}

/// What makes two requests the same: what they ask for, not how it was spaced.
#[must_use]
pub fn digest(draft: &Draft) -> Vec<u8> {
    let mut hash = Sha256::new();
    // With lengths and a mark for absence, no two drafts write the same bytes.
    hash.update(draft.title.len().to_be_bytes());
    hash.update(&draft.title);
    hash.update([u8::from(draft.body.is_some())]);
    hash.update(draft.body.as_deref().unwrap_or_default());
    hash.finalize().to_vec()
}

/// Makes `item` unless the key was used before.
pub async fn create(
    database: &Database,
    (owner, key, ttl): (Uuid, &Key, Duration),
    (item, request_hash, answer): (&Item, &[u8], &str),
) -> Result<Created, DbError> {
    for _ in 0..TRIES {
        if insert(database, (owner, key, ttl), (item, request_hash, answer)).await? {
            return Ok(Created::Now);
        }
        if let Some(kept) = kept(database, owner, key).await? {
            let same = kept.request_hash == request_hash;
            return Ok(if same { Created::Before(kept.item_id, kept.answer) } else { Created::KeyReused });
        }
    }
    Err(DbError::TimedOut)
}

async fn insert(
    database: &Database,
    (owner, key, ttl): (Uuid, &Key, Duration),
    (item, request_hash, answer): (&Item, &[u8], &str),
) -> Result<bool, DbError> {
    database
        .bounded(async {
            let query = sqlx::query(
                "with key as (
                     insert into idempotency_keys as k (user_id, key, request_hash, answer, item_id, expires_at)
                     values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
                     on conflict (user_id, key) do update set
                         request_hash = excluded.request_hash, answer = excluded.answer,
                         item_id = excluded.item_id, expires_at = excluded.expires_at
                         where k.expires_at <= now()
                     returning 1
                 )
                 insert into items (id, owner, title, body, version, created_at, updated_at)
                 select $5, $1, $7, $8, $9, $10, $10 from key",
            );
            let query = query.bind(owner).bind(&key.0).bind(request_hash).bind(answer).bind(item.id);
            let query = query.bind(ttl.as_secs_f64()).bind(&item.title).bind(&item.body);
            let query = query.bind(item.version).bind(item.created_at);
            Ok(query.execute(&database.writer()?).await?.rows_affected() > 0)
        })
        .await
}

async fn kept(database: &Database, owner: Uuid, key: &Key) -> Result<Option<Kept>, DbError> {
    database
        .read_primary(|pool| async move {
            let query = sqlx::query_as(
                "select request_hash, answer, item_id from idempotency_keys
                 where user_id = $1 and key = $2 and expires_at > now()",
            );
            Ok(query.bind(owner).bind(&key.0).fetch_optional(&pool).await?)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(title: &str, body: Option<&str>) -> Draft {
        Draft { title: title.into(), body: body.map(Into::into) }
    }

    #[test]
    fn requests_that_differ_have_different_digests() {
        let all =
            [draft("a", None), draft("a", Some("")), draft("a", Some("b")), draft("ab", None), draft("ab", Some(""))];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(digest(one) == digest(other), i == j, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length() {
        let of = |text: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, axum::http::HeaderValue::from_bytes(text).unwrap());
            Key::of(&headers)
        };
        assert!(of(b"8e03978e-40d5-43dd-bc93-6894a57f9324").unwrap().is_some());
        assert!(Key::of(&HeaderMap::new()).unwrap().is_none());
        for bad in [&b""[..], b"a b", "ü".as_bytes(), &[b'a'; 256]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
