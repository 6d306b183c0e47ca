//! Places in a list of items, as opaque text.
//!
//! A place is the last item that was sent, by time and id: items that come or go meanwhile neither
//! repeat nor hide others, and items of the same moment keep an order.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, Utc};
use uuid::Uuid;

/// The place after one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When that item was made.
    pub created_at: DateTime<Utc>,
    /// Its id.
    pub id: Uuid,
}

/// A byte to tell future forms apart, eight of microseconds, sixteen of the id.
const LENGTH: usize = 25;
const FORM: u8 = 1;

impl Cursor {
    /// As text for a client.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = [FORM; LENGTH];
        bytes[1..9].copy_from_slice(&self.created_at.timestamp_micros().to_be_bytes());
        bytes[9..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` for anything that was not made here.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (form, rest) = bytes.split_first()?;
        let (micros, id) = rest.split_first_chunk::<8>()?;
        let created_at = DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?;
        // Times that Postgres does not know would be an error of ours.
        let known = *form == FORM && (1970..10_000).contains(&created_at.year());
        known.then_some(Self { created_at, id: Uuid::from_slice(id).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_not_made_here_is_refused() {
        let good = Cursor { created_at: DateTime::from_timestamp_micros(1).unwrap(), id: Uuid::nil() }.encode();
        assert!(Cursor::decode(&good).is_some());
        for bad in ["", "x", "\0", "'; --", &good[1..], &format!("{good}A"), &URL_SAFE_NO_PAD.encode([9; LENGTH])] {
            assert_eq!(Cursor::decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_time_beyond_the_database_is_refused() {
        let mut bytes = [FORM; LENGTH];
        for micros in [i64::MAX, i64::MIN, -1] {
            bytes[1..9].copy_from_slice(&micros.to_be_bytes());
            assert_eq!(Cursor::decode(&URL_SAFE_NO_PAD.encode(bytes)), None, "{micros}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(micros in 0_i64..250_000_000_000_000_000, id in any::<u128>()) {
            let cursor = Cursor { created_at: DateTime::from_timestamp_micros(micros).unwrap(), id: Uuid::from_u128(id) };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn no_text_makes_decoding_fail_badly(text in ".*") {
            let _ = Cursor::decode(&text);
        }
    }
}
