//! The program's commands, as an operator calls them.

use std::{
    io::Write,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    engine::FakeEngine,
    program::{Running, now_ms},
    rounds::labels,
    snapshots::{FakeCollector, snapshot},
};

pub(crate) fn autoscaler(args: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoscaler"));
    command.args(args).env_clear().envs(env.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The same while the fakes of this test go on answering.
pub(crate) async fn beside(args: &'static [&'static str], env: Vec<(&'static str, String)>) -> (Option<i32>, String) {
    let run = move || {
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        autoscaler(args, &env, "")
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn decide_answers_a_question_and_refuses_nonsense() {
    let question = json!({
        "policy": {"bounds": {"min": 2, "max": 10}, "metrics": {"cpu": {"up": 70, "down": 20}}, "algorithm": "target"},
        "observed": {"replicas": 2, "reading": {"taken_at_ms": 60_000, "interval_ms": 5_000, "tasks": [
            {"state": "running", "since_ms": 0, "cpu": {"used": 0.9, "limit": 0.5, "at_ms": 60_000}},
            {"state": "running", "since_ms": 0, "cpu": {"used": 0.9, "limit": 0.5, "at_ms": 60_000}}]}},
        "now_ms": 61_000,
    });
    let output = autoscaler(&["decide"], &[], &question.to_string());
    let decision: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!((decision["wanted"].as_u64(), decision["reason"].as_str()), (Some(6), Some("cpu_high")));
    let output = autoscaler(&["decide"], &[], "{}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("missing field `policy`"), "{error}");
    let output = autoscaler(&["decide", "--schema"], &[], "");
    assert!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["question"].is_object());
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let program = format!("set -o pipefail; '{}' decide --schema | head -c 1", env!("CARGO_BIN_EXE_autoscaler"));
    let output = Command::new("bash").args(["-c", &program]).output().unwrap();
    assert!(output.status.success() && output.stdout == b"{" && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn simulate_compares_policies_and_draws_them() {
    let path = |name: &str| {
        let path = std::env::temp_dir().join(format!("simulate-{}-{name}", std::process::id()));
        path.to_str().unwrap().to_owned()
    };
    let (trace, chart) = (path("trace.csv"), path("chart.svg"));
    std::fs::write(&trace, "step,requests\n0,600\n1,9000\n2,9000\n3,600\n").unwrap();
    let args = ["simulate", "--trace", &trace, "--algorithm", "linear", "--algorithm", "hpa", "--svg", &chart];
    let output = autoscaler(&args, &[], "");
    let table = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = table.lines().skip(2).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["policy", "linear", "hpa", "static-peak", "static-mean"]);
    assert!(std::fs::read_to_string(&chart).unwrap().starts_with("<svg"));
    let output = autoscaler(&["simulate", "--trace", &trace, "--algorithm", "magic"], &[], "");
    assert!(String::from_utf8(output.stderr).unwrap().contains("--algorithm magic: allowed is one of linear"));
    let output = autoscaler(&["simulate", "--trace", &trace, "--json"], &[], "");
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(rows[0]["lost_percent"].is_number());
    std::fs::remove_file(&trace).unwrap();
    std::fs::remove_file(&chart).unwrap();
}

#[test]
fn simulate_takes_a_policy_and_refuses_what_makes_no_sense() {
    let path = |name: &str, text: &str| {
        let path = std::env::temp_dir().join(format!("simulate-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let trace = path("steady.csv", "0,9000\n1,9000\n2,9000\n");
    let policy = path("policy.json", r#"{"bounds": {"min": 3, "max": 3}, "metrics": {"cpu": {"up": 50, "down": 10}}}"#);
    let broken = path("broken.json", r#"{"bounds": {"min": 3, "max": 2}, "metrics": {}}"#);
    let usual = ["simulate", "--trace", &trace, "--algorithm", "linear", "--json"];
    let with = |more: &[&str]| autoscaler(&[&usual[..], more].concat(), &[], "");
    let rows: Value = serde_json::from_slice(&with(&["--policy", &policy]).stdout).unwrap();
    // Three replicas for three minutes, whatever the load is.
    assert_eq!((rows[0]["actions"].as_u64(), rows[0]["replica_hours"].as_f64()), (Some(0), Some(0.15)));
    for (more, word) in [
        (["--policy", &broken], "bounds 3 to 2"),
        (["--policy", "/nowhere.json"], "cannot read /nowhere.json"),
        (["--interval", "0"], "--interval 0: allowed is 1 to 86400"),
        (["--start-up", "86401"], "--start-up 86401: allowed is 0 to 86400"),
        (["--capacity", "NaN"], "--capacity NaN: allowed is a number above 0"),
        (["--capacity", "0"], "--capacity 0: allowed is a number above 0"),
        (["--capacity", "1e-9"], "allowed are 100000"),
    ] {
        let output = with(&more);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(word), "{more:?}: {error}");
    }
    for path in [trace, policy, broken] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_long_simulation_shows_its_progress_on_a_terminal_and_nowhere_else() {
    let trace = std::env::temp_dir().join(format!("simulate-{}-long.csv", std::process::id()));
    std::fs::write(&trace, "step,requests\n0,9000\n1,9000\n").unwrap();
    let args = ["simulate", "--algorithm", "linear", "--interval", "1", "--step", "20000", "--trace"];
    let args = [&args[..], &[trace.to_str().unwrap()]].concat();
    let piped = autoscaler(&args, &[], "");
    assert!(piped.status.success() && piped.stderr.is_empty(), "{piped:?}");
    // A terminal on standard error alone: what is printed there is the bar.
    let program = format!("'{}' {} >/dev/null", env!("CARGO_BIN_EXE_autoscaler"), args.join(" "));
    let terminal = Command::new("script").args(["-qec", &program, "/dev/null"]).output().unwrap();
    let shown = String::from_utf8(terminal.stdout).unwrap();
    assert!(terminal.status.success() && shown.contains("simulating") && shown.contains('%'), "{shown:?}");
    assert!(!shown.contains("policy"), "{shown:?}");
    std::fs::remove_file(&trace).unwrap();
}

#[tokio::test]
async fn explain_tells_the_reason_first_and_every_input_after_it() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_web", 2, labels());
    collector.say(&snapshot("s_web", now_ms(), &[50.0, 50.0]));
    let running = Running::start(&engine, &collector).await;
    running.until("/health", |health| health["services"] == 1).await;
    running.until("/api/v1/services/web", |s| s["detail"]["decision"]["reason"] == "steady").await;
    let port = vec![("PORT", running.address.port().to_string())];
    let (code, text) = beside(&["explain", "web"], port.clone()).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("s_web: stays at 2: no threshold is crossed (cpu 50.0 %"), "{text}");
    for line in ["bounds       2 to 5", "algorithm    linear", "reason       steady", "measured 2, missing 0"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let (code, text) = beside(&["explain", "none"], port.clone()).await;
    assert!(code == Some(1) && text.contains("no such service"), "{text}");
    let (code, text) = beside(&["healthcheck"], port).await;
    assert_eq!(code, Some(0), "{text}");
    running.stop.cancel();
}

/// The program as a user who may not open the socket: root may open all.
fn without_permission(engine: &FakeEngine, args: &[&str]) -> Command {
    std::fs::set_permissions(&engine.socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoscaler"));
    command.args(args).env_clear().env("DOCKER_SOCKET", &engine.socket);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(65_534);
    } else {
        std::fs::set_permissions(&engine.socket, std::fs::Permissions::from_mode(0o0)).unwrap();
    }
    command
}

#[tokio::test]
async fn a_socket_without_permission_is_named_by_check_and_by_explain() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_web", 2, labels());
    let denied = format!("no permission for the engine's socket {}", engine.socket.display());
    let check = without_permission(&engine, &["check"]).output().unwrap();
    let text = String::from_utf8(check.stderr).unwrap();
    assert!(check.status.code() == Some(1) && text.contains(&denied), "{text}");

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut run = without_permission(&engine, &["run"]);
    run.env("PORT", &port).env("COLLECTOR_URL", collector.url()).env("CHECK_INTERVAL", "0.1").stdout(Stdio::null());
    let mut program = run.spawn().unwrap();
    let mut text = String::new();
    let deadline = tokio::time::sleep(Duration::from_secs(10));
    tokio::pin!(deadline);
    while !text.contains("answered 503: the Swarm cannot be read") {
        tokio::select! {
            () = &mut deadline => break,
            answer = beside(&["explain", "web"], vec![("PORT", port.clone())]) => text = answer.1,
        }
    }
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(text.contains(&denied), "{text}");
}

#[tokio::test]
async fn while_the_swarm_cannot_be_read_the_account_says_so_and_what_was_before() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_web", 2, labels());
    collector.say(&snapshot("s_web", now_ms(), &[50.0, 50.0]));
    let running = Running::start(&engine, &collector).await;
    running.until("/api/v1/services", |list| list["services"][0]["why"].to_string().contains("no threshold")).await;
    std::fs::remove_file(&engine.socket).unwrap();
    let account = running.until("/api/v1/services/web", |s| s["why"].to_string().contains("cannot be read")).await;
    let why = account["why"].as_str().unwrap();
    assert!(why.starts_with("stays at 2: the Swarm cannot be read: the engine's socket"), "{why}");
    assert!(why.contains("; the decision before was: stays at 2: no threshold is crossed"), "{why}");
    running.stop.cancel();
}

#[tokio::test]
async fn check_exits_with_1_when_a_label_is_wrong() {
    let engine = FakeEngine::start().await;
    engine.add("s_web", 2, labels());
    let socket = vec![("DOCKER_SOCKET", engine.socket.to_str().unwrap().to_owned())];
    let (code, text) = beside(&["check"], socket.clone()).await;
    assert!(code == Some(0) && text.contains("ok    s_web: 2 to 5"), "{text}");
    engine.change("s_web", |spec| spec["Labels"]["swarm.autoscaler.step.up"] = json!("many"));
    let (code, text) = beside(&["check"], socket).await;
    assert!(code == Some(1) && text.contains("ERROR s_web: swarm.autoscaler.step.up=many"), "{text}");
}

#[tokio::test]
async fn an_image_without_certificates_is_no_obstacle() {
    let engine = FakeEngine::start().await;
    let nowhere = || "/nowhere".to_owned();
    let socket = engine.socket.to_str().unwrap().to_owned();
    let env = vec![("SSL_CERT_FILE", nowhere()), ("SSL_CERT_DIR", nowhere()), ("DOCKER_SOCKET", socket)];
    let (code, text) = beside(&["check"], env).await;
    assert_eq!((code, text.as_str()), (Some(0), "0 services, 0 to be scaled, 0 with errors\n"));
}

#[test]
fn a_setting_that_is_not_understood_ends_the_start_with_what_is_allowed() {
    let output = autoscaler(&[], &[("SCALING_ALGORITHM", "magic")], "");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("SCALING_ALGORITHM=magic: allowed is one of linear, exponential, target"), "{error}");
}
