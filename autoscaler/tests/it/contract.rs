//! From a label to a decision, with the collector that is deployed beside us: a service of
//! another stack names port and path of its metrics, and is scaled on them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use autoscaler::scaling::{Decision, Reason};
use axum::{Router, routing::get};
use collector::{round::Rounds, settings};
use serde_json::{Value, json};
use shared::env::Env;
use tokio::net::TcpListener;

use crate::{program::now_ms, rounds::Stage};

/// Two tasks that serve the same text on one port of two addresses, and that port.
async fn tasks(text: &Arc<Mutex<String>>) -> u16 {
    let mut port = 0;
    for ip in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        let listener = TcpListener::bind(SocketAddr::from((ip, port))).await.unwrap();
        port = listener.local_addr().unwrap().port();
        let text = Arc::clone(text);
        let page = get(move || std::future::ready(text.lock().unwrap().clone()));
        let app = Router::new().route("/stats/prometheus", page);
        tokio::spawn(async move { axum::serve(listener, app).await });
    }
    port
}

/// Counters of a task: requests by status, and how many of them took up to 0.1, 1 and 10 s.
fn exposition(succeeded: u64, failed: u64, within: [u64; 3]) -> String {
    let [fast, slow, slower] = within;
    format!(
        "# TYPE http_requests_total counter\n\
         http_requests_total{{status=\"200\"}} {succeeded}\nhttp_requests_total{{status=\"503\"}} {failed}\n\
         http_request_duration_seconds_bucket{{le=\"0.1\"}} {fast}\n\
         http_request_duration_seconds_bucket{{le=\"1\"}} {slow}\n\
         http_request_duration_seconds_bucket{{le=\"10\"}} {slower}\n\
         http_request_duration_seconds_bucket{{le=\"+Inf\"}} {slower}\n"
    )
}

/// What is decided on a service of the stack `shop` with these labels whose tasks add this
/// between two rounds of the collector.
async fn decision(labels: &[(&str, &str)], added: String) -> Decision {
    let text = Arc::new(Mutex::new(exposition(0, 0, [0; 3])));
    let port = tasks(&text).await;
    let mut stage = Stage::new().await;
    let mut all = json!({"com.docker.stack.namespace": "shop", "swarm.autoscaler": "true",
                         "swarm.autoscaler.minimum": "1", "swarm.autoscaler.metrics.port": port.to_string(),
                         "swarm.autoscaler.metrics.path": "/stats/prometheus"});
    for (name, value) in labels {
        all[format!("swarm.autoscaler{name}")] = json!(value);
    }
    stage.engine.add("shop_web", 2, all);
    let task = |slot: u64| {
        json!({"ID": format!("task{slot}"), "ServiceID": "id-shop_web", "Slot": slot, "NodeID": "n", "Spec": {},
               "Status": {"Timestamp": "2026-01-01T00:00:00Z", "State": "running"}, "DesiredState": "running",
               "NetworksAttachments": [{"Network": {"Spec": {}}, "Addresses": [format!("127.0.0.{slot}/8")]}]})
    };
    let node = json!({"ID": "n", "Spec": {"Availability": "active"}, "Status": {"State": "ready"},
                      "Description": {"Hostname": "n", "Resources": {"NanoCPUs": 2e9 as u64, "MemoryBytes": 1 << 30}}});
    {
        let mut inner = stage.engine.inner.lock().unwrap();
        inner.tasks = vec![task(1), task(2)];
        inner.nodes = vec![node];
    }
    let mut rounds = Rounds::new(&settings(stage.engine.socket.to_str().unwrap())).unwrap();
    rounds.run_once().await;
    *text.lock().unwrap() = added;
    // A rate is of what was added per time: rounds are never a millisecond apart.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let snapshot = rounds.run_once().await;
    stage.collector.say(&serde_json::to_value(&*snapshot).unwrap());
    stage.rounder.run(now_ms()).await;
    stage.board.service("shop_web", None).unwrap().detail.unwrap().decision
}

/// A collector whose other neighbours are nowhere.
fn settings(socket: &str) -> settings::Collector {
    settings::Collector::from_env(Env::from_pairs([
        ("STACK_NAME", "s"),
        ("DOCKER_SOCKET", socket),
        ("AGENT_HOST", "127.0.0.1"),
        ("AGENT_PORT", "9"),
        ("NGINX_HOST", "127.0.0.1"),
        ("NGINX_PORT", "9"),
        ("COLLECT_INTERVAL", "1"),
    ]))
    .unwrap()
}

const METRICS: (&str, &str) = (".metrics", "response-time,error-rate,requests");

#[tokio::test]
async fn latency_of_a_service_of_another_stack_scales_it() {
    let labels = [METRICS, (".requests.per-replica", "99999"), (".response-time.up", "800")];
    let decision = decision(&labels, exposition(100, 0, [0, 0, 100])).await;
    assert_eq!((decision.wanted, decision.reason), (3, Reason::ResponseTimeHigh), "{decision:?}");
    let latency = measured(&decision, "response_time");
    assert!((1_000.0..10_000.0).contains(&latency), "{decision:?}");
}

#[tokio::test]
async fn errors_of_a_service_of_another_stack_scale_it() {
    let labels = [METRICS, (".requests.per-replica", "99999"), (".error-rate.up", "9")];
    let decision = decision(&labels, exposition(90, 10, [100; 3])).await;
    assert_eq!((decision.wanted, decision.reason), (3, Reason::ErrorRateHigh), "{decision:?}");
    assert!((measured(&decision, "error_rate") - 10.0).abs() < 1e-9, "{decision:?}");
}

#[tokio::test]
async fn requests_of_a_service_of_another_stack_scale_it() {
    let labels = [METRICS, (".requests.per-replica", "0.1"), (".algorithm", "target"), (".maximum", "7")];
    let decision = decision(&labels, exposition(500, 0, [500; 3])).await;
    assert_eq!((decision.wanted, decision.reason), (7, Reason::RequestsHigh), "{decision:?}");
}

#[tokio::test]
async fn an_idle_service_of_another_stack_asks_for_fewer() {
    let labels = [METRICS, (".requests.per-replica", "99999")];
    let decision = decision(&labels, exposition(100, 0, [100; 3])).await;
    assert_eq!((decision.recommended, decision.recommended_reason), (1, Reason::AllLow), "{decision:?}");
    assert_eq!(decision.reason, Reason::StabilizingDown);
}

#[tokio::test]
async fn metrics_that_cannot_be_read_are_missing_and_never_zero() {
    let labels = [METRICS, (".requests.per-replica", "99999")];
    let decision = decision(&labels, "<html>".to_owned()).await;
    assert_eq!((decision.wanted, decision.reason), (2, Reason::MetricMissing), "{decision:?}");
}

/// What a metric was measured to be.
fn measured(decision: &Decision, metric: &str) -> f64 {
    let value: Value = serde_json::to_value(decision).unwrap();
    value["proposals"][metric]["value"].as_f64().unwrap()
}
