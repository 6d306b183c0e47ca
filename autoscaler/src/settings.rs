//! Settings: read once from the environment and wholly checked before a socket opens.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use shared::env::{Env, EnvError};

use crate::{
    history::{DAY_MS, Limits, Place},
    notify::{Format, webhook::Webhook},
    scaling::{Algorithm, Bounds, Rule, policy::defaults},
};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where status, health and metrics are served.
    pub listen: SocketAddr,
    /// The engine's socket.
    pub docker_socket: PathBuf,
    /// Where the collector is.
    pub collector_url: String,
    /// The stack that this autoscaler belongs to; `None` when it runs outside of one.
    pub stack: Option<String>,
    /// What unlocks the calls that change something; `None` locks them for good.
    pub admin_token: Option<SecretString>,
    /// Where notices go; `None` when nobody wants them.
    pub webhook: Option<Webhook>,
    /// Where the history is; `None` keeps none.
    pub history: Option<Place>,
    /// Time between two rounds.
    pub check_interval: Duration,
    /// What services get that do not say otherwise.
    pub defaults: Defaults,
}

/// Policy of a service whose labels do not say otherwise.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Fewest and most replicas.
    pub bounds: Bounds,
    /// How far one action goes.
    pub algorithm: Algorithm,
    /// Whether a forecast may raise the count ahead of time.
    pub forecast: bool,
    /// CPU, percent.
    pub cpu: Rule,
    /// Memory, percent.
    pub memory: Rule,
    /// 95th percentile of latency, milliseconds.
    pub response_time: Rule,
    /// Failures, percent.
    pub error_rate: Rule,
    /// Any other share: connections, cache memory; percent.
    pub share: Rule,
    /// Pause before a scale-down or a change of direction.
    pub cooldown: Duration,
    /// Pause before a further scale-up.
    pub up_cooldown: Duration,
    /// How long a new replica is not judged.
    pub warm_up: Duration,
    /// How long a count that a human set is left alone.
    pub hold: Duration,
    /// Decide and show, but do not act.
    pub dry_run: bool,
    /// How long a task may be paused before all tasks of its service are replaced; `None`: for good.
    pub replace_paused_after: Option<Duration>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            algorithm: Algorithm::default(),
            forecast: false,
            cpu: Rule::Band { up: 70.0, down: 20.0 },
            memory: Rule::Band { up: 80.0, down: 40.0 },
            response_time: Rule::Band { up: 1000.0, down: 200.0 },
            error_rate: Rule::Ceiling { up: 5.0 },
            share: Rule::Band { up: 80.0, down: 30.0 },
            cooldown: Duration::from_millis(defaults::cooldown_ms()),
            up_cooldown: Duration::ZERO,
            warm_up: Duration::from_millis(defaults::warm_up_ms()),
            hold: Duration::from_millis(defaults::hold_ms()),
            dry_run: false,
            replace_paused_after: Some(Duration::from_secs(60)),
        }
    }
}

impl Settings {
    /// Reads and checks all of them.
    pub fn from_env(mut env: Env) -> Result<Self, EnvError> {
        let env_ref = &mut env;
        let settings = Self {
            listen: listen(env_ref),
            docker_socket: env_ref.text("DOCKER_SOCKET", "/var/run/docker.sock").into(),
            collector_url: collector_url(env_ref),
            stack: env_ref.get("STACK_NAME").map(str::to_owned),
            admin_token: env_ref.optional_secret("ADMIN_TOKEN"),
            webhook: webhook(env_ref),
            history: history(env_ref),
            check_interval: env_ref.seconds("CHECK_INTERVAL", 30.0, 0.1, 3600.0),
            defaults: Defaults::from_env(env_ref),
        };
        env.finish()?;
        Ok(settings)
    }
}

/// The port alone, for the `healthcheck` subcommand.
pub fn port(env: &mut Env) -> u16 {
    env.within("PORT", 8080, 1.., "a port from 1 to 65535")
}

fn listen(env: &mut Env) -> SocketAddr {
    let address =
        env.parsed("BIND_ADDRESS", IpAddr::V4(Ipv4Addr::UNSPECIFIED), "an IP address, for instance 127.0.0.1");
    SocketAddr::new(address, port(env))
}

fn collector_url(env: &mut Env) -> String {
    let url = env.text("COLLECTOR_URL", "http://metrics-collector:8090");
    let parsed = reqwest::Url::parse(&url);
    if !parsed.is_ok_and(|url| url.scheme() == "http" && url.has_host()) {
        env.problem(format!("COLLECTOR_URL={url}: allowed is an address like http://metrics-collector:8090"));
    }
    url.trim_end_matches('/').to_owned()
}

