use secrecy::ExposeSecret as _;

use super::*;

fn collector(pairs: &[(&str, &str)]) -> Result<Collector, String> {
    Collector::from_env(Env::from_pairs(pairs.iter().copied())).map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_enough_for_an_agent_and_a_collector() {
    let agent = Agent::from_env(Env::from_pairs::<String, String>([])).unwrap();
    assert_eq!((agent.interval.as_secs(), agent.cpu_window.as_secs(), agent.bind.port()), (5, 15, 8091));
    let collector = collector(&[]).unwrap();
    assert_eq!(collector.source_timeout, Duration::from_secs(2));
    assert_eq!(collector.bind.map(|bind| bind.port()), [8090, 9090]);
    assert!(collector.database.is_none() && collector.cache.is_none());
}

#[test]
fn every_problem_is_named_at_once_with_its_value_and_what_is_allowed() {
    let text = collector(&[
        ("PORT", "0"),
        ("BIND_ADDRESS", "here"),
        ("COLLECT_INTERVAL", "20"),
        ("SOURCE_TIMEOUT", "25"),
        ("HEALTH_PORT", "8090"),
        ("AGENT_HOST", ","),
        ("REDIS_HOST", "redis"),
        ("REDIS_PORT", "65536"),
        ("CAPACITY_WARM_UP", "-1"),
    ])
    .unwrap_err();
    for expected in [
        "PORT=0: allowed is a port from 1 to 65535",
        "BIND_ADDRESS=here: allowed is an IP address",
        "SOURCE_TIMEOUT=25: allowed is at most COLLECT_INTERVAL (20)",
        "HTTP_WINDOW=30: allowed is at least twice COLLECT_INTERVAL (20)",
        "HEALTH_PORT=8090: allowed is a port other than PORT",
        "AGENT_HOST=,: allowed is a name or an address",
        "REDIS_PORT=65536: allowed is a port",
        "REDIS_PASSWORD: a secret is read from a file only",
        "CAPACITY_WARM_UP=-1: allowed is a number of seconds from 0 to 600",
    ] {
        assert_eq!(text.matches(expected).count(), 1, "{expected} in {text}");
    }
}

#[test]
fn an_interval_outside_its_range_is_named() {
    for (name, value) in [("COLLECT_INTERVAL", "0.1"), ("SOURCE_TIMEOUT", "inf"), ("HTTP_WINDOW", "long")] {
        let text = collector(&[(name, value)]).unwrap_err();
        assert!(text.contains(&format!("{name}={value}: allowed is a number of seconds from")), "{text}");
    }
}

#[test]
fn a_secret_in_the_environment_is_refused_without_repeating_it() {
    let text = collector(&[("DB_HOST", "postgres"), ("DB_MONITOR_PASSWORD", "hunter2")]).unwrap_err();
    assert!(text.contains("give its path as DB_MONITOR_PASSWORD_FILE"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_secret_comes_from_its_file_and_is_never_printed() {
    let path = std::env::temp_dir().join(format!("collector-secret-{}", std::process::id()));
    std::fs::write(&path, "hunter2\n").unwrap();
    let settings = collector(&[("REDIS_HOST", "redis"), ("REDIS_PASSWORD_FILE", path.to_str().unwrap())]).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert_eq!(settings.cache.unwrap().password.expose_secret(), "hunter2");
}

#[test]
fn a_window_shorter_than_two_readings_is_refused() {
    let env = Env::from_pairs([("CPU_WINDOW", "5")]);
    assert!(Agent::from_env(env).unwrap_err().to_string().contains("CPU_WINDOW=5"));
}
