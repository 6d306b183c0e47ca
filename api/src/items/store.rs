//! Items in the database and the cache.
//!
//! The cache is filled from the primary only. A change raises a fence in the cache before it commits
//! (see `cache`), so that from the moment it is acknowledged no older version is ever read. A list comes
//! from a standby when it is certain that its owner, who alone can change it, has not just done so.

use chrono::{DateTime, SubsecRound, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    cursor::Cursor,
    item::{Draft, Item, OwnedItem},
};
use crate::{
    cache::{Cache, Lookup},
    db::{Database, DbError, Role},
};

/// Items, wherever they are read from.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a> {
    pub(super) database: &'a Database,
    pub(super) cache: Option<&'a Cache>,
}

/// What came of a change.
#[derive(Debug)]
pub enum Change<T> {
    /// Done.
    Done(T),
    /// There is no such item of this owner.
    Missing,
    /// It has another version than the one that was asked for.
    Moved,
}

/// A new item; nothing is stored.
#[must_use]
pub fn compose(draft: &Draft) -> Item {
    // The database keeps microseconds: what is answered now must equal what is read later.
    let now: DateTime<Utc> = Utc::now().trunc_subsecs(6);
    Item {
        id: Uuid::now_v7(),
        title: draft.title.clone(),
        body: draft.body.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

impl Items<'_> {
    /// To be called before anything of this owner is written.
    pub async fn announce(&self, owner: Uuid) {
        if let Some(cache) = self.cache {
            cache.mark_writer(owner).await;
        }
    }

    /// Stores a new item.
    pub async fn insert(&self, owner: Uuid, item: &Item) -> Result<(), DbError> {
        self.database
            .bounded(async {
                let query = sqlx::query(
                    "insert into items (id, owner, title, body, version, created_at, updated_at)
                     values ($1, $2, $3, $4, $5, $6, $6)",
                );
                let query = query.bind(item.id).bind(owner).bind(&item.title).bind(&item.body);
                query.bind(item.version).bind(item.created_at).execute(&self.database.writer()?).await?;
                Ok(())
            })
            .await
    }

    /// One item of this owner.
    pub async fn find(&self, owner: Uuid, id: Uuid) -> Result<Option<Item>, DbError> {
        let lookup = match self.cache {
            Some(cache) => cache.get(id).await,
            None => Lookup::Off,
        };
        let ticket = match lookup {
            Lookup::Hit(found) => return Ok(own(found, owner)),
            Lookup::Miss(ticket) => Some(ticket),
            Lookup::Off => None,
        };
        let (found, role): (Option<OwnedItem>, _) = self.database.read_latest(|pool| select(pool, id)).await?;
        if let (Some(cache), Some(ticket), Some(found), Role::Primary) = (self.cache, ticket, &found, role) {
            cache.fill(ticket, found).await;
        }
        Ok(found.and_then(|found| own(found, owner)))
    }

    /// Up to `limit` items after `after`, newest first, and whether there are more.
    pub async fn page(&self, owner: Uuid, after: Option<Cursor>, limit: usize) -> Result<(Vec<Item>, bool), DbError> {
        let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let work = |pool| select_page(pool, owner, after, one_more);
        let quiet = match self.cache {
            Some(cache) => cache.is_quiet(owner).await,
            None => false,
        };
        let mut items = if quiet {
            self.database.read(work).await?
        } else {
            // A list must show what its owner has just made.
            self.database.read_latest(work).await?.0
        };
        let more = items.len() > limit;
        items.truncate(limit);
        Ok((items, more))
    }

    /// Replaces title and body, if the item still has `version` where one is given.
    pub async fn replace(
        &self,
        (owner, id): (Uuid, Uuid),
        draft: &Draft,
        version: Option<i64>,
    ) -> Result<Change<Item>, DbError> {
        self.announce(owner).await;
        self.database
            .bounded(async {
                let mut tx = self.database.writer()?.begin().await?;
                let changed: Option<Item> = sqlx::query_as(
                    "update items set title = $3, body = $4, version = version + 1, updated_at = $5
                     where id = $1 and owner = $2 and ($6::bigint is null or version = $6)
                     returning id, title, body, version, created_at, updated_at",
                )
                .bind(id)
                .bind(owner)
                .bind(&draft.title)
                .bind(&draft.body)
                .bind(Utc::now().trunc_subsecs(6))
                .bind(version)
                .fetch_optional(&mut *tx)
                .await?;
                let Some(changed) = changed else { return self.unchanged((owner, id), tx).await };
                self.fence(id, changed.version).await;
                tx.commit().await?;
                Ok(Change::Done(changed))
            })
            .await
    }

    /// Removes the item, if it still has `version` where one is given.
    pub async fn remove(&self, (owner, id): (Uuid, Uuid), version: Option<i64>) -> Result<Change<()>, DbError> {
        self.announce(owner).await;
        self.database
            .bounded(async {
                let mut tx = self.database.writer()?.begin().await?;
                let gone: Option<i64> = sqlx::query_scalar(
                    "delete from items where id = $1 and owner = $2 and ($3::bigint is null or version = $3)
                     returning version",
                )
                .bind(id)
                .bind(owner)
                .bind(version)
                .fetch_optional(&mut *tx)
                .await?;
                let Some(last) = gone else { return self.unchanged((owner, id), tx).await };
                self.fence(id, last.saturating_add(1)).await;
                tx.commit().await?;
                Ok(Change::Done(()))
            })
            .await
    }

    async fn fence(&self, id: Uuid, version: i64) {
        if let Some(cache) = self.cache {
            cache.fence(id, version).await;
        }
    }

    /// Why a change met no row.
    async fn unchanged<T>(
        &self,
        (owner, id): (Uuid, Uuid),
        mut tx: sqlx::Transaction<'_, sqlx::Postgres>,
    ) -> Result<Change<T>, DbError> {
        let there: Option<i32> = sqlx::query_scalar("select 1 from items where id = $1 and owner = $2")
            .bind(id)
            .bind(owner)
            .fetch_optional(&mut *tx)
            .await?;
        tx.rollback().await?;
        Ok(if there.is_some() { Change::Moved } else { Change::Missing })
    }
}

async fn select_page(pool: PgPool, owner: Uuid, after: Option<Cursor>, most: i64) -> Result<Vec<Item>, DbError> {
    let query = match after {
        None => sqlx::query_as(
            "select id, title, body, version, created_at, updated_at from items
             where owner = $1 order by created_at desc, id desc limit $2",
        )
        .bind(owner)
        .bind(most),
        Some(Cursor { created_at, id }) => sqlx::query_as(
            "select id, title, body, version, created_at, updated_at from items
             where owner = $1 and (created_at, id) < ($3, $4)
             order by created_at desc, id desc limit $2",
        )
        .bind(owner)
        .bind(most)
        .bind(created_at)
        .bind(id),
    };
    Ok(query.fetch_all(&pool).await?)
}

async fn select(pool: PgPool, id: Uuid) -> Result<Option<OwnedItem>, DbError> {
    let query =
        sqlx::query_as("select id, owner, title, body, version, created_at, updated_at from items where id = $1");
    Ok(query.bind(id).fetch_optional(&pool).await?)
}

fn own(found: OwnedItem, owner: Uuid) -> Option<Item> {
    (found.owner == owner).then_some(found.item)
}
