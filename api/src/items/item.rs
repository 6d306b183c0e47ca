//! An item and what may be put into it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::problem::{ApiError, FieldError};

/// An item, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow, ToSchema)]
pub struct Item {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub title: String,
    /// More about it; absent when there is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// 1 when it is made, one more with each change. Also its `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// An item and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub struct OwnedItem {
    /// The user it belongs to.
    pub owner: Uuid,
    /// The item itself.
    #[sqlx(flatten)]
    pub item: Item,
}

/// What a client sends to make or replace an item.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ItemRequest {
    /// 1 to 200 characters, not only blanks.
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    /// At most 100000 characters.
    #[schema(max_length = 100_000)]
    body: Option<String>,
}

/// An acceptable title and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub(super) title: String,
    pub(super) body: Option<String>,
}

const LONGEST_TITLE: usize = 200;
const LONGEST_BODY: usize = 100_000;

impl ItemRequest {
    /// The draft, or every field that is wrong.
    pub fn parse(self) -> Result<Draft, ApiError> {
        let mut errors = Vec::new();
        let mut wrong = |field: &'static str, message: &'static str| {
            errors.push(FieldError { field: field.into(), message: message.into() });
        };
        if self.title.trim().is_empty() || self.title.chars().count() > LONGEST_TITLE {
            wrong("title", "must have 1 to 200 characters, not only blanks");
        }
        // Postgres stores every character but this one.
        if self.title.contains('\0') {
            wrong("title", "must not contain the character U+0000");
        }
        if let Some(body) = &self.body {
            if body.chars().count() > LONGEST_BODY {
                wrong("body", "must have at most 100000 characters");
            }
            if body.contains('\0') {
                wrong("body", "must not contain the character U+0000");
            }
        }
        if errors.is_empty() {
            Ok(Draft { title: self.title, body: self.body })
        } else {
            Err(ApiError::Invalid(errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(title: &str, body: Option<&str>) -> Result<Draft, ApiError> {
        ItemRequest { title: title.into(), body: body.map(Into::into) }.parse()
    }

    #[test]
    fn any_text_is_kept_as_it_is() {
        for text in ["'; drop table items; --", "日本語 🦀", "\u{202e}rtl", "a\tb\nc", " x "] {
            assert_eq!(parse(text, Some(text)).unwrap(), Draft { title: text.into(), body: Some(text.into()) });
        }
    }

    #[test]
    fn each_wrong_field_is_named() {
        let Err(ApiError::Invalid(errors)) = parse(" ", Some("a\0b")) else { panic!("accepted") };
        assert_eq!(errors.iter().map(|e| e.field.as_ref()).collect::<Vec<_>>(), ["title", "body"]);
        assert!(parse(&"ü".repeat(200), None).is_ok());
        assert!(parse(&"ü".repeat(201), None).is_err());
        assert!(parse("a\0", None).is_err());
    }
}
