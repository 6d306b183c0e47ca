//! The data tier: scaled by its own load, and never a byte lost or doubled.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{
    Stack, Writers, eventually,
    stack::{Port, docker},
};

/// Reads of one server, as the replicas of the api count them.
#[derive(Debug, Clone, PartialEq)]
struct Reads {
    server: String,
    role: String,
    count: u64,
}

/// A stack whose data tier is at rest, too, and in the autoscaler's hands.
async fn at_rest() -> Result<Stack> {
    let stack = Stack::at_rest().await?;
    for service in ["postgres-replica", "redis"] {
        stack.order(service, "resume", &json!({})).await?;
    }
    stack.comes_to("postgres-replica", 0, Duration::from_secs(60)).await?;
    stack.comes_to("redis", 1, Duration::from_secs(60)).await?;
    Ok(stack)
}

/// What the service's readings are, in the collector's snapshot.
async fn reading(stack: &Stack, service: &str) -> Result<Value> {
    let snapshot = stack.get_json(Port::Collector, "/snapshot").await?;
    Ok(snapshot["services"][stack.service(service)].clone())
}

async fn metric(stack: &Stack, name: &str) -> Result<f64> {
    let text = stack.get_text(Port::Collector, "/metrics").await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("{name} is missing"))?.parse()?)
}

/// Every database server's reads, summed over the replicas of the api. Their metrics are not for the
/// world: they are asked from inside of the stack's network.
async fn reads(stack: &Stack) -> Result<Vec<Reads>> {
    let inside = stack.containers("postgres")?.pop().context("no postgres container")?;
    let api = reading(stack, "api").await?;
    let addresses = api["tasks"].as_array().context("no tasks")?.iter().filter_map(|task| task["address"].as_str());
    let mut all = Vec::<Reads>::new();
    for address in addresses {
        let script =
            format!("exec 3<>/dev/tcp/{address}/3000; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
        let text = docker(&["exec", &inside, "timeout", "5", "bash", "-c", &script])?;
        for line in text.lines().filter_map(|line| line.strip_prefix("db_reads_total{")) {
            let fields: Vec<_> = line.split('"').collect();
            let [_, server, _, role, count] = fields[..] else { anyhow::bail!("{line}") };
            let count = count.trim_start_matches('}').trim().parse()?;
            match all.iter_mut().find(|reads| reads.server == server) {
                Some(reads) => reads.count += count,
                None => all.push(Reads { server: server.to_owned(), role: role.to_owned(), count }),
            }
        }
    }
    Ok(all)
}

/// Sessions that are at work on every server of a service until they are dropped, in the place of slow reports.
struct Sessions<'a> {
    stack: &'a Stack,
    services: Vec<&'a str>,
}

impl<'a> Sessions<'a> {
    fn none(stack: &'a Stack) -> Self {
        Self { stack, services: Vec::new() }
    }

    fn add(&mut self, service: &'a str, count: u64) -> Result<()> {
        self.services.push(service);
        let script = format!(
            "echo 'select pg_sleep(1)' >/tmp/work.sql
             exec /usr/lib/postgresql/17/bin/pgbench -n -U postgres -c {count} -T 600 -f /tmp/work.sql scalable_backend"
        );
        for container in self.stack.containers(service)? {
            docker(&["exec", "-d", &container, "bash", "-c", &script])?;
        }
        Ok(())
    }
}

impl Drop for Sessions<'_> {
    fn drop(&mut self) {
        const END: &str = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgbench'";
        let containers = self.services.iter().filter_map(|service| self.stack.containers(service).ok()).flatten();
        for container in containers {
            let _ = docker(&["exec", &container, "psql", "-U", "postgres", "-c", END]);
        }
    }
}

/// Clients that read a list again and again until the end, and count.
async fn read_for(stack: &Stack, token: &str, clients: usize, span: Duration) -> Result<u64> {
    let one = async || {
        let (started, mut count) = (Instant::now(), 0);
        while started.elapsed() < span {
            for path in ["/api/items", "/api/users/me"] {
                let answer = stack.get_as(token, path).await?;
                ensure!(answer.status() == StatusCode::OK, "GET {path}: {}", answer.status());
                count += 1;
            }
        }
        anyhow::Ok(count)
    };
    Ok(try_join_all((0..clients).map(|_| one())).await?.iter().sum())
}

