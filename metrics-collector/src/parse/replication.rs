//! What database servers say of themselves, put together: who leads, who follows how far
//! behind, and which of them take reads.

use shared::snapshot::{ConnectionsReading, DatabaseRole, DatabaseServer};

/// One server's own answer. Positions are bytes of the log since the cluster's birth.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Answer {
    /// Whether it replays another server's log.
    pub standby: bool,
    /// Client sessions that are doing something, without the asking one.
    pub active: i64,
    /// Client sessions.
    pub total: i64,
    /// `max_connections`.
    pub max: i64,
    /// Connections that only superusers and reserved roles may use.
    pub reserved: i64,
    /// End of the log on a primary; replayed position on a standby.
    pub position: Option<i64>,
    /// Whether a standby receives the log right now; `None` on a primary.
    pub streaming: Option<bool>,
    /// Seconds since the last replayed commit, 0 when all that was received is replayed.
    pub lag_seconds: Option<f64>,
}

/// Every server that answered, with its distance to the primary.
#[must_use]
pub fn servers(answers: Vec<(String, Answer)>) -> Vec<DatabaseServer> {
    let end = answers.iter().filter(|(_, answer)| !answer.standby).filter_map(|(_, answer)| answer.position).max();
    answers.into_iter().map(|(address, answer)| server(address, answer, end)).collect()
}

fn server(address: String, answer: Answer, end: Option<i64>) -> DatabaseServer {
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    // Both servers are asked at once, so a standby may be ahead of the answer of its primary.
    let behind = || Some(count(end?.saturating_sub(answer.position?)));
    DatabaseServer {
        address,
        role: if answer.standby { DatabaseRole::Standby } else { DatabaseRole::Primary },
        active: count(answer.active),
        total: count(answer.total),
        usable: count(answer.max.saturating_sub(answer.reserved)),
        max: count(answer.max),
        streaming: answer.streaming.filter(|_| answer.standby),
        lag_bytes: if answer.standby { behind() } else { None },
        lag_seconds: answer.lag_seconds.filter(|lag| answer.standby && lag.is_finite() && *lag >= 0.0),
    }
}

/// The load of some servers; `None` without any.
#[must_use]
pub fn load(servers: Vec<DatabaseServer>, now_ms: u64) -> Option<ConnectionsReading> {
    (!servers.is_empty()).then(|| ConnectionsReading {
        sampled_at_ms: now_ms,
        active: servers.iter().map(|server| server.active).sum(),
        usable: servers.iter().map(|server| server.usable).sum(),
        servers,
    })
}

/// The servers that take reads: streaming standbys, and without any the primary. `None`
/// while a standby is known that did not answer and no other streams: then it is not known
/// where the reads are.
#[must_use]
pub fn read_servers(all: &[DatabaseServer], silent_standbys: usize) -> Option<Vec<DatabaseServer>> {
    let of = |wanted: fn(&DatabaseServer) -> bool| all.iter().filter(|server| wanted(server)).cloned().collect();
    let streaming: Vec<_> = of(|server| server.streaming == Some(true));
    match (streaming.is_empty(), silent_standbys) {
        (false, _) => Some(streaming),
        (true, 0) => Some(of(|server| server.role == DatabaseRole::Primary)),
        (true, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(standby: bool, position: i64) -> Answer {
        Answer {
            standby,
            active: 3,
            total: 9,
            max: 100,
            reserved: 3,
            position: Some(position),
            streaming: standby.then_some(true),
            lag_seconds: standby.then_some(0.5),
        }
    }

    fn both() -> Vec<DatabaseServer> {
        servers(vec![("p".into(), answer(false, 5_000)), ("s".into(), answer(true, 4_200))])
    }

    #[test]
    fn a_standbys_distance_is_to_the_end_of_the_primarys_log() {
        let servers = both();
        assert_eq!((servers[0].role, servers[0].lag_bytes, servers[0].usable), (DatabaseRole::Primary, None, 97));
        assert_eq!((servers[1].role, servers[1].lag_bytes), (DatabaseRole::Standby, Some(800)));
        let ahead = super::servers(vec![("p".into(), answer(false, 5)), ("s".into(), answer(true, 9))]);
        assert_eq!(ahead[1].lag_bytes, Some(0));
    }

    #[test]
    fn without_the_primary_the_distance_is_unknown() {
        assert_eq!(servers(vec![("s".into(), answer(true, 4_200))])[0].lag_bytes, None);
    }

    #[test]
    fn reads_are_on_streaming_standbys_and_else_on_the_primary() {
        let mut all = both();
        let addresses = |servers: Vec<DatabaseServer>| servers.into_iter().map(|s| s.address).collect::<Vec<_>>();
        assert_eq!(addresses(read_servers(&all, 0).unwrap()), ["s"]);
        all[1].streaming = Some(false);
        assert_eq!(addresses(read_servers(&all, 0).unwrap()), ["p"]);
        assert_eq!(read_servers(&all, 1), None);
    }
}
