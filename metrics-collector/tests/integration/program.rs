//! The binary itself: what it refuses, how it is probed, what it serves, how it stops.

use std::{
    collections::HashSet,
    io::Write as _,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use collector::parse::exposition;

use crate::support::eventually;

fn command(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metrics-collector"));
    command.args(arguments).env_clear().env("BIND_ADDRESS", "127.0.0.1").envs(settings.iter().copied());
    command
}

fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    command(arguments, settings).output().unwrap()
}

/// A port that was free a moment ago.
fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// A running program, ended with the test.
struct Program(Child);

impl Program {
    fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self(command(arguments, settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Whether it ended with success within a time in which Swarm would still be patient.
    async fn stops_on_sigterm(&mut self) -> bool {
        let started = Instant::now();
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let ended = eventually("it stops", async || self.0.try_wait().unwrap()).await;
        ended.success() && started.elapsed() < Duration::from_secs(9)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn get(port: &str, path: &str) -> Option<(u16, String)> {
    let response = reqwest::get(format!("http://127.0.0.1:{port}{path}")).await.ok()?;
    Some((response.status().as_u16(), response.text().await.ok()?))
}

/// Each sample's metric is explained and typed, as Prometheus wants it.
fn assert_described(page: &str) {
    let headed = |head: &'static str| -> HashSet<&str> {
        page.lines().filter_map(|line| line.strip_prefix(head)?.split(' ').next()).collect()
    };
    let (help, types) = (headed("# HELP "), headed("# TYPE "));
    let samples = exposition::parse(page).unwrap();
    assert!(!samples.is_empty());
    for sample in samples {
        let parts = ["_bucket", "_sum", "_count"].map(|part| sample.name.strip_suffix(part));
        let known = |name: &&str| help.contains(*name) && types.contains(*name);
        assert!(parts.into_iter().flatten().chain([sample.name]).any(|name| known(&name)), "{}", sample.name);
    }
}

#[test]
fn bad_settings_are_all_named_and_nothing_is_started() {
    let settings =
        [("PORT", "http"), ("COLLECT_INTERVAL", "never"), ("REDIS_HOST", "redis"), ("CAPACITY_WARM_UP", "x")];
    let output = run(&["collector"], &settings);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    for name in ["PORT=http", "COLLECT_INTERVAL=never", "REDIS_PASSWORD", "CAPACITY_WARM_UP=x"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
}

#[tokio::test]
async fn a_collector_without_any_neighbour_serves_is_probed_and_stops() {
    let (port, health) = (free_port(), free_port());
    let settings = [
        ("PORT", port.as_str()),
        ("HEALTH_PORT", &health),
        ("COLLECT_INTERVAL", "0.5"),
        ("DOCKER_SOCKET", "/nonexistent/docker.sock"),
        ("AGENT_HOST", "127.0.0.1"),
        ("NGINX_HOST", "127.0.0.1"),
        ("CAPACITY_WARM_UP", "0"),
    ];
    assert!(!run(&["healthcheck", "collector"], &settings).status.success(), "not started yet");
    let mut program = Program::start(&["collector"], &settings);
    for port in [&port, &health] {
        let (status, body) = eventually("a round has closed", async || {
            get(port, "/health").await.filter(|(_, body)| body.contains("degraded"))
        })
        .await;
        assert!(status == 200 && body.contains("\"swarm\""), "{body}");
    }
    assert!(run(&["healthcheck", "collector"], &settings).status.success());
    assert_described(&get(&port, "/metrics").await.unwrap().1);
    let (_, snapshot) = get(&port, "/snapshot").await.unwrap();
    assert!(snapshot.contains("\"contract\":1"), "{snapshot}");
    let (_, upstream) = get(&port, "/upstream").await.unwrap();
    assert!(upstream.contains("\"limit\":null"), "{upstream}");
    assert_eq!(get(&health, "/snapshot").await.unwrap().0, 404);

    let mut half = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    half.write_all(b"GET /snapshot HTTP/1.1\r\nHo").unwrap();
    assert!(program.stops_on_sigterm().await, "a client with half a header does not hold it");
}

#[tokio::test]
async fn an_agent_without_an_engine_serves_is_probed_and_stops() {
    let port = free_port();
    let settings = [("PORT", port.as_str()), ("DOCKER_SOCKET", "/nonexistent/docker.sock"), ("AGENT_INTERVAL", "0.5")];
    assert!(!run(&["healthcheck", "agent"], &settings).status.success(), "not started yet");
    let mut program = Program::start(&["agent"], &settings);
    let (status, health) = eventually("it answers", async || get(&port, "/health").await).await;
    assert!(status == 200 && health.contains("stale"), "{health}");
    assert!(run(&["healthcheck", "agent"], &settings).status.success());
    assert_eq!(get(&port, "/stats").await.unwrap().0, 503, "nothing was measured");
    let page = eventually("the failed round is counted", async || {
        let (_, page) = get(&port, "/metrics").await?;
        (!page.contains("agent_failed_rounds_total 0\n")).then_some(page)
    })
    .await;
    assert_described(&page);
    assert!(program.stops_on_sigterm().await);
}
