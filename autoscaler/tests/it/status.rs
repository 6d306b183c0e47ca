//! The status server, over real HTTP. The metrics recorder belongs to the whole process, so
//! each test that looks at figures has a service name of its own.

use std::time::Duration;

use autoscaler::scaling::Metric;
use reqwest::Method;
use serde_json::json;

use crate::{
    engine::FakeEngine,
    program::{Running, now_ms},
    rounds::{START, Stage, labels},
    snapshots::{FakeCollector, snapshot},
};

#[tokio::test]
async fn the_server_tells_why_and_lets_nobody_change_anything() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_shop", 2, labels());
    collector.say(&snapshot("s_shop", now_ms(), &[90.0, 90.0]));
    let running = Running::start(&engine, &collector).await;

    running.until("/health", |health| health["services"] == 1).await;
    let one = running.until("/api/v1/services/shop", |s| s["replicas"] == 3).await;
    assert_eq!(one["service"], "s_shop");
    assert!(one["why"].as_str().unwrap().starts_with("stays at 3"), "{one}");
    assert_eq!(one["detail"]["policy"]["bounds"]["max"], 5);
    assert_eq!(one["detail"]["observed"]["reading"]["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(running.get("/api/v1/services/s_shop").await["service"], "s_shop");

    let list = running.get("/api/v1/services").await;
    assert_eq!(list["services"][0]["maximum"], 5);
    let decisions = running.get("/api/v1/decisions?service=shop&action=up&limit=1").await;
    let event = &decisions["decisions"][0];
    assert_eq!((event["from"].as_u64(), event["to"].as_u64()), (Some(2), Some(3)));
    assert_eq!((event["reason"].as_str(), event["applied"].as_bool()), (Some("cpu_high"), Some(true)));
    assert_eq!(running.get("/health").await["status"], "ok");

    let (_, metrics) = running.call(Method::GET, "/metrics").await;
    for line in [
        "autoscaler_replicas_current{service=\"s_shop\"} 3",
        "autoscaler_decisions_total{service=\"s_shop\",reason=\"cpu_high\"} 1",
        "autoscaler_config_errors{service=\"s_shop\"} 0",
        "autoscaler_replicas_minimum{service=\"s_shop\"} 2",
        "autoscaler_replicas_maximum{service=\"s_shop\"} 5",
        "autoscaler_steps_total{service=\"s_shop\",direction=\"up\"} 1",
        "autoscaler_steps_total{service=\"s_shop\",direction=\"down\"} 0",
        "autoscaler_reversals_total{service=\"s_shop\"} 0",
        "# TYPE autoscaler_held gauge",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }

    for (method, path, status) in [
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/api/v1/services/none", 404),
        (Method::GET, "/api/v1/decisions?limit=-1", 400),
        (Method::POST, "/api/v1/services/shop", 405),
        (Method::DELETE, "/health", 405),
    ] {
        let (got, text) = running.call(method, path).await;
        assert_eq!(got, status, "{path}");
        assert!(text.contains("\"detail\""), "{text}");
    }
    running.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), running.program).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_blind_autoscaler_is_degraded_not_dead() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_shop", 2, labels());
    let running = Running::start(&engine, &collector).await;
    let health = running.until("/health", |health| health["why"].to_string().contains("collector")).await;
    assert_eq!(health["status"], "degraded");
    assert!(health["why"].to_string().contains("no snapshot"), "{health}");
    collector.say(&snapshot("s_shop", now_ms() - 60_000, &[50.0, 50.0]));
    let health = running.until("/health", |health| health["why"].to_string().contains("stale")).await;
    assert_eq!(health["status"], "degraded");
    let account = running.until("/api/v1/services/shop", |s| s["why"].to_string().contains("stale")).await;
    assert_eq!(account["replicas"], 2);
    running.stop.cancel();
}

