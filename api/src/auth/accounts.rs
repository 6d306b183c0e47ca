//! Accounts in the database.

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::credentials::Email;
use crate::{
    db::{Database, DbError},
    http::problem::ApiError,
};

/// An account, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow, ToSchema)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// Its mail address, in lower case.
    pub email: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Makes an account; 409 when the address has one.
pub async fn create(database: &Database, email: &Email, password_hash: &str) -> Result<User, ApiError> {
    // The database keeps microseconds: what is answered now must equal what is read later.
    let user = User { id: Uuid::now_v7(), email: email.as_str().to_owned(), created_at: Utc::now().trunc_subsecs(6) };
    let made = database
        .bounded(async {
            let query = sqlx::query(
                "insert into users (id, email, password_hash, created_at) values ($1, $2, $3, $4)
                 on conflict on constraint users_email_key do nothing",
            );
            let query = query.bind(user.id).bind(&user.email).bind(password_hash).bind(user.created_at);
            Ok(query.execute(&database.writer()?).await?.rows_affected())
        })
        .await?;
    if made == 0 { Err(taken()) } else { Ok(user) }
}

/// Whether an address has an account already: asked before the costly hash is made.
pub async fn refuse_taken(database: &Database, email: &Email) -> Result<(), ApiError> {
    let found: Option<i32> = database
        .read_primary(|pool| async move {
            let query = sqlx::query_scalar("select 1 from users where email = $1").bind(email.as_str());
            Ok(query.fetch_optional(&pool).await?)
        })
        .await?;
    if found.is_some() { Err(taken()) } else { Ok(()) }
}

/// The account of an id; `None` when it is gone. An account never changes, so what a standby has is
/// true; only one that it does not have may have been made since.
pub async fn find(database: &Database, id: Uuid) -> Result<Option<User>, DbError> {
    match database.read(|pool| select(pool, id)).await? {
        Some(user) => Ok(Some(user)),
        None => database.read_latest(|pool| select(pool, id)).await.map(|(user, _)| user),
    }
}

async fn select(pool: PgPool, id: Uuid) -> Result<Option<User>, DbError> {
    let query = sqlx::query_as("select id, email, created_at from users where id = $1").bind(id);
    Ok(query.fetch_optional(&pool).await?)
}

fn taken() -> ApiError {
    ApiError::Conflict("There is an account with this mail address.")
}
