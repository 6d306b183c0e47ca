//! Who is the primary and which standbys may be read from. A value that the follower makes anew each
//! round; only whether a server answers, and how busy it is, change in between.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::server::Server;

/// The servers of a round.
#[derive(Debug, Clone, Default)]
pub(super) struct Fleet {
    /// Stays while it is away, until another one takes over; `None` before the first was found.
    pub(super) primary: Option<Arc<Server>>,
    pub(super) standbys: Vec<Standby>,
    /// When the primary last said where its log ends.
    pub(super) asked: Option<Instant>,
}

/// A standby, and how fresh it is.
#[derive(Debug, Clone)]
pub(super) struct Standby {
    pub(super) server: Arc<Server>,
    /// Every change that was acknowledged before this is there.
    pub(super) holds_all_before: Instant,
}

impl Fleet {
    /// Standbys that may be read from, the least busy first; of equals, each in its turn.
    pub(super) fn readable(&self, max_lag: Duration, turn: usize, now: Instant) -> Vec<Arc<Server>> {
        // Without the primary nothing is written, and a standby grows no older than it was.
        let present = if self.has_primary() { Some(now) } else { self.asked };
        let mut readable = self.fresh(max_lag, present);
        readable.retain(|server| server.answers());
        in_turn(readable, turn)
    }

    /// Standbys to be asked once the primary has failed: also those that seem not to answer.
    pub(super) fn last_resort(&self, max_lag: Duration, turn: usize) -> Vec<Arc<Server>> {
        let mut servers = in_turn(self.fresh(max_lag, self.asked), turn);
        servers.sort_by_key(|server| !server.answers());
        servers
    }

    /// Standbys that hold all changes but those of the time `max_lag` before `present`.
    fn fresh(&self, max_lag: Duration, present: Option<Instant>) -> Vec<Arc<Server>> {
        let Some(present) = present else { return Vec::new() };
        let fresh = |standby: &&Standby| present.duration_since(standby.holds_all_before) <= max_lag;
        self.standbys.iter().filter(fresh).map(|standby| Arc::clone(&standby.server)).collect()
    }

    /// Whether there is a primary that answers.
    pub(super) fn has_primary(&self) -> bool {
        self.primary.as_ref().is_some_and(|primary| primary.answers())
    }
}

fn in_turn(mut servers: Vec<Arc<Server>>, turn: usize) -> Vec<Arc<Server>> {
    if !servers.is_empty() {
        let turn = turn % servers.len();
        servers.rotate_left(turn);
        servers.sort_by_key(|server| server.busy());
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::DatabaseSettings;

    const LAG: Duration = Duration::from_secs(5);

    fn server(last: u8) -> Arc<Server> {
        let server = Server::new(&DatabaseSettings::for_tests(), ([10, 0, 0, last], 5432).into());
        server.set_answers(true);
        Arc::new(server)
    }

    /// A primary, and standbys that are so many seconds old.
    fn fleet(ages: &[u64], now: Instant) -> Fleet {
        let standby = |(i, age): (u8, &u64)| Standby {
            server: server(10 + i),
            holds_all_before: now - Duration::from_secs(*age),
        };
        Fleet {
            primary: Some(server(1)),
            standbys: (0..).zip(ages).map(standby).collect(),
            asked: Some(now - Duration::from_secs(1)),
        }
    }

    /// Which standbys those are, by their place in the fleet.
    fn places(servers: &[Arc<Server>]) -> Vec<u8> {
        let place = |server: &Arc<Server>| match server.address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3] - 10,
            std::net::IpAddr::V6(_) => u8::MAX,
        };
        servers.iter().map(place).collect()
    }

    fn readable(fleet: &Fleet, turn: usize, now: Instant) -> Vec<u8> {
        places(&fleet.readable(LAG, turn, now))
    }

    fn now() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    #[tokio::test]
    async fn a_standby_that_lags_or_does_not_answer_is_not_read_from() {
        let now = now();
        let fleet = fleet(&[1, 6, 2], now);
        assert_eq!(readable(&fleet, 0, now), [0, 2]);
        fleet.standbys[0].server.set_answers(false);
        assert_eq!(readable(&fleet, 0, now), [2]);
    }

    #[tokio::test]
    async fn without_the_primary_a_standby_grows_no_older() {
        let now = now();
        let fleet = fleet(&[1, 7], now);
        fleet.primary.as_ref().unwrap().set_answers(false);
        let later = now + Duration::from_secs(600);
        assert_eq!(readable(&fleet, 0, later), [0], "the second lagged before");
        fleet.primary.as_ref().unwrap().set_answers(true);
        assert_eq!(readable(&fleet, 0, later), [0; 0]);
    }

    #[tokio::test]
    async fn once_the_primary_has_failed_a_standby_that_seemed_not_to_answer_is_asked_last() {
        let now = now();
        let fleet = fleet(&[1, 2, 7], now);
        fleet.standbys[0].server.set_answers(false);
        assert_eq!(places(&fleet.last_resort(LAG, 0)), [1, 0], "the third lagged before");
    }

    #[tokio::test]
    async fn equals_take_turns_and_the_busy_come_last() {
        let now = now();
        let fleet = fleet(&[1, 1], now);
        assert_eq!((readable(&fleet, 0, now), readable(&fleet, 1, now)), (vec![0, 1], vec![1, 0]));
        let settings = DatabaseSettings::for_tests();
        let first = Arc::clone(&fleet.standbys[0].server);
        let work = first.run(&settings, LAG, std::future::pending::<Result<(), _>>());
        tokio::pin!(work);
        assert!(futures_util::poll!(&mut work).is_pending());
        assert_eq!((readable(&fleet, 0, now), readable(&fleet, 1, now)), (vec![1, 0], vec![1, 0]));
    }
}