#[tokio::test]
async fn database_checklist_postgresql_scales_with_load_and_its_connections_are_distributed() -> Result<()> {
    let stack = at_rest().await?;
    let reader = stack.sign_in("reader").await?;
    let mut sessions = Sessions::none(&stack);

    // Three of five connections at work are more than the threshold, three of ten are not.
    sessions.add("postgres", 62)?;
    stack.comes_to("postgres-replica", 1, Duration::from_secs(60)).await?;
    eventually("the standby is what load is measured on", Duration::from_secs(20), || async {
        let connections = reading(&stack, "postgres-replica").await?["connections"].clone();
        ensure!(connections["servers"][0]["role"] == "standby", "{connections}");
        Ok(())
    })
    .await?;
    sessions.add("postgres-replica", 62)?;
    stack.comes_to("postgres-replica", 2, Duration::from_secs(60)).await?;
    eventually("three servers serve", Duration::from_secs(20), || async {
        let (servers, lag) = (
            metric(&stack, "postgres_replicas_current").await?,
            metric(&stack, "postgres_replication_lag_seconds").await?,
        );
        ensure!(servers == 3.0 && lag < 2.0, "{servers} servers, {lag} s behind");
        Ok(())
    })
    .await?;

    // By now it is certain that this user writes nothing.
    let before = eventually("both standbys are read from", Duration::from_secs(30), || async {
        read_for(&stack, &reader, 2, Duration::from_millis(200)).await?;
        let reads = reads(&stack).await?;
        let standbys = reads.iter().filter(|reads| reads.role == "standby" && reads.count > 0).count();
        ensure!(standbys == 2, "{reads:?}");
        Ok(reads)
    })
    .await?;
    let answered = read_for(&stack, &reader, 6, Duration::from_secs(3)).await?;
    let after = reads(&stack).await?;
    for reads in &after {
        let earlier = before.iter().find(|earlier| earlier.server == reads.server).map_or(0, |earlier| earlier.count);
        let share = (reads.count - earlier) as f64 / answered as f64;
        println!("{} {}: {:.0} % of {answered} reads", reads.role, reads.server, share * 100.0);
        let expected = if reads.role == "standby" { 0.3..=0.7 } else { 0.0..=0.2 };
        ensure!(expected.contains(&share), "{after:?} of {answered}, before {before:?}");
    }
    drop(sessions);
    let pools = stack.wanted("api")? * std::env::var("DB_POOL_SIZE").map_or(Ok(8), |size| size.parse())?;
    eventually("no server has more connections than the pools and the collector", Duration::from_secs(10), || async {
        let snapshot = stack.get_json(Port::Collector, "/snapshot").await?;
        for server in snapshot["databases"].as_array().context("no databases")? {
            ensure!(server["total"].as_u64().context("no total")? <= pools + 1, "{server}");
        }
        Ok(())
    })
    .await?;

    stack.comes_to("postgres-replica", 0, Duration::from_secs(90)).await?;
    eventually("the primary is alone", Duration::from_secs(20), || async {
        let servers = metric(&stack, "postgres_replicas_current").await?;
        ensure!(servers == 1.0, "{servers} servers");
        Ok(())
    })
    .await?;
    read_for(&stack, &reader, 2, Duration::from_secs(1)).await.map(drop)
}

