//! The dashboard's server side: the page and its policy, the overview between rounds, the
//! events and their bounds.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    commands::beside,
    engine::FakeEngine,
    program::{Running, TOKEN, now_ms},
    rounds::labels,
    snapshots::{FakeCollector, snapshot},
};

/// A program whose first round is its only one.
const ONE_ROUND: &[(&str, &str)] = &[("CHECK_INTERVAL", "3600")];

async fn running(service: &str, more: &[(&str, &str)]) -> (FakeEngine, FakeCollector, Running) {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add(service, 2, labels());
    collector.say(&snapshot(service, now_ms(), &[50.0, 50.0]));
    let running = Running::start_with(&engine, &collector, more).await;
    running.until("/health", |health| health["services"] == 1).await;
    (engine, collector, running)
}

async fn listen(running: &Running) -> Response {
    running.client.get(format!("http://{}/api/v1/events", running.address)).send().await.unwrap()
}

/// Reads events until one of this kind has come whose data is as wanted.
async fn heard(events: &mut Response, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut text = String::new();
    let read = async {
        loop {
            text += std::str::from_utf8(&events.chunk().await.unwrap().expect("the stream ended")).unwrap();
            while let Some((event, rest)) = text.clone().split_once("\n\n") {
                let mut lines = event.lines();
                let name = lines.next().unwrap().strip_prefix("event: ").unwrap();
                let data = lines.next().unwrap().strip_prefix("data: ").unwrap();
                let data: Value = serde_json::from_str(data).unwrap();
                if name == kind && wanted(&data) {
                    return data;
                }
                text = rest.to_owned();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), read).await.unwrap()
}

#[tokio::test]
async fn the_page_and_its_files_are_served_with_a_policy_that_lets_nothing_else_in() {
    let (_engine, _collector, running) = running("s_page", &[]).await;
    let get = |path: &str| running.client.get(format!("http://{}{path}", running.address)).send();
    let page = get("/").await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let text = page.text().await.unwrap();
    let mut files = 0;
    for part in text.split(['"', '\'']).filter(|part| part.starts_with("/assets/")) {
        let answer = get(part).await.unwrap();
        assert_eq!(answer.status(), 200, "{part}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{part}");
        files += 1;
    }
    assert_eq!(files, 6);
    for path in ["/assets/", "/assets/nothing.js", "/assets/../Cargo.toml", "/assets/uplot/LICENSE", "/assets/%2e%2e/x"]
    {
        assert_eq!(get(path).await.unwrap().status(), 404, "{path}");
    }
    running.stop.cancel();
}

#[tokio::test]
async fn what_is_done_by_hand_is_in_the_overview_long_before_the_next_round() {
    let (engine, _collector, running) = running("s_hand", ONE_ROUND).await;
    let mut events = listen(&running).await;
    let first = heard(&mut events, "overview", |_| true).await;
    let service = &first["overview"]["services"][0];
    assert_eq!((service["service"].as_str(), service["replicas"].as_u64()), (Some("s_hand"), Some(2)));
    assert_eq!(service["detail"]["decision"]["proposals"]["cpu"]["vote"], "stay");
    assert_eq!(service["detail"]["bounds"], json!({"min": 2, "max": 5}));
    assert_eq!(service["detail"]["point"]["readings"]["cpu"], 50.0);
    assert!(first["now_ms"].as_u64().unwrap().abs_diff(now_ms()) < 60_000);

    engine.change("s_hand", |spec| spec["Mode"]["Replicated"]["Replicas"] = json!(4));
    let replicas = |seen: &Value| seen["overview"]["services"][0]["replicas"].as_u64();
    heard(&mut events, "overview", |seen| replicas(seen) == Some(4)).await;

    // An order is shown at once, although no round has taken it up.
    let order = |action: &str, body: Value| {
        let url = format!("http://{}/api/v1/services/hand/{action}", running.address);
        running.client.post(url).bearer_auth(TOKEN).json(&body).send()
    };
    assert_eq!(order("pause", json!({"seconds": 600})).await.unwrap().status(), 200);
    let seen = heard(&mut events, "overview", |seen| !seen["overview"]["services"][0]["ordered"].is_null()).await;
    let ordered = &seen["overview"]["services"][0]["ordered"];
    assert_eq!(ordered["text"], "an operator paused it for 600 s");
    assert!(ordered["paused_until_ms"].as_u64() > Some(now_ms()), "{ordered}");
    assert_eq!(order("resume", json!(null)).await.unwrap().status(), 200);
    let resumed = |seen: &Value| seen["overview"]["services"][0]["ordered"]["text"] == "an operator resumed it";
    let seen = heard(&mut events, "overview", resumed).await;
    assert!(seen["overview"]["services"][0]["ordered"]["paused_until_ms"].is_null());
    running.stop.cancel();
}

#[tokio::test]
async fn a_round_takes_an_order_up_and_a_quiet_line_still_beats() {
    let (_engine, _collector, running) = running("s_beat", &[]).await;
    let mut events = listen(&running).await;
    heard(&mut events, "overview", |_| true).await;
    let url = format!("http://{}/api/v1/services/beat/scale", running.address);
    let scaled = running.client.post(url).bearer_auth(TOKEN).json(&json!({"replicas": 3})).send().await.unwrap();
    assert_eq!(scaled.status(), 200);
    heard(&mut events, "decision", |event| event["to"] == 3 && event["reason"] == "manual").await;
    let taken_up = |seen: &Value| {
        let service = &seen["overview"]["services"][0];
        service["ordered"].is_null() && service["detail"]["manual"]["replicas"] == 3
    };
    heard(&mut events, "overview", taken_up).await;
    running.stop.cancel();

    let (_engine, collector, running) = self::running("s_quiet", ONE_ROUND).await;
    collector.fall_silent();
    let mut events = listen(&running).await;
    let beat = heard(&mut events, "beat", |_| true).await;
    assert!(beat.as_u64().unwrap().abs_diff(now_ms()) < 60_000);
    running.stop.cancel();
}

#[tokio::test]
async fn listeners_are_bounded_and_a_place_that_is_left_is_free_again() {
    let (_engine, _collector, running) = running("s_crowd", ONE_ROUND).await;
    let mut crowd = Vec::new();
    for _ in 0..64 {
        crowd.push(listen(&running).await);
        assert_eq!(crowd.last().unwrap().status(), 200);
    }
    let refused = listen(&running).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"10".parse().unwrap()));
    assert!(refused.text().await.unwrap().contains("64 are listening already"));
    // Everything else is served meanwhile.
    assert_eq!(running.get("/api/v1/overview").await["overview"]["services_total"], 1);
    crowd.pop();
    let again = async {
        while listen(&running).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), again).await.unwrap();
    running.stop.cancel();
}

