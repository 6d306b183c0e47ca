use std::time::Duration;

use collector::sources::redis::Shards;

use crate::{
    containers::Container,
    support::{collector, eventually},
};

fn shard() -> Container {
    let settings = ["--tmpfs", "/run/redis:mode=1777", "-e", "REDIS_MAXMEMORY=32mb", "scalable_backend_redis:latest"];
    Container::run_with_secrets(&[("redis_password", "pass")], &settings)
}

fn shards(names: &str, password: &str) -> Shards {
    let settings = collector(&[("REDIS_HOST", names), ("REDIS_PASSWORD", password)]);
    Shards::new(settings.cache.unwrap(), Duration::from_secs(1))
}

#[tokio::test]
async fn shards_add_up_and_lost_connections_are_made_anew() {
    let (one, two) = (shard(), shard());
    let names = format!("{},{}", one.address(), two.address());
    let mut shards = shards(&names, "pass");
    let whole = async |shards: &mut Shards| {
        let gathered = shards.read().await;
        gathered.value.filter(|_| gathered.problems.is_empty())
    };
    eventually("both shards answer", async || whole(&mut shards).await).await;
    for key in ["a", "b", "c"] {
        assert_eq!(one.exec(&["redis-cli", "set", key, "value"]), Ok("OK".into()));
    }
    let reading = whole(&mut shards).await.unwrap();
    assert_eq!(reading.max_bytes, 64 << 20);
    assert_eq!(reading.servers.iter().map(|server| server.keys).sum::<u64>(), 3);
    assert!(reading.servers.iter().all(|server| server.used_bytes > 100_000));
    assert_eq!(reading.used_bytes, reading.servers.iter().map(|server| server.used_bytes).sum::<u64>());

    two.act("pause");
    let partial = shards.read().await;
    assert_eq!(partial.value.unwrap().servers.len(), 1);
    assert!(partial.problems[0].contains(&two.address()), "{:?}", partial.problems);
    two.act("unpause");
    // As a restart would; a container that is really restarted may come back with another address.
    assert_ne!(one.exec(&["redis-cli", "client", "kill", "type", "normal"]), Ok("0".into()));
    eventually("both shards answer again", async || whole(&mut shards).await).await;
}

#[tokio::test]
async fn a_wrong_password_is_no_reading_and_is_not_repeated_in_the_problem() {
    let shard = shard();
    let mut right = shards(&shard.address(), "pass");
    eventually("the shard answers", async || right.read().await.value).await;
    let gathered = shards(&shard.address(), "wrong-one").read().await;
    assert_eq!(gathered.value, None);
    assert!(!gathered.problems[0].contains("wrong-one"), "{:?}", gathered.problems);
}