#[tokio::test]
async fn database_checklist_redis_scales_based_on_memory_usage() -> Result<()> {
    const ITEMS: usize = 60;
    let stack = at_rest().await?;
    let token = stack.sign_in("cache").await?;
    // Two bytes each: as much as an item can hold.
    let body = "ü".repeat(100_000);
    let mut paths = Vec::new();
    for number in 0..ITEMS {
        let request = stack.http.post(stack.url(Port::Http, "/api/items")).bearer_auth(&token);
        let made = request.json(&json!({ "title": format!("large {number}"), "body": body })).send().await?;
        ensure!(made.status() == StatusCode::CREATED, "{}", made.status());
        paths.push(made.headers().get("location").context("no location")?.to_str()?.to_owned());
    }
    // All are read again before any expires.
    let load = async || -> Result<()> {
        loop {
            for path in &paths {
                let answer = stack.get_as(&token, path).await?;
                ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
                answer.bytes().await?;
            }
        }
    };
    let scaled = async {
        stack.comes_to("redis", 2, Duration::from_secs(60)).await?;
        eventually("each shard holds about half", Duration::from_secs(60), || async {
            let cache = reading(&stack, "redis").await?["cache"].clone();
            let of = |name: &str| {
                let servers = cache["servers"].as_array().map(Vec::as_slice).unwrap_or_default();
                servers.iter().filter_map(|server| server[name].as_u64()).collect::<Vec<_>>()
            };
            let (keys, bytes) = (of("keys"), of("used_bytes"));
            let all: u64 = keys.iter().sum();
            // A few keys belong to a shard itself; those that moved have expired where they were.
            ensure!((ITEMS as u64..ITEMS as u64 + 20).contains(&all), "{cache}");
            // Beyond three in ten a fair coin is three standard deviations away from half.
            ensure!(keys.len() == 2 && keys.iter().all(|keys| keys * 10 >= all * 3), "{cache}");
            println!("two shards: {keys:?} keys, {bytes:?} bytes");
            Ok(())
        })
        .await
    };
    tokio::select! {
        ended = load() => ended?,
        scaled = scaled => scaled?,
    }
    ensure!(metric(&stack, "redis_replicas_current").await? == 2.0);
    stack.comes_to("redis", 1, Duration::from_secs(90)).await?;
    check_pause(&stack).await
}

/// Nothing was done to the cache sooner after a step than its values live.
async fn check_pause(stack: &Stack) -> Result<()> {
    let life_ms = 1_000 * std::env::var("CACHE_TTL")?.parse::<u64>()?;
    let answer = stack.get_json(Port::Autoscaler, "/api/v1/decisions?limit=500").await?;
    let decisions = answer["decisions"].as_array().context("no decisions")?.iter();
    let steps = decisions.filter(|d| d["service"] == stack.service("redis") && d["applied"] == true);
    let mut steps: Vec<_> = steps.filter_map(|d| d["at_ms"].as_u64()).collect();
    steps.sort_unstable();
    ensure!(steps.len() >= 2, "expected a step up and one down: {steps:?}");
    ensure!(steps.windows(2).all(|pair| pair[1] - pair[0] > life_ms), "{steps:?}");
    Ok(())
}

/// Kills and changes while writers write. `ROUNDS` makes a soak test of it.
#[tokio::test]
async fn no_acknowledged_write_is_lost_or_doubled() -> Result<()> {
    const WRITERS: usize = 8;
    let rounds = std::env::var("ROUNDS").map_or(Ok(1), |rounds| rounds.parse())?;
    let stack = at_rest().await?;
    let (writers, started, mut kills) = (Writers::start(&stack, WRITERS).await?, Instant::now(), 0);
    writers.go_on(50).await?;
    for _ in 0..rounds {
        stack.scale("postgres-replica", 2)?;
        stack.comes_to("postgres-replica", 2, Duration::from_secs(90)).await?;
        for service in ["postgres", "api", "postgres-replica", "postgres"] {
            let count = stack.wanted(service)?;
            let victim = stack.containers(service)?.pop().with_context(|| format!("no container of {service}"))?;
            docker(&["kill", &victim])?;
            kills += 1;
            eventually("it is replaced", Duration::from_secs(90), || async {
                ensure!(!stack.containers(service)?.contains(&victim), "it is still there");
                stack.comes_to(service, count, Duration::ZERO).await
            })
            .await?;
            writers.go_on(50).await?;
        }
        stack.scale("postgres-replica", 0)?;
        stack.comes_to("postgres-replica", 0, Duration::from_secs(60)).await?;
        let redeploy = stack.clone();
        tokio::task::spawn_blocking(move || redeploy.deploy_again(&[])).await??;
        writers.go_on(50).await?;
    }
    let tally = writers.check().await?;
    println!("{kills} kills in {} s: {tally:?}", started.elapsed().as_secs());
    ensure!(tally.refused + tally.lost > 0, "no kill was noticed: the test proves nothing");
    Ok(())
}