#[tokio::test]
async fn an_engine_that_hangs_does_not_hold_up_the_overview() {
    let (engine, _collector, running) = running("s_slow", ONE_ROUND).await;
    engine.inner.lock().unwrap().slowness = Duration::from_secs(3600);
    let asked = running.until("/api/v1/overview", |seen| !seen["overview"]["swarm_error"].is_null());
    let seen = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap();
    assert_eq!(seen["overview"]["swarm_error"], "no answer within 1 s");
    assert_eq!(seen["overview"]["services"][0]["replicas"], 2);
    running.stop.cancel();
}

#[tokio::test]
async fn without_a_token_the_page_offers_no_orders() {
    let (_engine, _collector, running) = running("s_locked", &[("ADMIN_TOKEN", "")]).await;
    assert_eq!(running.get("/api/v1/overview").await["overview"]["orders"], false);
    let (status, _) = running.call(Method::POST, "/api/v1/services/locked/resume").await;
    assert_eq!(status, 403);
    running.stop.cancel();
}

#[tokio::test]
async fn status_prints_a_table_that_nothing_can_steer_a_terminal_with() {
    let (engine, collector, running) = running("s_table", &[]).await;
    let mut wrong = labels();
    wrong["swarm.autoscaler.\u{1b}[2Jmaximum"] = json!("9");
    engine.add("s_typo", 1, wrong);
    let mut seen = snapshot("s_table", now_ms(), &[90.0, 90.0]);
    seen["sources"] =
        json!([{"name": "redis", "ok": false, "duration_ms": 3, "last_success_ms": null, "error": "refused"}]);
    seen["databases"] = json!([{"address": "10.0.0.2", "role": "standby", "active": 1, "total": 2, "usable": 97, "max": 100,
                                "streaming": true, "lag_bytes": 0, "lag_seconds": 0.5}]);
    collector.say(&seen);
    running.until("/api/v1/services/table", |s| s["replicas"] == 3).await;
    running.until("/api/v1/overview", |s| s["overview"]["collected"]["databases"][0]["active"] == 1).await;
    let port = running.address.port().to_string();
    let (code, text) = beside(&["status"], vec![("PORT", port.clone())]).await;
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "SERVICE",
        "table",
        "2-5",
        "cpu 90.0 % ",
        "left alone",
        "sources   0 of 1 whole",
        "! redis: refused",
        "standby 10.0.0.2: 1 of 97 connections at work, lag 0.5 s",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.contains("maximum: no such label") && !text.contains('\u{1b}'), "{text}");
    let (_, json) = beside(&["status", "--json"], vec![("PORT", port.clone())]).await;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["overview"]["stack"], "s");
    let (code, text) = beside(&["status", "--every", "0"], vec![("PORT", port)]).await;
    assert!(code == Some(2) && text.contains("from 0.5 to 3600"), "{text}");
    running.stop.cancel();
}

#[tokio::test]
async fn status_without_an_autoscaler_says_where_it_looked() {
    let (code, text) = beside(&["status", "--url", "http://127.0.0.1:9"], Vec::new()).await;
    assert!(code == Some(1) && text.contains("the autoscaler at http://127.0.0.1:9/api/v1/overview"), "{text}");
}