fn history(env: &mut Env) -> Option<Place> {
    let usual = Limits::default();
    let days = env.within("HISTORY_DAYS", usual.age_ms / DAY_MS, 1..=366, "a whole number of days from 1 to 366");
    let megabytes = env.within("HISTORY_MEGABYTES", usual.bytes >> 20, 1..=65_536, "a whole number from 1 to 65536");
    let directory = env.get("HISTORY_DIR")?.into();
    Some(Place { directory, limits: Limits { age_ms: days * DAY_MS, bytes: megabytes << 20, ..usual } })
}

/// What stands for no webhook where a secret cannot be empty.
const NOBODY: &str = "none";

fn webhook(env: &mut Env) -> Option<Webhook> {
    let format = env.choice("WEBHOOK_FORMAT", Format::default(), Format::NAMES);
    let interval = env.seconds("WEBHOOK_INTERVAL", 300.0, 0.0, 86_400.0);
    let url = env.optional_secret("WEBHOOK_URL").filter(|url| url.expose_secret() != NOBODY)?;
    let webhook = Webhook::new(url, format, interval);
    if webhook.is_none() {
        // The address is not repeated: who knows it can write to the channel.
        env.problem("WEBHOOK_URL: allowed is an address like https://hooks.example.com/a/b, or none");
    }
    webhook
}

impl Defaults {
    fn from_env(env: &mut Env) -> Self {
        let base = Self::default();
        let seconds = |env: &mut Env, name, default: Duration| env.seconds(name, default.as_secs_f64(), 0.0, 86_400.0);
        let (algorithm, forecast) = env.choice("SCALING_ALGORITHM", (base.algorithm, base.forecast), Algorithm::NAMES);
        Self {
            bounds: bounds(env),
            algorithm,
            forecast,
            cpu: band(env, "CPU_SCALE_UP_THRESHOLD", "CPU_SCALE_DOWN_THRESHOLD", base.cpu, 100.0),
            memory: band(env, "MEMORY_SCALE_UP_THRESHOLD", "MEMORY_SCALE_DOWN_THRESHOLD", base.memory, 100.0),
            response_time: band(
                env,
                "RESPONSE_TIME_SCALE_UP_MS",
                "RESPONSE_TIME_SCALE_DOWN_MS",
                base.response_time,
                3_600_000.0,
            ),
            error_rate: ceiling(env, "ERROR_RATE_SCALE_UP_PERCENT", base.error_rate),
            share: band(env, "SCALE_UP_THRESHOLD", "SCALE_DOWN_THRESHOLD", base.share, 100.0),
            cooldown: seconds(env, "COOLDOWN_PERIOD", base.cooldown),
            up_cooldown: seconds(env, "SCALE_UP_COOLDOWN", base.up_cooldown),
            warm_up: seconds(env, "WARM_UP", base.warm_up),
            hold: seconds(env, "MANUAL_HOLD", base.hold),
            dry_run: env.flag("DRY_RUN", base.dry_run),
            replace_paused_after: Some(env.seconds("REPLACE_PAUSED_AFTER", 60.0, 0.0, 86_400.0))
                .filter(|after| !after.is_zero()),
        }
    }
}

fn bounds(env: &mut Env) -> Bounds {
    let base = Bounds::default();
    let allowed = "a whole number from 0 to 100000";
    let min = env.within("MIN_REPLICAS", base.min(), 0..=100_000, allowed);
    let max = env.within("MAX_REPLICAS", base.max(), 1..=100_000, "a whole number from 1 to 100000");
    Bounds::new(min, max).unwrap_or_else(|_| {
        env.problem(format!("MIN_REPLICAS={min}, MAX_REPLICAS={max}: allowed is a minimum not above the maximum"));
        base
    })
}

fn band(env: &mut Env, up_name: &str, down_name: &str, base: Rule, most: f64) -> Rule {
    let Rule::Band { up, down } = base else { return base };
    let allowed = format!("a number from 0 to {most}");
    let up = env.within(up_name, up, 0.0..=most, &allowed);
    let down = env.within(down_name, down, 0.0..=most, &allowed);
    Rule::band(up, down).unwrap_or_else(|_| {
        env.problem(format!("{down_name}={down}, {up_name}={up}: allowed is a lower threshold below the upper one"));
        base
    })
}

