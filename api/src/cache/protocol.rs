//! What is said to a shard, and why no stale value survives it.
//!
//! A value is `version:generation:json`, a fence `version:-:`. Both hold the version that the
//! primary gave, so neither can be replaced by something older:
//!
//! * A change *fences* the item on every shard while its transaction holds the row, before it commits.
//!   From then on the shard holds no older version, and refuses one from a reader that read the row
//!   before the commit and is late. A process that dies after the commit leaves the fence behind, and a
//!   change that never commits costs misses only.
//! * A shard that could not be told (frozen, cut off) must not come back with what it held. Each
//!   process *attends* to its shards every second; a shard that nobody attended to for three seconds
//!   gets a new *generation*, and so does one that missed a fence as soon as its writer reaches it again.
//!   Values of another generation do not count, nor does anything on a shard without one.
//! * A shard that joins or comes back is fenced at once but read from only after 2.5 s, when every process
//!   knows it: of those that lost it together, the first to be back must not read what another changed.
//!
//! A third kind of key, the *mark*, says that a user has just written, for as long as a standby may not
//! have it. It is set on every shard before the write; without one on a shard, that user may be served
//! from a standby. A shard that is new, has lost its keys or has missed a mark gets a new generation, and
//! beside it a *young* mark of its own, during which the absence of others says nothing there.
//!
//! What remains is a shard that one process cannot reach while others do, for longer than that: until that
//! process reaches it, at most one life of a value. `allkeys-lru` evicts the oldest first, so fences and marks outlive
//! their use unless the whole memory turns over within seconds.

use std::time::Duration;

use redis::Cmd;

use crate::items::item::OwnedItem;

/// Which life of a shard a value belongs to. Letters and digits only.
pub(super) type Generation = String;

/// Keeps the generation alive, or begins another when it has ended or is told to.
const ATTEND: &str = "local g = redis.call('GET', KEYS[1]) \
    if not g or ARGV[3] == '1' then \
        g = ARGV[1] \
        redis.call('SET', KEYS[2], 1, 'PX', ARGV[4]) \
    end \
    redis.call('SET', KEYS[1], g, 'PX', ARGV[2]) \
    return g";

/// Sets a value, unless the shard has another generation or knows of a later version.
const FILL: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    local v = redis.call('GET', KEYS[2]) \
    if v and tonumber(string.match(v, '^%d+')) > tonumber(ARGV[2]) then return 0 end \
    redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4]) \
    return 1";

/// Sets a fence, unless a later version is known: a fence that comes late must not lower a newer one.
const FENCE: &str = "local v = redis.call('GET', KEYS[1]) \
    if v and tonumber(string.match(v, '^%d+')) > tonumber(ARGV[1]) then return 0 end \
    redis.call('SET', KEYS[1], ARGV[1] .. ':-:', 'PX', ARGV[2]) \
    return 1";

pub(super) fn attend(keys: (&str, &str), fresh: &str, (ttl, young): (Duration, Duration), renew: bool) -> Cmd {
    let mut cmd = script(ATTEND, 2);
    cmd.arg(keys.0).arg(keys.1).arg(fresh).arg(millis(ttl)).arg(u8::from(renew)).arg(millis(young));
    cmd
}

pub(super) fn fill(keys: (&str, &str), generation: &str, (version, value): (i64, &str), ttl: Duration) -> Cmd {
    let mut cmd = script(FILL, 2);
    cmd.arg(keys.0).arg(keys.1).arg(generation).arg(version).arg(value).arg(millis(ttl));
    cmd
}

pub(super) fn fence(key: &str, version: i64, ttl: Duration) -> Cmd {
    let mut cmd = script(FENCE, 1);
    cmd.arg(key).arg(version).arg(millis(ttl));
    cmd
}

/// Sets a key that says no more than that it exists.
pub(super) fn mark(key: &str, ttl: Duration) -> Cmd {
    let mut cmd = redis::cmd("SET");
    cmd.arg(key).arg(1).arg("PX").arg(millis(ttl));
    cmd
}

/// The text to store for an item; `None` when it cannot be written.
pub(super) fn value(item: &OwnedItem, generation: &str) -> Option<String> {
    let json = serde_json::to_string(item).ok()?;
    Some(format!("{}:{generation}:{json}", item.item.version))
}

/// The item in a stored text; `None` for a fence, another generation, or what an older program wrote.
pub(super) fn value_of(text: &str, generation: &str) -> Option<OwnedItem> {
    let (_version, rest) = text.split_once(':')?;
    let (of, json) = rest.split_once(':')?;
    if of != generation {
        return None;
    }
    serde_json::from_str(json).ok()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Short scripts are sent whole: a shard that has just started knows none by its digest.
fn script(text: &str, keys: u8) -> Cmd {
    let mut cmd = redis::cmd("EVAL");
    cmd.arg(text).arg(keys);
    cmd
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::items::item::Item;

    fn item() -> OwnedItem {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let item =
            Item { id: Uuid::nil(), title: "a:b".into(), body: None, version: 3, created_at: at, updated_at: at };
        OwnedItem { owner: Uuid::max(), item }
    }

    #[test]
    fn a_value_counts_in_its_own_generation_only() {
        let text = value(&item(), "g1").unwrap();
        assert!(text.starts_with("3:g1:{"), "{text}");
        assert_eq!(value_of(&text, "g1"), Some(item()));
        assert_eq!(value_of(&text, "g2"), None);
    }

    #[test]
    fn a_fence_and_garbage_are_no_values() {
        for text in ["4:-:", "", "x", "3:g1:", "3:g1:{}"] {
            assert_eq!(value_of(text, "g1"), None, "{text:?}");
        }
    }
}
