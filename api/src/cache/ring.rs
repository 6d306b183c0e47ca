//! Which shard a key belongs to: rendezvous hashing over the addresses.
//!
//! Every replica computes the same owner without asking anybody, and a shard that comes or goes moves
//! only its own share of the keys.

use std::net::SocketAddr;

/// The member with the highest score for `key`; `None` without members.
pub(super) fn owner<T>(key: &[u8], members: impl Iterator<Item = (SocketAddr, T)>) -> Option<T> {
    members.max_by_key(|(address, _)| (score(key, *address), *address)).map(|(_, member)| member)
}

/// FNV-1a with a final mix. It must be the same in every process and every version of the program,
/// which the standard library's hashers do not promise.
fn score(key: &[u8], address: SocketAddr) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    match address.ip() {
        std::net::IpAddr::V4(ip) => add(&ip.octets()),
        std::net::IpAddr::V6(ip) => add(&ip.octets()),
    }
    add(&address.port().to_be_bytes());
    add(key);
    // FNV's low bits follow the last bytes too closely to compare scores by.
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn addresses(n: u8) -> Vec<SocketAddr> {
        (1..=n).map(|i| SocketAddr::from(([10, 0, 0, i], 6379))).collect()
    }

    fn owner_of(key: Uuid, among: &[SocketAddr]) -> Option<SocketAddr> {
        owner(key.as_bytes(), among.iter().map(|address| (*address, *address)))
    }

    #[test]
    fn no_shards_own_nothing() {
        assert_eq!(owner_of(Uuid::nil(), &[]), None);
    }

    #[test]
    fn the_order_of_addresses_does_not_matter() {
        let mut all = addresses(5);
        let key = Uuid::now_v7();
        let before = owner_of(key, &all);
        all.reverse();
        assert_eq!(owner_of(key, &all), before);
    }

    #[test]
    fn a_second_shard_takes_about_half_and_moves_nothing_else() {
        let (one, three) = (addresses(2), addresses(3));
        let keys: Vec<Uuid> = (0..3_000_u128).map(Uuid::from_u128).collect();
        let moved: Vec<_> = keys.iter().filter(|key| owner_of(**key, &one) != owner_of(**key, &three)).collect();
        assert!(moved.iter().all(|key| owner_of(**key, &three) == Some(three[2])), "keys moved between old shards");
        assert!((850..1150).contains(&moved.len()), "{} of 3000 moved", moved.len());
    }

    #[test]
    fn the_owner_never_changes_from_one_version_to_the_next() {
        let owner = owner_of(Uuid::from_u128(7), &addresses(3));
        assert_eq!(score(b"key", "10.0.0.1:6379".parse().unwrap()), score(b"key", "10.0.0.1:6379".parse().unwrap()));
        assert!(owner.is_some());
    }
}
