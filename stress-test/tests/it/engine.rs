use std::{
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

use crate::server::{Faults, Server};

/// Far above any run here: a program that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress-test"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn output(args: &[&str]) -> Output {
    tokio::time::timeout(PATIENCE, command(args).output()).await.expect("the program ends").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs for three seconds and returns exit code, table and JSON report.
async fn run(server: &Server, extra: &[&str]) -> (i32, String, Value) {
    let port = server.url.rsplit(':').next().unwrap();
    let path = std::env::temp_dir().join(format!("stress-test-{}-{port}.json", std::process::id()));
    let report = path.to_str().unwrap();
    let mut args = vec!["--host", &server.url, "--minutes", "0.05", "--ramp", "0", "--report", report];
    args.extend(extra);
    let output = output(&args).await;
    let json = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let json = serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (output.status.code().unwrap(), text(&output.stdout), json)
}

fn requests(report: &Value, name: &str) -> u64 {
    let rows = report["by_request"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).map_or(0, |row| row["requests"].as_u64().unwrap())
}

#[tokio::test]
async fn a_healthy_system_passes_with_every_kind_of_request_at_the_pace_asked_for() {
    let server = Server::start(Faults::default()).await;
    let collector = server.url.clone();
    let (code, table, report) =
        run(&server, &["--users", "5", "--pace-ms", "20", "--collector", &collector, "--expect-replicas", "3..3"])
            .await;
    assert_eq!(code, 0, "{table}");
    for name in ["read item", "list items", "me", "create item", "update item", "delete item"] {
        assert!(requests(&report, name) > 0, "{name}: {table}");
        assert!(table.contains(name), "{table}");
    }
    assert_eq!((requests(&report, "register"), requests(&report, "login")), (5, 5), "{table}");
    // Five users at 50 a second for three seconds, less what starting takes on a busy machine.
    let offered = report["requests"].as_f64().unwrap() + report["not_offered"].as_f64().unwrap();
    assert!((400.0..=755.0).contains(&offered), "{table}");
    assert_eq!(report["failed"], 0);
    assert_eq!(report["replicas"]["max"], 3);
    assert_eq!(server.seen().keys.len() as u64, requests(&report, "create item"));
    assert!(table.ends_with("passed\n"), "{table}");
}

#[tokio::test]
async fn tokens_that_run_out_are_renewed_without_a_failure() {
    let server = Server::start(Faults { token_life: Duration::from_secs(1), ..Faults::default() }).await;
    let (code, table, report) = run(&server, &["--users", "3", "--pace-ms", "25"]).await;
    assert_eq!(code, 0, "{table}");
    assert!(requests(&report, "refresh") >= 3, "{table}");
    assert_eq!(server.seen().refreshes, requests(&report, "refresh"));
    assert_eq!(requests(&report, "login"), 3, "{table}");
}

#[tokio::test]
async fn errors_and_wrong_bodies_fail_the_run_and_are_named() {
    let faults = Faults { read_500_every: Some(10), read_wrong_every: Some(7), ..Faults::default() };
    let server = Server::start(faults).await;
    let (code, table, report) = run(&server, &["--users", "5", "--pace-ms", "20"]).await;
    assert_eq!(code, 1, "{table}");
    let kinds: Vec<_> =
        report["failures"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 2, "{table}");
    assert!(kinds.contains(&"http_500") && kinds.contains(&"wrong_body"), "{table}");
    assert!(table.contains("× http_500 (read item") && table.contains("the item's body is"), "{table}");
    assert!(table.contains("FAILED: "), "{table}");
}

#[tokio::test]
async fn a_valid_token_that_is_refused_is_a_failure_and_the_user_goes_on() {
    let server = Server::start(Faults { refuse_every: Some(40), ..Faults::default() }).await;
    let (code, table, report) = run(&server, &["--users", "3", "--pace-ms", "20"]).await;
    assert_eq!(code, 1, "{table}");
    assert_eq!(report["failures"][0]["kind"], "http_401", "{table}");
    let refused = report["failures"][0]["count"].as_u64().unwrap();
    assert!(requests(&report, "refresh") >= refused - 1, "{table}");
}

#[tokio::test]
async fn lists_are_followed_to_their_next_page() {
    let server = Server::start(Faults::default()).await;
    let (code, table, _) = run(&server, &["--users", "3", "--pace-ms", "10"]).await;
    assert_eq!(code, 0, "{table}");
    assert!(server.seen().pages_after_the_first > 0, "{table}");
}

#[tokio::test]
async fn without_a_collector_replicas_are_absent_and_an_expectation_fails() {
    let server = Server::start(Faults::default()).await;
    let nobody = free_url();
    let args = ["--users", "1", "--collector", &nobody];
    let (code, table, report) = run(&server, &args).await;
    assert_eq!(code, 0, "{table}");
    assert!(report["replicas"]["max"].is_null() && table.contains("never seen"), "{table}");
    let (code, table, _) = run(&server, &[&args[..], &["--expect-replicas", "2..2"]].concat()).await;
    assert_eq!(code, 1, "{table}");
    assert!(table.contains("nobody could say"), "{table}");
}

#[tokio::test]
async fn a_host_that_is_down_or_not_ready_is_one_sentence_and_exit_code_2() {
    let server = Server::start(Faults { ready: false, ..Faults::default() }).await;
    for (host, why) in [(free_url(), "refused"), (server.url.clone(), "503")] {
        let output = output(&["--host", &host]).await;
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(&host) && error.contains(why), "{error}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[tokio::test]
async fn bad_options_are_exit_code_2() {
    let output = output(&["--users", "none"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("1 to 10000"));
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_still_reports() {
    for signal in ["-INT", "-TERM"] {
        let server = Server::start(Faults::default()).await;
        let args = ["--host", &server.url, "--minutes", "30", "--users", "2", "--ramp", "0", "--pace-ms", "20"];
        let child = command(&args).spawn().unwrap();
        let made = async {
            while server.seen().keys.len() < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, made).await.expect("requests come in");
        let pid = child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it stops").unwrap();
        let table = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{table}{}", text(&output.stderr));
        assert!(table.contains("interrupted") && table.contains("create item"), "{table}");
    }
}

/// A port of this machine at which nobody listens.
fn free_url() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