#[tokio::test]
async fn decisions_are_sent_as_they_are_made_and_listeners_do_not_hold_up_the_end() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_feed", 2, labels());
    collector.say(&snapshot("s_feed", now_ms(), &[50.0, 50.0]));
    let running = Running::start(&engine, &collector).await;
    running.until("/health", |health| health["services"] == 1).await;
    let mut events = running.client.get(format!("http://{}/api/v1/events", running.address)).send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    collector.say(&snapshot("s_feed", now_ms(), &[90.0, 90.0]));
    let mut text = String::new();
    let heard = async {
        while !text.contains(r#""to":3"#) {
            text += std::str::from_utf8(&events.chunk().await.unwrap().unwrap()).unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), heard).await.unwrap();
    assert!(text.contains("event: decision\ndata: {") && text.contains(r#""reason":"cpu_high""#), "{text}");

    running.stop.cancel();
    let ended = async { while events.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(2), ended).await.unwrap();
    tokio::time::timeout(Duration::from_secs(2), running.program).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_forecast_is_shown_with_its_skill_and_its_floor() {
    let mut stage = Stage::new().await;
    let mut labels = labels();
    labels["swarm.autoscaler.algorithm"] = json!("predictive");
    labels["swarm.autoscaler.maximum"] = json!("2");
    stage.engine.add("s_foreseen", 2, labels);
    // Two replicas that can become no more, and a load that rises from 10 to 50 %.
    for round in 0..40_u64 {
        let at_ms = START + round * 30_000;
        stage.collector.say(&snapshot("s_foreseen", at_ms, &[10.0 + round as f64; 2]));
        stage.rounder.run(at_ms).await;
    }
    let outlook = stage.board.service("s_foreseen", None).unwrap().detail.unwrap().decision.outlooks[&Metric::Cpu];
    assert!(outlook.acts && outlook.forecast.skill > Some(0.0), "{outlook:?}");
    assert!(outlook.forecast.expected > 0.49 && outlook.forecast.lead_ms == 75_000, "{outlook:?}");

    let metrics = autoscaler::figures::services(&stage.board);
    let shown = |name: &str| {
        let start = format!("autoscaler_forecast_{name}{{service=\"s_foreseen\",metric=\"cpu\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start}in {metrics}")).parse::<f64>().unwrap()
    };
    assert_eq!((shown("work"), shown("margin")), (outlook.forecast.expected, outlook.forecast.margin));
    assert_eq!((Some(shown("skill_ratio")), shown("acts")), (outlook.forecast.skill, 1.0));
    assert_eq!(shown("floor_replicas"), outlook.floor as f64);
}

#[tokio::test]
async fn figures_of_what_is_no_longer_so_do_not_stand_still() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_going", 2, labels());
    engine.add("s_staying", 2, labels());
    let running = Running::start(&engine, &collector).await;
    running.until("/api/v1/services", |list| list["services"].as_array().is_some_and(|all| all.len() == 2)).await;
    let (_, metrics) = running.call(Method::GET, "/metrics").await;
    let held = "autoscaler_held{service=\"s_going\",by=\"no_data\"} 1";
    for line in
        [held, "autoscaler_replicas_desired{service=\"s_going\"} 2", "autoscaler_config_errors{service=\"s_going\"} 0"]
    {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    engine.change("s_going", |spec| spec["Labels"] = json!({}));
    collector.say(&snapshot("s_staying", now_ms(), &[50.0, 50.0]));
    running.until("/api/v1/services", |list| list["services"].as_array().is_some_and(|all| all.len() == 1)).await;
    running.until("/api/v1/services/staying", |s| s["why"].to_string().contains("no threshold")).await;
    let (_, metrics) = running.call(Method::GET, "/metrics").await;
    let gauges = metrics.lines().filter(|line| !line.contains("_total"));
    assert!(gauges.clone().any(|line| line == "autoscaler_replicas_current{service=\"s_staying\"} 2"), "{metrics}");
    assert!(gauges.clone().all(|line| !line.contains("s_going") && !line.starts_with("autoscaler_held{")), "{metrics}");
    running.stop.cancel();
}

#[tokio::test]
async fn a_wrong_label_is_loud_and_its_mending_is_seen() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    let mut wrong = labels();
    wrong["swarm.autoscaler.maximun"] = json!("9");
    engine.add("s_typo", 2, wrong);
    let running = Running::start(&engine, &collector).await;
    let account = running.until("/api/v1/services", |list| list["services"][0]["service"] == "s_typo").await;
    assert_eq!(account["services"][0]["config_errors"][0], "swarm.autoscaler.maximun: no such label");
    let (_, metrics) = running.call(Method::GET, "/metrics").await;
    assert!(metrics.contains("autoscaler_config_errors{service=\"s_typo\"} 1"), "{metrics}");
    engine.change("s_typo", |spec| spec["Labels"] = labels());
    running.until("/api/v1/services/typo", |s| s["config_errors"].as_array().is_some_and(Vec::is_empty)).await;
    let (_, metrics) = running.call(Method::GET, "/metrics").await;
    assert!(metrics.contains("autoscaler_config_errors{service=\"s_typo\"} 0"), "{metrics}");
    running.stop.cancel();
}
