//! Unix time in milliseconds. The only place that looks at the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;

/// Now. A clock before 1970 reads as 0.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// An RFC 3339 timestamp of the engine in nanoseconds; `None` for what is not one, and for
/// the engine's zero time (year 1), which stands for "never".
#[must_use]
pub fn parse_ns(text: &str) -> Option<u64> {
    let ns = DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()?;
    u64::try_from(ns).ok()
}

/// The same in milliseconds.
#[must_use]
pub fn parse_ms(text: &str) -> Option<u64> {
    parse_ns(text).map(|ns| ns / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_zero_time_is_no_time() {
        assert_eq!(parse_ns("0001-01-01T00:00:00Z"), None);
        assert_eq!(parse_ns("yesterday"), None);
        assert_eq!(parse_ns("1970-01-01T00:00:01.000000007Z"), Some(1_000_000_007));
        assert_eq!(parse_ms("1970-01-01T00:00:01.5Z"), Some(1_500));
    }
}
