//! Redis' `INFO`, sections `memory` and `keyspace`.

/// What one shard says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes allowed; 0 means no bound.
    pub max_bytes: u64,
    /// Keys of all databases.
    pub keys: u64,
}

/// `None` when a figure is missing or not a number. A shard without keys lists no database.
#[must_use]
pub fn parse(text: &str) -> Option<Info> {
    let fields = || text.lines().filter_map(|line| line.trim_end().split_once(':'));
    let number = |wanted: &str| fields().find(|(name, _)| *name == wanted)?.1.parse().ok();
    let mut keys = 0_u64;
    for (_, database) in fields().filter(|(name, _)| is_database(name)) {
        let count = database.split(',').find_map(|part| part.strip_prefix("keys="))?;
        keys = keys.checked_add(count.parse().ok()?)?;
    }
    Some(Info { used_bytes: number("used_memory")?, max_bytes: number("maxmemory")?, keys })
}

fn is_database(name: &str) -> bool {
    name.strip_prefix("db").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_keys_are_read() {
        let info = parse(include_str!("../../tests/golden/info.txt"));
        assert_eq!(info, Some(Info { used_bytes: 1_523_840, max_bytes: 67_108_864, keys: 1207 }));
    }

    #[test]
    fn a_missing_figure_is_no_reading() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("used_memory:5\r\n"), None);
        assert_eq!(parse("used_memory:5\r\nmaxmemory:lots\r\n"), None);
        assert_eq!(parse("used_memory:5\r\nmaxmemory:9\r\ndb0:keys=x\r\n"), None);
        assert_eq!(parse("used_memory:5\r\nmaxmemory:0\r\n"), Some(Info { used_bytes: 5, max_bytes: 0, keys: 0 }));
    }
}
