//! Memory of the cache, from `INFO` of every shard.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use deadpool_redis::redis::{
    self, AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisResult,
    aio::MultiplexedConnection,
};
use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use shared::snapshot::{CacheReading, CacheServer};

use super::{Gathered, call_timeout, name_timeout, resolve};
use crate::{clock, fetch, parse::info, settings::Cache};

/// All shards. One connection each is kept, and made anew after any failure.
pub struct Shards {
    settings: Cache,
    timeout: Duration,
    connections: HashMap<SocketAddr, MultiplexedConnection>,
}

impl std::fmt::Debug for Shards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shards").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Shards {
    /// No shard has been asked yet.
    #[must_use]
    pub fn new(settings: Cache, timeout: Duration) -> Self {
        Self { settings, timeout, connections: HashMap::new() }
    }

    /// Asks every shard at once.
    pub async fn read(&mut self) -> Gathered<CacheReading> {
        let (addresses, mut problems) = resolve(&self.settings.shards, name_timeout(self.timeout)).await;
        let mut connections = std::mem::take(&mut self.connections);
        let (settings, timeout) = (&self.settings, call_timeout(self.timeout));
        let answers = join_all(addresses.into_iter().map(|address| {
            let kept = connections.remove(&address);
            async move {
                let answer = tokio::time::timeout(timeout, ask(settings, timeout, address, kept)).await;
                (address, answer.unwrap_or_else(|_| Err("no answer in time".to_owned())))
            }
        }));
        let mut servers = Vec::new();
        for (address, answer) in answers.await {
            match answer {
                Ok((connection, info)) => {
                    self.connections.insert(address, connection);
                    servers.push(server(address, info));
                }
                Err(problem) => problems.push(format!("redis at {}: {problem}", address.ip())),
            }
        }
        Gathered { value: sum(servers, clock::unix_ms()), problems }
    }
}

async fn ask(
    settings: &Cache,
    timeout: Duration,
    address: SocketAddr,
    kept: Option<MultiplexedConnection>,
) -> Result<(MultiplexedConnection, info::Info), String> {
    let text = async {
        let mut connection = match kept {
            Some(connection) => connection,
            None => connect(settings, timeout, address).await?,
        };
        let text: String = redis::cmd("INFO").arg("memory").arg("keyspace").query_async(&mut connection).await?;
        RedisResult::Ok((connection, text))
    };
    let (connection, text) = text.await.map_err(|error| fetch::chain(&error))?;
    let info = info::parse(&text).ok_or("INFO without memory figures")?;
    Ok((connection, info))
}

async fn connect(settings: &Cache, timeout: Duration, address: SocketAddr) -> RedisResult<MultiplexedConnection> {
    let login = RedisConnectionInfo::default().set_password(settings.password.expose_secret());
    let target = ConnectionAddr::Tcp(address.ip().to_string(), address.port()).into_connection_info()?;
    let client = Client::open(target.set_redis_settings(login))?;
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn server(address: SocketAddr, info: info::Info) -> CacheServer {
    let info::Info { used_bytes, max_bytes, keys } = info;
    CacheServer { address: address.ip().to_string(), used_bytes, max_bytes, keys }
}

/// One shard without a bound makes the whole unbounded: a percentage would be a lie.
fn sum(servers: Vec<CacheServer>, now_ms: u64) -> Option<CacheReading> {
    let bounded = !servers.is_empty() && servers.iter().all(|server| server.max_bytes > 0);
    let max_bytes = if bounded { servers.iter().map(|server| server.max_bytes).sum() } else { 0 };
    let used_bytes = servers.iter().map(|server| server.used_bytes).sum();
    (!servers.is_empty()).then_some(CacheReading { sampled_at_ms: now_ms, used_bytes, max_bytes, servers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(used_bytes: u64, max_bytes: u64) -> CacheServer {
        CacheServer { address: "10.0.0.1".into(), used_bytes, max_bytes, keys: 0 }
    }

    #[test]
    fn shards_add_up_and_one_without_a_bound_makes_the_whole_unbounded() {
        let both = sum(vec![shard(10, 100), shard(30, 100)], 7).unwrap();
        assert_eq!((both.used_bytes, both.max_bytes), (40, 200));
        assert_eq!(sum(vec![shard(10, 100), shard(30, 0)], 7).unwrap().max_bytes, 0);
        assert_eq!(sum(vec![], 7), None);
    }
}
