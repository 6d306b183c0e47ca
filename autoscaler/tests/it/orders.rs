//! Pause, resume and scale through the API.

use autoscaler::{
    operate::{Order, OrderError},
    scaling::Reason,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    engine::FakeEngine,
    program::{Running, TOKEN, now_ms},
    rounds::{START, Stage, labels},
    snapshots::{FakeCollector, snapshot},
    troubles::Trouble,
};

const PAUSE: &str = "/api/v1/services/web/pause";
const SCALE: &str = "/api/v1/services/web/scale";

struct Desk {
    engine: FakeEngine,
    collector: FakeCollector,
    running: Running,
}

impl Desk {
    /// One service at 2 of 2 to 5, neither busy nor idle.
    async fn open() -> Self {
        let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
        engine.add("s_web", 2, labels());
        collector.say(&snapshot("s_web", now_ms(), &[50.0, 50.0]));
        let running = Running::start(&engine, &collector).await;
        running.until("/api/v1/services", |list| list["services"][0]["service"] == "s_web").await;
        Self { engine, collector, running }
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
        let url = format!("http://{}{path}", self.running.address);
        let mut request = self.running.client.post(url).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.running.stop.cancel();
    }
}

#[tokio::test]
async fn without_the_right_token_nothing_is_even_read() {
    let desk = Desk::open().await;
    let before = desk.engine.spec("s_web");
    for token in [None, Some(""), Some("let-me-i"), Some("let-me-inn"), Some("LET-ME-IN")] {
        for body in [r#"{"replicas": 5}"#, "nonsense"] {
            let (status, problem) = desk.post(SCALE, token, body).await;
            assert_eq!(status, 401, "{token:?}");
            assert!(problem["detail"].as_str().unwrap().contains("Bearer"), "{problem}");
        }
    }
    assert_eq!(desk.engine.spec("s_web"), before);
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused_with_what_is_allowed() {
    let desk = Desk::open().await;
    for (path, body, status, word) in [
        (SCALE, r#"{"replicas": 6}"#, 422, "from 2 to 5"),
        (SCALE, r#"{"replicas": -1}"#, 422, "replicas"),
        (SCALE, r#"{"replica": 3}"#, 422, "unknown field"),
        (SCALE, "", 400, "EOF"),
        (SCALE, "{", 400, "EOF"),
        (PAUSE, r#"{"seconds": 0}"#, 422, "from 1 to 604800"),
        (PAUSE, r#"{"seconds": 604801}"#, 422, "from 1 to 604800"),
        (PAUSE, "{}", 422, "missing field `seconds`"),
        ("/api/v1/services/none/resume", "", 404, "no such service"),
        ("/api/v1/services/id-s_web/resume", "", 404, "no such service"),
    ] {
        let (got, problem) = desk.post(path, Some(TOKEN), body).await;
        assert_eq!(got, status, "{path} {body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    let long = format!(r#"{{"replicas": 3{}}}"#, " ".repeat(5_000));
    assert_eq!(desk.post(SCALE, Some(TOKEN), &long).await.0, 413);
    assert_eq!(desk.running.call(Method::GET, PAUSE).await.0, 405);
    assert!(desk.engine.inner.lock().unwrap().written.is_empty());
}

#[tokio::test]
async fn a_pause_holds_until_it_is_over_or_resumed() {
    let desk = Desk::open().await;
    let (status, done) = desk.post(PAUSE, Some(TOKEN), r#"{"seconds": 600}"#).await;
    assert_eq!((status, done["service"].as_str()), (200, Some("s_web")));
    assert!(done["paused_until_ms"].as_u64().unwrap() > now_ms() + 590_000);
    let account = desk.running.until("/api/v1/services/web", |s| s["detail"]["decision"]["reason"] == "paused").await;
    assert!(account["why"].as_str().unwrap().starts_with("stays at 2: paused by an operator for another"), "{account}");
    desk.collector.say(&snapshot("s_web", now_ms(), &[95.0, 95.0]));
    let rounds = account["decided_at_ms"].as_u64().unwrap();
    desk.running.until("/api/v1/services/web", |s| s["decided_at_ms"].as_u64() > Some(rounds + 300)).await;
    assert_eq!(desk.engine.replicas("s_web"), 2);
    let (status, done) = desk.post("/api/v1/services/web/resume", Some(TOKEN), "").await;
    assert_eq!((status, done["paused_until_ms"].is_null()), (200, true));
    desk.running.until("/api/v1/services/web", |s| s["replicas"] == 3).await;
}

#[tokio::test]
async fn a_count_that_was_ordered_is_set_and_respected() {
    let desk = Desk::open().await;
    let (status, done) = desk.post(SCALE, Some(TOKEN), r#"{"replicas": 4}"#).await;
    assert_eq!((status, done["replicas"].as_u64(), desk.engine.replicas("s_web")), (200, Some(4), 4));
    let account = desk.running.until("/api/v1/services/web", |s| s["detail"]["decision"]["reason"] == "manual").await;
    assert!(account["why"].as_str().unwrap().contains("set this count by hand"), "{account}");
    let decisions = desk.running.get("/api/v1/decisions?reason=manual&limit=9").await;
    let ordered: Vec<_> = decisions["decisions"].as_array().unwrap().iter().filter(|d| d["applied"] == true).collect();
    assert_eq!((ordered.len(), ordered[0]["to"].as_u64()), (1, Some(4)));
}

#[tokio::test]
async fn somebody_elses_write_in_between_is_kept() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 50.0).await;
    // Calls in order: read, write (overtaken), read, write.
    stage.engine.trouble_at(&[(1, Trouble::Overtake)]);
    let done = stage.operator().carry_out("web", Order::Scale { replicas: 4 }, START).await.unwrap();
    assert_eq!((done.replicas, stage.engine.replicas("s_web")), (4, 4));
    let state = format!("manual=4 manual-at={START}");
    assert_eq!(stage.engine.spec("s_web")["Labels"]["swarm.autoscaler.state"], state.as_str());
}

#[tokio::test]
async fn an_order_that_cannot_be_carried_out_says_so() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 50.0).await;
    let operator = stage.operator();
    stage.engine.trouble_at(&[(1, Trouble::Fail)]);
    let error = operator.carry_out("web", Order::Resume, START).await.unwrap_err();
    assert!(error.to_string().contains("no leader"), "{error}");
    stage.engine.change("s_web", |spec| spec["Labels"]["swarm.autoscaler.minimum"] = json!("two"));
    let error = operator.carry_out("web", Order::Resume, START).await.unwrap_err();
    assert!(error.to_string().contains("minimum=two"), "{error}");
    stage.engine.inner.lock().unwrap().services.clear();
    assert!(matches!(operator.carry_out("web", Order::Resume, START).await, Err(OrderError::Unknown)));
}

#[tokio::test]
async fn a_pause_and_an_ordered_count_survive_a_restart() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    let write = |label: &str| {
        let label = label.to_owned();
        move |spec: &mut Value| spec["Labels"]["swarm.autoscaler.state"] = json!(label)
    };
    stage.engine.change("s_web", write(&format!("paused-until={}", START + 60_000)));
    stage.round(START, 95.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (2, Reason::Paused));
    stage.restart();
    stage.round(START + 59_999, 95.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (2, Reason::Paused));
    stage.round(START + 60_000, 95.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);

    stage.engine.change("s_web", write(&format!("manual=3 manual-at={}", START + 60_000)));
    stage.restart();
    stage.round(START + 120_000, 95.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::Manual));
    // The hold time is ten minutes.
    stage.round(START + 660_000, 95.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 4);
}

#[tokio::test]
async fn a_redeploy_takes_the_label_and_not_the_pause() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 50.0).await;
    stage.operator().carry_out("web", Order::Pause { until_ms: START + 60_000 }, START).await.unwrap();
    stage.round(START + 1, 95.0).await;
    assert_eq!(stage.reason(), Reason::Paused);
    stage.engine.change("s_web", |spec| spec["Labels"] = labels());
    stage.round(START + 2, 95.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (2, Reason::Paused));
    stage.round(START + 60_000, 95.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
}
