//! What database servers say of themselves, put together: who leads, who follows how far
//! behind, and which of them take reads.

use std::time::{Duration, Instant};

use shared::{
    replication::Ends,
    snapshot::{ConnectionsReading, DatabaseRole, DatabaseServer},
};

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
    /// When the last backup was begun, Unix seconds; `None` when there is none.
    pub backed_up_at: Option<i64>,
}

/// Takes in where the primary's log ends now; `None` when it did not say.
pub fn note_end(answers: &[(String, Answer)], ends: &mut Ends, now: Instant) -> Option<i64> {
    let primaries = answers.iter().filter(|(_, answer)| !answer.standby);
    let end = primaries.filter_map(|(_, answer)| answer.position).max()?;
    ends.note(now, end);
    Some(end)
}

/// Every server that answered, with its distance to the `end` of the primary's log.
#[must_use]
pub fn servers(answers: Vec<(String, Answer)>, end: Option<i64>, ends: &Ends, now: Instant) -> Vec<DatabaseServer> {
    answers.into_iter().map(|(address, answer)| server(address, answer, end, ends, now)).collect()
}

fn server(address: String, answer: Answer, end: Option<i64>, ends: &Ends, now: Instant) -> DatabaseServer {
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let position = answer.position.filter(|_| answer.standby);
    let seconds = |position| {
        ends.latest()?;
        Some(ends.goes_on_since(position).map_or(0.0, |since| now.duration_since(since).as_secs_f64()))
    };
    DatabaseServer {
        address,
        role: if answer.standby { DatabaseRole::Standby } else { DatabaseRole::Primary },
        active: count(answer.active),
        total: count(answer.total),
        usable: count(answer.max.saturating_sub(answer.reserved)),
        max: count(answer.max),
        streaming: answer.streaming.filter(|_| answer.standby),
        // Both servers are asked at once, so a standby may be ahead of the answer of its primary.
        lag_bytes: position.and_then(|position| Some(count(end?.saturating_sub(position)))),
        lag_seconds: position.and_then(seconds),
        backed_up_at_ms: answer.backed_up_at.and_then(|at| u64::try_from(at).ok()?.checked_mul(1_000)),
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

/// The servers that take reads: standbys that stream and are behind by no more than `max_lag`, and
/// without any the primary. `None` while a standby is known that did not answer and there is no
/// other: then it is not known where the reads are.
#[must_use]
pub fn read_servers(all: &[DatabaseServer], silent_standbys: usize, max_lag: Duration) -> Option<Vec<DatabaseServer>> {
    let of = |wanted: &dyn Fn(&DatabaseServer) -> bool| all.iter().filter(|server| wanted(server)).cloned().collect();
    let is_near = |server: &DatabaseServer| server.lag_seconds.is_none_or(|lag| lag <= max_lag.as_secs_f64());
    let standbys: Vec<_> = of(&|server| server.streaming == Some(true) && is_near(server));
    match (standbys.is_empty(), silent_standbys) {
        (false, _) => Some(standbys),
        (true, 0) => Some(of(&|server| server.role == DatabaseRole::Primary)),
        (true, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn answer(standby: bool, position: i64) -> Answer {
        Answer {
            standby,
            active: 3,
            total: 9,
            max: 100,
            reserved: 3,
            position: Some(position),
            streaming: standby.then_some(true),
            backed_up_at: None,
        }
    }

    /// What is known after rounds of a second each, from the positions of a primary and a standby.
    fn after(rounds: &[(Option<i64>, i64)]) -> Vec<DatabaseServer> {
        let (start, mut ends) = (Instant::now(), Ends::kept_for(Duration::from_secs(60)));
        let mut known = Vec::new();
        for (second, (primary, standby)) in (0..).zip(rounds) {
            let now = start + Duration::from_secs(second);
            let primary = primary.map(|position| ("p".to_owned(), answer(false, position)));
            let answers: Vec<_> = primary.into_iter().chain([("s".to_owned(), answer(true, *standby))]).collect();
            let end = note_end(&answers, &mut ends, now);
            known = servers(answers, end, &ends, now);
        }
        known
    }

    fn addresses(servers: Option<Vec<DatabaseServer>>) -> Option<Vec<String>> {
        Some(servers?.into_iter().map(|server| server.address).collect())
    }

    #[test]
    fn a_standbys_distance_is_to_the_end_of_the_primarys_log() {
        let servers = after(&[(Some(5_000), 4_200)]);
        assert_eq!((servers[0].role, servers[0].lag_bytes, servers[0].usable), (DatabaseRole::Primary, None, 97));
        assert_eq!((servers[1].role, servers[1].lag_bytes), (DatabaseRole::Standby, Some(800)));
        let ahead = after(&[(Some(5), 9)]);
        assert_eq!((ahead[1].lag_bytes, ahead[1].lag_seconds), (Some(0), Some(0.0)));
    }

    #[test]
    fn a_standby_is_late_since_the_log_was_first_seen_to_go_on() {
        let seconds = |rounds: &[_]| after(rounds).pop().unwrap().lag_seconds;
        assert_eq!(seconds(&[(Some(100), 100), (Some(200), 150)]), Some(0.0), "only just written");
        assert_eq!(seconds(&[(Some(100), 100), (Some(200), 100), (Some(300), 100), (Some(300), 100)]), Some(2.0));
        assert_eq!(seconds(&[(Some(100), 100), (Some(200), 100), (Some(300), 250)]), Some(0.0), "it catches up");
        assert_eq!(seconds(&[(Some(100), 100), (Some(100), 100), (Some(100), 100)]), Some(0.0), "nothing is written");
    }

    #[test]
    fn without_the_primary_the_distance_in_bytes_is_unknown_and_the_one_in_time_is_to_its_last_word() {
        let known = |rounds: &[_]| after(rounds).pop().map(|server| (server.lag_bytes, server.lag_seconds)).unwrap();
        assert_eq!(known(&[(None, 4_200)]), (None, None));
        assert_eq!(known(&[(Some(100), 50), (None, 100), (None, 100)]), (None, Some(0.0)));
        assert_eq!(known(&[(Some(100), 50), (None, 50), (None, 50)]), (None, Some(2.0)));
    }

    #[test]
    fn reads_are_on_streaming_standbys_and_else_on_the_primary() {
        let mut all = after(&[(Some(5_000), 4_200)]);
        assert_eq!(addresses(read_servers(&all, 0, LIMIT)), Some(vec!["s".into()]));
        all[1].streaming = Some(false);
        assert_eq!(addresses(read_servers(&all, 0, LIMIT)), Some(vec!["p".into()]));
        assert_eq!(read_servers(&all, 1, LIMIT), None);
    }

    #[test]
    fn a_standby_that_lags_beyond_the_limit_is_no_capacity() {
        let mut all = after(&[(Some(5_000), 4_200)]);
        for (lag, taking) in [(None, "s"), (Some(5.0), "s"), (Some(5.1), "p")] {
            all[1].lag_seconds = lag;
            assert_eq!(addresses(read_servers(&all, 0, LIMIT)), Some(vec![taking.into()]), "{lag:?}");
        }
    }
}
