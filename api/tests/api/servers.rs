//! One Postgres and one Redis for the whole binary, from the images that run in production.

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use rand::RngExt;

pub(crate) const DB_PASSWORD: &str = "app-password";
pub(crate) const REDIS_PASSWORD: &str = "cache-password";
const SECRETS: [(&str, &str); 4] = [
    ("db_password", DB_PASSWORD),
    ("db_monitor_password", "monitor-password"),
    ("db_replication_password", "replication-password"),
    ("redis_password", REDIS_PASSWORD),
];

/// Started by the first test that asks.
pub(crate) static SERVERS: LazyLock<Servers> = LazyLock::new(Servers::start);

pub(crate) struct Servers {
    pub(crate) postgres: Container,
    pub(crate) redis: Container,
}

/// A container that goes when this process has ended, however it ended.
pub(crate) struct Container {
    id: String,
    /// Where its port is reached from here. Stays the same when the container is started again.
    pub(crate) address: SocketAddr,
    _sweeper: Child,
}

impl Servers {
    fn start() -> Self {
        let servers = Self { postgres: Container::postgres(), redis: Container::redis() };
        servers.postgres.wait_until_ready();
        // The image lets the role in to its one database; tests make others.
        let rule = "echo 'host all app samenet scram-sha-256' >> /run/postgresql/pg_hba.conf";
        servers.postgres.exec(&["sh", "-c", rule]);
        servers.postgres.sql("select pg_reload_conf()");
        servers
    }

    /// An empty database that no other test uses.
    pub(crate) fn empty_database(&self) -> String {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        self.postgres.sql(&format!("create database {name} owner app"));
        name
    }
}

impl Container {
    pub(crate) fn postgres() -> Self {
        Self::database(&["-v", "/var/lib/postgresql/data", "-e", "MAX_CONNECTIONS=400"])
    }

    /// A primary or a standby.
    pub(crate) fn database(more: &[&str]) -> Self {
        let settings = ["--tmpfs", "/run/postgresql:mode=1777", "-e", "SHARED_BUFFERS=32MB"];
        Self::run(5432, &[&settings[..], more, &["scalable_backend_postgres:latest"]].concat())
    }

    pub(crate) fn redis() -> Self {
        Self::run(6379, &["--tmpfs", "/run/redis:mode=1777", "scalable_backend_redis:latest"])
    }

    /// The API, as it runs in its image.
    pub(crate) fn api(network: &Network, settings: &[(&str, &str)]) -> Self {
        let program = concat!(env!("CARGO_BIN_EXE_scalable_backend_api"), ":/usr/local/bin/api:ro");
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let settings = settings.iter().flat_map(|setting| ["-e", setting]);
        let arguments = ["--network", &network.name, "-v", program].into_iter().chain(settings);
        Self::run(3000, &arguments.chain(["debian:trixie-slim", "/usr/local/bin/api"]).collect::<Vec<_>>())
    }

    /// `pause`, `unpause`.
    pub(crate) fn act(&self, verb: &str) {
        docker(&[verb, &self.id]);
    }

    fn run(port: u16, arguments: &[&str]) -> Self {
        let secrets = secrets();
        let mount = format!("{}:/run/secrets:ro", secrets.display());
        // Chosen here and not by the engine, which would choose another one at each start.
        let address = free_address();
        let publish = format!("{address}:{port}");
        let common = ["run", "-d", "--label", "scalable-backend.test=api", "--read-only", "--cap-drop", "ALL"];
        let mounts = ["--tmpfs", "/tmp", "-v", &mount, "-p", &publish];
        let id = docker(&[&common[..], &mounts, arguments].concat());
        let _sweeper = sweeper("docker rm -fv \"$0\"; rm -rf \"$1\"", &[&id, &secrets.display().to_string()]);
        Self { id, address, _sweeper }
    }

    /// A Postgres that takes connections and has its roles.
    pub(crate) fn wait_until_ready(&self) {
        let script = "until test -e /run/postgresql/ready; do sleep 0.1; done";
        self.exec(&["timeout", "60", "sh", "-c", script]);
    }

    /// Whether its own health check passes.
    pub(crate) fn is_healthy(&self) -> bool {
        let health = Command::new("docker").args(["exec", &self.id, "healthcheck"]).output().unwrap();
        health.status.success()
    }

    /// Runs SQL as the superuser.
    pub(crate) fn sql(&self, statement: &str) -> String {
        self.exec(&["psql", "-XqAt", "-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", statement])
    }

    /// Ends it without a farewell, as a crash would.
    pub(crate) fn kill(&self) {
        docker(&["kill", &self.id]);
    }

    /// Starts it again, on the same volume.
    pub(crate) fn start(&self) {
        docker(&["start", &self.id]);
    }

    fn exec(&self, command: &[&str]) -> String {
        docker(&[&["exec", &self.id], command].concat())
    }
}

/// A network on which containers know each other by name. It goes after its containers.
pub(crate) struct Network {
    pub(crate) name: String,
    _sweeper: Child,
}

impl Network {
    pub(crate) fn new() -> Self {
        let name = format!("api-test-{}", uuid::Uuid::now_v7().simple());
        docker(&["network", "create", "--label", "scalable-backend.test=api", &name]);
        let script = "timeout 60 sh -c 'until docker network rm \"$0\"; do sleep 0.5; done' \"$0\"";
        let _sweeper = sweeper(script, &[&name]);
        Self { name, _sweeper }
    }

    /// Gives a container a place on it, under a name that others may have as well.
    pub(crate) fn join(&self, container: &Container, alias: &str) {
        docker(&["network", "connect", "--alias", alias, &self.name, &container.id]);
    }

    /// Takes it away again at once, with all that it holds.
    pub(crate) fn leave(&self, container: &Container) {
        docker(&["network", "disconnect", &self.name, &container.id]);
    }
}

/// A free port of this machine, for somebody else to listen on. Below those that the kernel gives to
/// clients: it stays free while its server is away for a moment.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], rand::rng().random_range(10_000..32_000)));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A directory with all secrets, as Swarm would mount it.
fn secrets() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("api-test-{}", uuid::Uuid::now_v7().simple()));
    fs::create_dir(&directory).unwrap();
    for (name, value) in SECRETS {
        fs::write(directory.join(name), value).unwrap();
    }
    directory
}

/// A process that waits for the end of this one, which closes the pipe between them also when it is
/// killed, and then runs the script. A group of its own keeps it from a terminal's Ctrl-C.
fn sweeper(script: &str, arguments: &[&str]) -> Child {
    Command::new("sh")
        .args(["-c", &format!("cat; {script}")])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Asks until there is an answer; fails the test after a minute.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = tokio::time::Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "still not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