fn ceiling(env: &mut Env, name: &str, base: Rule) -> Rule {
    let Rule::Ceiling { up } = base else { return base };
    let allowed = "a number above 0, up to 100";
    let up = env.within(name, up, 0.0..=100.0, allowed);
    Rule::ceiling(up).unwrap_or_else(|_| {
        env.problem(format!("{name}={up}: allowed is {allowed}"));
        base
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, EnvError> {
        Settings::from_env(Env::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn nothing_has_to_be_set() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(settings.check_interval, Duration::from_secs(30));
        let base = settings.defaults;
        assert_eq!((base.cpu, base.memory), (Rule::Band { up: 70.0, down: 20.0 }, Rule::Band { up: 80.0, down: 40.0 }));
        assert_eq!((base.error_rate, base.share), (Rule::Ceiling { up: 5.0 }, Rule::Band { up: 80.0, down: 30.0 }));
        assert_eq!((base.cooldown, base.up_cooldown), (Duration::from_secs(120), Duration::ZERO));
    }

    #[test]
    fn the_guides_variables_change_what_they_say() {
        let settings = read(&[
            ("SCALE_UP_THRESHOLD", "60"),
            ("CPU_SCALE_UP_THRESHOLD", "65.5"),
            ("MIN_REPLICAS", "3"),
            ("MAX_REPLICAS", "4"),
            ("CHECK_INTERVAL", "0.5"),
            ("COOLDOWN_PERIOD", "60"),
            ("SCALING_ALGORITHM", "exponential"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(settings.check_interval, Duration::from_millis(500));
        assert_eq!(settings.defaults.cpu, Rule::Band { up: 65.5, down: 20.0 });
        assert_eq!(settings.defaults.share, Rule::Band { up: 60.0, down: 30.0 });
        assert_eq!(settings.defaults.bounds, Bounds::new(3, 4).unwrap());
        assert_eq!(settings.defaults.algorithm, Algorithm::Exponential);
        assert_eq!(settings.defaults.replace_paused_after, Some(Duration::from_secs(60)));
        assert_eq!(read(&[("REPLACE_PAUSED_AFTER", "0")]).unwrap().defaults.replace_paused_after, None);
    }

    #[test]
    fn every_broken_rule_is_told_at_once() {
        let broken = [
            ("PORT", "0"),
            ("BIND_ADDRESS", "here"),
            ("COLLECTOR_URL", "collector"),
            ("CHECK_INTERVAL", "0"),
            ("CPU_SCALE_UP_THRESHOLD", "101"),
            ("MEMORY_SCALE_DOWN_THRESHOLD", "80"),
            ("ERROR_RATE_SCALE_UP_PERCENT", "0"),
            ("MIN_REPLICAS", "11"),
            ("COOLDOWN_PERIOD", "-1"),
            ("SCALING_ALGORITHM", "magic"),
            ("DRY_RUN", "perhaps"),
            ("REPLACE_PAUSED_AFTER", "never"),
            ("WEBHOOK_FORMAT", "prose"),
            ("WEBHOOK_INTERVAL", "-1"),
            ("HISTORY_DAYS", "0"),
            ("HISTORY_MEGABYTES", "0.5"),
        ];
        let problems = read(&broken).unwrap_err().0;
        assert_eq!(problems.len(), broken.len(), "{problems:#?}");
        for (name, value) in broken {
            assert!(problems.iter().any(|text| text.contains(&format!("{name}={value}"))), "{name}: {problems:#?}");
        }
    }

    #[test]
    fn the_webhooks_address_is_checked_and_never_repeated() {
        let problems = read(&[("WEBHOOK_URL", "hooks.example.com/s3cret")]).unwrap_err().0;
        assert!(problems.len() == 1 && problems[0].starts_with("WEBHOOK_URL: allowed"), "{problems:?}");
        assert!(!problems[0].contains("s3cret"), "{problems:?}");
        assert!(read(&[("WEBHOOK_URL", "none")]).unwrap().webhook.is_none());
        let settings =
            read(&[("WEBHOOK_URL", "https://hooks.example.com/s3cret"), ("WEBHOOK_FORMAT", "slack")]).unwrap();
        assert!(!format!("{settings:?}").contains("s3cret"));
        let webhook = settings.webhook.unwrap();
        assert_eq!((webhook.format, webhook.interval), (Format::Slack, Duration::from_secs(300)));
    }
}
