//! The handlers for items.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    cursor::Cursor,
    idempotency::{self, Created, Key},
    item::{Item, ItemRequest},
    store::{self, Change, Items},
};
use crate::{
    app::AppState,
    auth::caller::Caller,
    http::{
        extract::{ItemId, Json, Query},
        problem::{ApiError, Problem},
    },
};

const DEFAULT_LIMIT: usize = 20;
const MOST: usize = 100;

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageRequest {
    /// How many items, 1 to 100; 20 when it is not said.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A part of the list, newest first.
#[derive(Serialize, ToSchema)]
struct Page {
    /// The items.
    items: Vec<Item>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// All routes of this module.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, replace, remove))
}

/// The caller's items, newest first, a page at a time.
#[utoipa::path(get, path = "/api/items", tag = "items", security(("bearer" = [])), params(PageRequest), responses(
    (status = 200, description = "A page", body = Page),
    (status = 400, description = "A cursor of nobody's", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No good access token", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A limit that is wrong", body = Problem, content_type = "application/problem+json"),
))]
async fn list(
    State(state): State<AppState>,
    Caller(owner): Caller,
    Query(query): Query<PageRequest>,
) -> Result<axum::Json<Page>, ApiError> {
    let limit = match query.limit.as_deref().map(str::parse) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
        Some(_) => return Err(ApiError::field("limit", "must be a number from 1 to 100")),
    };
    let after = match query.cursor.as_deref().map(Cursor::decode) {
        None => None,
        Some(Some(cursor)) => Some(cursor),
        Some(None) => return Err(ApiError::Malformed("The cursor is not the next_cursor of a page.".into())),
    };
    let (items, more) = items(&state).page(owner, after, limit).await?;
    let last = items.last().filter(|_| more);
    let next_cursor = last.map(|item| Cursor { created_at: item.created_at, id: item.id }.encode());
    Ok(axum::Json(Page { items, next_cursor }))
}

/// Makes an item. With an `Idempotency-Key` a repetition within a day makes no second one.
#[utoipa::path(post, path = "/api/items", tag = "items", security(("bearer" = [])), request_body = ItemRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters of the client's choice")),
    responses(
        (status = 201, description = "Made, now or when the key was first used (Idempotency-Replayed: true)", body = Item),
        (status = 401, description = "No good access token", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Fields that are wrong, or a key that belongs to another request", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "Not now: see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(state): State<AppState>,
    Caller(owner): Caller,
    headers: HeaderMap,
    Json(body): Json<ItemRequest>,
) -> Result<Response, ApiError> {
    let key = Key::of(&headers)?;
    let draft = body.parse()?;
    let item = store::compose(&draft);
    let answer = serde_json::to_string(&item).map_err(ApiError::internal)?;
    items(&state).announce(owner).await;
    let Some(key) = key else {
        items(&state).insert(owner, &item).await?;
        return Ok(made(item.id, answer, false));
    };
    let digest = idempotency::digest(&draft);
    let scope = (owner, &key, state.settings.idempotency_ttl);
    match idempotency::create(&state.database, scope, (&item, &digest, &answer)).await? {
        Created::Now => Ok(made(item.id, answer, false)),
        Created::Before(id, answer) => Ok(made(id, answer, true)),
        Created::KeyReused => Err(ApiError::KeyReused),
    }
}

/// One item of the caller.
#[utoipa::path(get, path = "/api/items/{id}", tag = "items", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The item")), responses(
    (status = 200, description = "The item; its version is also the ETag", body = Item),
    (status = 401, description = "No good access token", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "The caller has no such item", body = Problem, content_type = "application/problem+json"),
))]
async fn read(State(state): State<AppState>, Caller(owner): Caller, ItemId(id): ItemId) -> Result<Response, ApiError> {
    let item = items(&state).find(owner, id).await?.ok_or(ApiError::NotFound("item"))?;
    Ok(with_tag(item))
}

/// Replaces title and body.
#[utoipa::path(put, path = "/api/items/{id}", tag = "items", security(("bearer" = [])), request_body = ItemRequest,
    params(
        ("id" = Uuid, Path, description = "The item"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: refuses when somebody was faster"),
    ), responses(
    (status = 200, description = "The item as it is now", body = Item),
    (status = 401, description = "No good access token", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "The caller has no such item", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "The item has another version", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Fields that are wrong", body = Problem, content_type = "application/problem+json"),
))]
async fn replace(
    State(state): State<AppState>,
    Caller(owner): Caller,
    ItemId(id): ItemId,
    headers: HeaderMap,
    Json(body): Json<ItemRequest>,
) -> Result<Response, ApiError> {
    let draft = body.parse()?;
    let item = done(items(&state).replace((owner, id), &draft, wanted_version(&headers)?).await?)?;
    Ok(with_tag(item))
}

/// Removes an item.
#[utoipa::path(delete, path = "/api/items/{id}", tag = "items", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The item"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: refuses when somebody was faster"),
    ), responses(
    (status = 204, description = "Gone"),
    (status = 401, description = "No good access token", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "The caller has no such item", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "The item has another version", body = Problem, content_type = "application/problem+json"),
))]
async fn remove(
    State(state): State<AppState>,
    Caller(owner): Caller,
    ItemId(id): ItemId,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    done(items(&state).remove((owner, id), wanted_version(&headers)?).await?)?;
    Ok(StatusCode::NO_CONTENT)
}

fn items(state: &AppState) -> Items<'_> {
    Items { database: &state.database, cache: state.cache.as_ref() }
}

fn done<T>(change: Change<T>) -> Result<T, ApiError> {
    match change {
        Change::Done(value) => Ok(value),
        Change::Missing => Err(ApiError::NotFound("item")),
        Change::Moved => Err(ApiError::Changed),
    }
}

/// The version in `If-Match`; `None` when any will do. A tag that is not ours matches nothing.
fn wanted_version(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inside.and_then(|text| text.parse().ok()).map(Some).ok_or(ApiError::Changed)
}

fn tag(version: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

fn with_tag(item: Item) -> Response {
    ([(header::ETAG, tag(item.version))], axum::Json(item)).into_response()
}

/// The answer to a create: `answer` is sent as it is, so that a replay is the same to the byte.
fn made(id: Uuid, answer: String, replayed: bool) -> Response {
    let mut response = (StatusCode::CREATED, answer).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ETAG, tag(1));
    if let Ok(location) = HeaderValue::from_str(&format!("/api/items/{id}")) {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        headers.insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
