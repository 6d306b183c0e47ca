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
        let settings = ["--tmpfs", "/run/postgresql:mode=1777", "-v", "/var/lib/postgresql/data"];
        let sizes = ["-e", "SHARED_BUFFERS=32MB", "-e", "MAX_CONNECTIONS=400"];
        Self::run(5432, &[&settings[..], &sizes, &["scalable_backend_postgres:latest"]].concat())
    }

    pub(crate) fn redis() -> Self {
        Self::run(6379, &["--tmpfs", "/run/redis:mode=1777", "scalable_backend_redis:latest"])
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
        let _sweeper = sweeper(&id, &secrets);
        Self { id, address, _sweeper }
    }

    /// A Postgres that takes connections and has its roles.
    pub(crate) fn wait_until_ready(&self) {
        let script = "until test -e /run/postgresql/ready; do sleep 0.1; done";
        self.exec(&["timeout", "60", "sh", "-c", script]);
    }

    /// Runs SQL as the superuser.
    pub(crate) fn sql(&self, statement: &str) {
        self.exec(&["psql", "-XqAt", "-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", statement]);
    }

    /// Ends it without a farewell, as a crash would.
    pub(crate) fn kill(&self) {
        docker(&["kill", &self.id]);
    }

    /// Starts it again, on the same volume.
    pub(crate) fn start(&self) {
        docker(&["start", &self.id]);
    }

    fn exec(&self, command: &[&str]) {
        docker(&[&["exec", &self.id], command].concat());
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
/// killed, and then removes what it is told. A group of its own keeps it from a terminal's Ctrl-C.
fn sweeper(container: &str, directory: &std::path::Path) -> Child {
    Command::new("sh")
        .args(["-c", "cat; docker rm -fv \"$0\"; rm -rf \"$1\"", container])
        .arg(directory)
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
