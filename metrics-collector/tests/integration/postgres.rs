use std::time::Duration;

use collector::sources::postgres::{Load, Servers};
use shared::snapshot::DatabaseRole;

use crate::{
    containers::{Container, Network},
    support::{collector, eventually},
};

const SECRETS: [(&str, &str); 3] =
    [("db_password", "app-secret"), ("db_monitor_password", "mon-secret"), ("db_replication_password", "rep-secret")];

fn server(network: &Network, more: &[&str]) -> Container {
    let common = ["--network", &network.name, "--tmpfs", "/run/postgresql:mode=1777", "-e", "SHARED_BUFFERS=16MB"];
    Container::run_with_secrets(&SECRETS, &[&common[..], more, &["scalable_backend_postgres:latest"]].concat())
}

fn primary(network: &Network) -> Container {
    server(network, &["--network-alias", "primary", "-v", "/var/lib/postgresql/data"])
}

fn standby(network: &Network) -> Container {
    server(network, &["-e", "ROLE=replica", "-e", "PRIMARY_HOST=primary", "-v", "/var/lib/postgresql/replica"])
}

fn servers(primary: &str, standby: &str, password: &str) -> Servers {
    let settings = collector(&[
        ("DB_HOST", primary),
        ("DB_REPLICA_HOST", standby),
        ("DB_REPLICA_MAX_LAG", "1"),
        ("DB_MONITOR_PASSWORD", password),
    ]);
    Servers::new(settings.database.unwrap(), Duration::from_secs(2))
}

async fn whole(servers: &mut Servers) -> Option<Load> {
    let gathered = servers.read().await;
    gathered.value.filter(|_| gathered.problems.is_empty())
}

/// A session of the application that does something until the test ends.
fn busy(server: &Container) {
    server
        .exec(&["sh", "-c", "psql -U postgres -d scalable_backend -c 'select pg_sleep(300)' >/dev/null 2>&1 &"])
        .unwrap();
}

#[tokio::test]
async fn active_sessions_count_idle_ones_and_our_own_do_not() {
    let network = Network::new();
    let primary = primary(&network);
    let mut servers = servers(&primary.address(), "", "mon-secret");
    let load = eventually("the primary answers", async || whole(&mut servers).await).await;
    let quiet = load.reads.unwrap();
    assert_eq!((quiet.active, quiet.usable), (0, 97), "{quiet:?}");
    assert_eq!((quiet.servers[0].role, quiet.servers[0].max), (DatabaseRole::Primary, 100));
    assert_eq!((quiet.servers[0].streaming, quiet.servers[0].lag_bytes), (None, None));

    busy(&primary);
    busy(&primary);
    let load = eventually("two sessions are active", async || {
        whole(&mut servers).await.filter(|load| load.reads.as_ref().is_some_and(|reads| reads.active == 2))
    })
    .await;
    assert_eq!(load.primary, load.reads, "without a standby the primary takes the reads");
    assert!(load.reads.unwrap().servers[0].total >= 3, "ours is a connection like any other");

    let gathered = self::servers(&primary.address(), "", "not-the-one").read().await;
    assert_eq!(gathered.value, None);
    assert!(!gathered.problems[0].contains("not-the-one"), "{:?}", gathered.problems);
}

#[tokio::test]
async fn reads_are_counted_on_the_standby_and_a_frozen_server_is_not_waited_for() {
    let network = Network::new();
    let primary = primary(&network);
    let standby = standby(&network);
    let mut servers = servers(&primary.address(), &standby.address(), "mon-secret");
    let streams = |load: &Load| load.reads.as_ref().is_some_and(|reads| reads.servers[0].streaming == Some(true));
    let load = eventually("the standby streams", async || whole(&mut servers).await.filter(streams)).await;
    let reads = load.reads.unwrap();
    assert_eq!((reads.servers.len(), reads.servers[0].role), (1, DatabaseRole::Standby));
    assert_eq!(reads.servers[0].address, standby.address());
    assert_eq!(load.primary.unwrap().servers[0].address, primary.address());
    eventually("the standby has caught up", async || {
        let reads = whole(&mut servers).await?.reads?;
        (reads.servers[0].lag_bytes == Some(0) && reads.servers[0].lag_seconds == Some(0.0)).then_some(())
    })
    .await;

    standby.exec(&["psql", "-U", "postgres", "-c", "select pg_wal_replay_pause()"]).unwrap();
    primary.exec(&["psql", "-U", "postgres", "-c", "create table late ()"]).unwrap();
    eventually("the standby that lags takes no reads", async || {
        let load = whole(&mut servers).await?;
        let late = load.servers.iter().find(|server| server.role == DatabaseRole::Standby)?;
        let on_primary = load.reads == load.primary;
        (on_primary && late.lag_bytes > Some(0) && late.lag_seconds > Some(1.0)).then_some(())
    })
    .await;
    standby.exec(&["psql", "-U", "postgres", "-c", "select pg_wal_replay_resume()"]).unwrap();
    eventually("it has caught up", async || whole(&mut servers).await.filter(streams)).await;

    busy(&standby);
    eventually("the standby's session is counted", async || {
        whole(&mut servers).await?.reads.filter(|reads| reads.active == 1)
    })
    .await;

    standby.act("pause");
    let started = std::time::Instant::now();
    let gathered = servers.read().await;
    assert!(started.elapsed() < Duration::from_secs(2));
    let load = gathered.value.unwrap();
    assert!(load.primary.is_some() && load.reads.is_none(), "it is not known how busy the reads are");
    assert!(gathered.problems[0].contains("no answer in time"), "{:?}", gathered.problems);
    standby.act("unpause");

    primary.act("pause");
    let load = eventually("the standby is read alone", async || servers.read().await.value.filter(streams)).await;
    assert_eq!((load.primary, load.reads.unwrap().servers[0].lag_bytes), (None, None));
    primary.act("unpause");
}
