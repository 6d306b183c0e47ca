//! What the agent and the collector are told at their start: read once, wholly checked.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use secrecy::SecretString;
use shared::env::{Env, EnvError};

/// Where the agent listens unless told otherwise.
pub const AGENT_PORT: u16 = 8091;
/// Where the collector listens unless told otherwise.
pub const COLLECTOR_PORT: u16 = 8090;
const HEALTH_PORT: u16 = 9090;

/// Settings of the agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The engine's socket.
    pub docker_socket: PathBuf,
    /// Time between two readings.
    pub interval: Duration,
    /// Processor use is the mean over this time: one interval alone shows bursts, not load.
    pub cpu_window: Duration,
    /// Where to listen.
    pub bind: SocketAddr,
}

/// Settings of the collector.
#[derive(Debug, Clone)]
pub struct Collector {
    /// The engine's socket; the engine must be a manager.
    pub docker_socket: PathBuf,
    /// The stack whose services the pages name.
    pub stack: String,
    /// Time between two rounds.
    pub interval: Duration,
    /// The longest a source may take.
    pub source_timeout: Duration,
    /// Rates and quantiles of requests are over this time.
    pub http_window: Duration,
    /// Where to listen, the health port second.
    pub bind: [SocketAddr; 2],
    /// The agents, all addresses of one name.
    pub agents: Host,
    /// The balancers, all addresses of one name.
    pub balancers: Host,
    /// The database; `None` when there is none to read.
    pub database: Option<Database>,
    /// The cache; `None` when there is none to read.
    pub cache: Option<Cache>,
    /// A replica counts as capacity once it has been healthy for so long.
    pub capacity_warm_up: Duration,
}

/// Names that stand for any number of addresses, and the port of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// DNS names or addresses; several are given separated by commas.
    pub names: Vec<String>,
    /// TCP port.
    pub port: u16,
}

/// How the database servers are read.
#[derive(Debug, Clone)]
pub struct Database {
    /// The primary.
    pub primary: Host,
    /// The standbys, all addresses of one name.
    pub standbys: Option<Host>,
    /// A standby that is further behind takes no reads.
    pub max_lag: Duration,
    /// Which database to connect to.
    pub name: String,
    /// A role that may see all sessions.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The service that is scaled on the load of the servers that take reads.
    pub scaled_service: String,
    /// The service of the primary.
    pub primary_service: String,
}

/// How the cache shards are read.
#[derive(Debug, Clone)]
pub struct Cache {
    /// The shards, all addresses of one name.
    pub shards: Host,
    /// Their password.
    pub password: SecretString,
    /// The service that is scaled on the cache's memory.
    pub scaled_service: String,
}

/// A port from the environment.
pub fn port(env: &mut Env, name: &str, default: u16) -> u16 {
    env.within(name, default, 1.., "a port from 1 to 65535")
}

fn bind<const N: usize>(env: &mut Env, ports: [u16; N]) -> [SocketAddr; N] {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let address = env.parsed("BIND_ADDRESS", any, "an IP address of this machine");
    ports.map(|port| (address, port).into())
}

fn docker_socket(env: &Env) -> PathBuf {
    env.text("DOCKER_SOCKET", "/var/run/docker.sock").into()
}

impl Agent {
    /// Reads and checks everything.
    pub fn from_env(mut env: Env) -> Result<Self, EnvError> {
        let ports = [port(&mut env, "PORT", AGENT_PORT)];
        let [bind] = bind(&mut env, ports);
        let settings = Self {
            docker_socket: docker_socket(&env),
            interval: env.seconds("AGENT_INTERVAL", 5.0, 0.5, 60.0),
            cpu_window: env.seconds("CPU_WINDOW", 15.0, 1.0, 300.0),
            bind,
        };
        if settings.cpu_window < settings.interval * 2 {
            env.problem(format!(
                "CPU_WINDOW={}: allowed is at least twice AGENT_INTERVAL ({})",
                settings.cpu_window.as_secs_f64(),
                settings.interval.as_secs_f64()
            ));
        }
        env.finish().map(|()| settings)
    }
}

