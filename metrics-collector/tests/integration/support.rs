//! Settings for tests, and waiting for conditions.

use std::time::{Duration, Instant};

use collector::settings;
use shared::env::Env;

use crate::containers::unique;

/// Asks until there is an answer; fails the test after a minute.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "still not: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Settings of a collector with short times, whose every neighbour is nowhere unless told.
/// Passwords go into files, the only way in which they are taken.
pub(crate) fn collector(pairs: &[(&str, &str)]) -> settings::Collector {
    let defaults = [
        ("STACK_NAME", "s"),
        ("DOCKER_SOCKET", "/nonexistent/docker.sock"),
        ("AGENT_HOST", "127.0.0.1"),
        ("AGENT_PORT", "9"),
        ("NGINX_HOST", "127.0.0.1"),
        ("NGINX_PORT", "9"),
        ("COLLECT_INTERVAL", "1"),
        ("SOURCE_TIMEOUT", "1"),
    ];
    let (secrets, plain): (Vec<_>, Vec<_>) = pairs.iter().copied().partition(|(name, _)| name.ends_with("PASSWORD"));
    let files = secrets.iter().map(|(name, secret)| {
        let path = std::env::temp_dir().join(unique(name));
        std::fs::write(&path, secret).unwrap();
        (format!("{name}_FILE"), path.to_str().unwrap().to_owned())
    });
    let files: Vec<_> = files.collect();
    let plain = defaults.into_iter().chain(plain).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = settings::Collector::from_env(Env::from_pairs(plain.chain(files.clone())));
    files.iter().for_each(|(_, path)| std::fs::remove_file(path).unwrap());
    settings.unwrap()
}

/// Settings of an agent with short times.
pub(crate) fn agent() -> settings::Agent {
    settings::Agent::from_env(Env::from_pairs([("AGENT_INTERVAL", "1"), ("CPU_WINDOW", "5")])).unwrap()
}
