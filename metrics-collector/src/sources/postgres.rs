//! Connection load and replication, from the primary and every standby.
//!
//! One connection to each server is kept, as a role that may see all sessions and change
//! nothing; it is made anew after any failure.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use shared::snapshot::{ConnectionsReading, DatabaseRole};
use sqlx::{
    ConnectOptions as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::{Gathered, call_timeout, name_timeout, resolve};
use crate::{
    clock, fetch,
    parse::replication::{self, Answer},
    settings::Database,
};

/// Positions only exist in their own role, hence the CASE around each.
const QUESTION: &str = "
    with clients as materialized
        (select pid, state from pg_stat_activity where backend_type = 'client backend')
    select standby,
        (select count(*) from clients where state <> 'idle' and pid <> pg_backend_pid()) as active,
        (select count(*) from clients) as total,
        current_setting('max_connections')::int8 as max,
        current_setting('superuser_reserved_connections')::int8
            + coalesce(current_setting('reserved_connections', true)::int8, 0) as reserved,
        pg_wal_lsn_diff(case when standby then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, '0/0')::int8
            as position,
        case when standby then exists (select from pg_stat_wal_receiver where status = 'streaming') end as streaming,
        case when not standby then null
            when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8
        end as lag_seconds
    from (select pg_is_in_recovery() as standby) as role
";

/// The load of the primary, and of the servers that take reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// The primary; `None` when it did not answer.
    pub primary: Option<ConnectionsReading>,
    /// Streaming standbys, without any the primary; `None` when it is not known where reads go.
    pub reads: Option<ConnectionsReading>,
}

/// All database servers.
#[derive(Debug)]
pub struct Servers {
    settings: Database,
    timeout: Duration,
    connections: HashMap<SocketAddr, PgConnection>,
}

impl Servers {
    /// No server has been asked yet.
    #[must_use]
    pub fn new(settings: Database, timeout: Duration) -> Self {
        Self { settings, timeout, connections: HashMap::new() }
    }

    /// Asks every server at once.
    pub async fn read(&mut self) -> Gathered<Load> {
        let limit = name_timeout(self.timeout);
        let standbys = async {
            match &self.settings.standbys {
                // No standby is a state like any other: then the name has no address.
                Some(host) => resolve(host, limit).await.0,
                None => Vec::new(),
            }
        };
        let ((primaries, mut problems), mut standbys) = tokio::join!(resolve(&self.settings.primary, limit), standbys);
        standbys.retain(|address| !primaries.contains(address));
        let mut kept = std::mem::take(&mut self.connections);
        let (settings, timeout) = (&self.settings, call_timeout(self.timeout));
        let answers = join_all(primaries.iter().chain(&standbys).map(|address| {
            let kept = kept.remove(address);
            async move {
                let answer = tokio::time::timeout(timeout, ask(settings, timeout, *address, kept)).await;
                (*address, answer.unwrap_or_else(|_| Err("no answer in time".to_owned())))
            }
        }));
        let (mut told, mut silent_standbys) = (Vec::new(), 0);
        for (address, answer) in answers.await {
            match answer {
                Ok((connection, answer)) => {
                    self.connections.insert(address, connection);
                    told.push((address.ip().to_string(), answer));
                }
                Err(problem) => {
                    silent_standbys += usize::from(standbys.contains(&address));
                    problems.push(format!("postgres at {}: {problem}", address.ip()));
                }
            }
        }
        Gathered { value: load(told, silent_standbys), problems }
    }
}

fn load(told: Vec<(String, Answer)>, silent_standbys: usize) -> Option<Load> {
    if told.is_empty() {
        return None;
    }
    let (servers, now_ms) = (replication::servers(told), clock::unix_ms());
    let reads = replication::read_servers(&servers, silent_standbys).and_then(|reads| replication::load(reads, now_ms));
    let primary = servers.into_iter().filter(|server| server.role == DatabaseRole::Primary).collect();
    Some(Load { primary: replication::load(primary, now_ms), reads })
}

async fn ask(
    settings: &Database,
    timeout: Duration,
    address: SocketAddr,
    kept: Option<PgConnection>,
) -> Result<(PgConnection, Answer), String> {
    let answer = async {
        let mut connection = match kept {
            Some(connection) => connection,
            None => options(settings, timeout, address).connect().await?,
        };
        let answer = sqlx::query_as(QUESTION).fetch_one(&mut connection).await?;
        Ok::<_, sqlx::Error>((connection, answer))
    };
    answer.await.map_err(|error| fetch::chain(&error))
}

fn options(settings: &Database, timeout: Duration, address: SocketAddr) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&address.ip().to_string())
        .port(address.port())
        .database(&settings.name)
        .username(&settings.user)
        .password(settings.password.expose_secret())
        .ssl_mode(PgSslMode::Disable)
        .application_name("metrics-collector")
        .options([("statement_timeout", timeout.as_millis().to_string())])
        .disable_statement_logging()
}