impl Collector {
    /// Reads and checks everything.
    pub fn from_env(mut env: Env) -> Result<Self, EnvError> {
        let stack = env.text("STACK_NAME", "scalable-backend");
        let ports = [port(&mut env, "PORT", COLLECTOR_PORT), port(&mut env, "HEALTH_PORT", HEALTH_PORT)];
        let interval = env.seconds("COLLECT_INTERVAL", 5.0, 0.5, 300.0);
        // Requests are read after the Swarm, so two of these must fit into an interval.
        let timeout = (interval.as_secs_f64() * 0.4).clamp(0.5, 2.0);
        let settings = Self {
            docker_socket: docker_socket(&env),
            interval,
            source_timeout: env.seconds("SOURCE_TIMEOUT", timeout, 0.1, 30.0),
            http_window: env.seconds("HTTP_WINDOW", 30.0, 1.0, 600.0),
            bind: bind(&mut env, ports),
            agents: host(&mut env, "AGENT_HOST", "tasks.metrics-agent", "AGENT_PORT", AGENT_PORT),
            balancers: host(&mut env, "NGINX_HOST", "tasks.nginx", "NGINX_PORT", 8080),
            database: database(&mut env, &stack),
            cache: cache(&mut env, &stack),
            capacity_warm_up: env.seconds("CAPACITY_WARM_UP", 2.0, 0.0, 600.0),
            stack,
        };
        settings.check(&mut env);
        env.finish().map(|()| settings)
    }

    /// Rules that concern several settings.
    fn check(&self, env: &mut Env) {
        let [main, health] = self.bind.map(|bind| bind.port());
        if main == health {
            env.problem(format!("HEALTH_PORT={health}: allowed is a port other than PORT"));
        }
        // A round may take two of these, and a third interval without one means stalled.
        if self.source_timeout > self.interval {
            env.problem(format!(
                "SOURCE_TIMEOUT={}: allowed is at most COLLECT_INTERVAL ({})",
                self.source_timeout.as_secs_f64(),
                self.interval.as_secs_f64()
            ));
        }
        if self.http_window < self.interval * 2 {
            env.problem(format!(
                "HTTP_WINDOW={}: allowed is at least twice COLLECT_INTERVAL ({})",
                self.http_window.as_secs_f64(),
                self.interval.as_secs_f64()
            ));
        }
    }

    /// How old a reading may be and still be shown: three intervals.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.interval * 3
    }
}

fn host(env: &mut Env, name: &str, default: &str, port_name: &str, default_port: u16) -> Host {
    let names = env.text(name, default);
    let host = Host::new(&names, port(env, port_name, default_port));
    if host.names.is_empty() {
        env.problem(format!("{name}={names}: allowed is a name or an address, or several separated by commas"));
    }
    host
}

/// A secret from `NAME_FILE` and from nowhere else: whoever may inspect a service sees its
/// environment.
fn secret(env: &mut Env, name: &str) -> SecretString {
    if env.get(name).is_some() || env.get(&format!("{name}_FILE")).is_none() {
        env.problem(format!("{name}: a secret is read from a file only: give its path as {name}_FILE"));
        return SecretString::default();
    }
    env.secret(name)
}

impl Host {
    /// From names separated by commas.
    #[must_use]
    pub fn new(names: &str, port: u16) -> Self {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        Self { names: names.collect(), port }
    }
}

fn database(env: &mut Env, stack: &str) -> Option<Database> {
    env.get("DB_HOST")?;
    let primary = host(env, "DB_HOST", "", "DB_PORT", 5432);
    Some(Database {
        standbys: env.get("DB_REPLICA_HOST").map(|names| Host::new(names, primary.port)),
        primary,
        max_lag: env.seconds("DB_REPLICA_MAX_LAG", 5.0, 1.0, 10.0),
        name: env.text("DB_NAME", "scalable_backend"),
        user: env.text("DB_MONITOR_USER", "monitor"),
        password: secret(env, "DB_MONITOR_PASSWORD"),
        scaled_service: env.text("POSTGRES_SCALED_SERVICE", &format!("{stack}_postgres-replica")),
        primary_service: env.text("POSTGRES_PRIMARY_SERVICE", &format!("{stack}_postgres")),
    })
}

fn cache(env: &mut Env, stack: &str) -> Option<Cache> {
    env.get("REDIS_HOST")?;
    Some(Cache {
        shards: host(env, "REDIS_HOST", "", "REDIS_PORT", 6379),
        password: secret(env, "REDIS_PASSWORD"),
        scaled_service: env.text("REDIS_SCALED_SERVICE", &format!("{stack}_redis")),
    })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
