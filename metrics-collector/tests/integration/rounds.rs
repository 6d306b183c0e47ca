use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use collector::{page, round::Rounds};
use serde_json::json;
use shared::snapshot::Snapshot;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::{
    bad_server::{BadServer, Manners},
    fake_engine::{Answer, FakeEngine},
    support::{collector, eventually},
};

/// Servers on the same port of different loopback addresses, as tasks of one service are.
async fn servers<const N: usize>(answers: [(&str, ResponseTemplate); N]) -> (u16, [MockServer; N]) {
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = first.local_addr().unwrap().port();
    let mut listeners = vec![first];
    listeners.extend((2..=N).map(|n| TcpListener::bind((format!("127.0.0.{n}"), port)).unwrap()));
    let mut started = Vec::new();
    for (listener, (at, answer)) in listeners.into_iter().zip(answers) {
        let server = MockServer::builder().listener(listener).start().await;
        Mock::given(path(at)).respond_with(answer).mount(&server).await;
        started.push(server);
    }
    (port, started.try_into().ok().unwrap())
}

fn text(text: impl Into<String>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_string(text)
}

fn source<'a>(snapshot: &'a Snapshot, name: &str) -> &'a shared::snapshot::SourceStatus {
    snapshot.sources.iter().find(|source| source.name == name).unwrap()
}

#[tokio::test]
async fn tasks_that_hang_lie_or_answer_without_end_do_not_hide_the_good_one() {
    let golden = include_str!("../golden/exposition.txt");
    let (port, servers) = servers([
        ("/metrics", text(golden)),
        ("/metrics", text("never").set_delay(Duration::from_secs(60))),
        ("/metrics", text("<html>not metrics</html>")),
        ("/metrics", text("x".repeat(3 << 20))),
        ("/metrics", ResponseTemplate::new(500)),
    ])
    .await;
    let engine = FakeEngine::start();
    engine.swarm(port, &["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"]);
    let mut rounds = Rounds::new(&collector(&[("DOCKER_SOCKET", engine.socket.to_str().unwrap())])).unwrap();
    let started = Instant::now();
    rounds.run_once().await;
    assert!(started.elapsed() < Duration::from_secs(2), "a round waits for nobody");

    servers[0].reset().await;
    let more = golden.replace("} 960\n", "} 1060\n").replace("} 970\n", "} 1070\n").replacen(
        "status=\"5xx\"} 10",
        "status=\"5xx\"} 35",
        1,
    );
    Mock::given(path("/metrics")).respond_with(text(more)).mount(&servers[0]).await;
    let snapshot = rounds.run_once().await;
    let http = snapshot.services["s_api"].http.unwrap();
    // The buckets from 0.2 on rose as well: 100 latencies in (0.1, 0.2].
    assert_eq!((http.requests, http.error_rate_percent), (125.0, Some(20.0)));
    assert!(http.p95_ms.is_some_and(|ms| (100.0..=200.0).contains(&ms)), "{http:?}");
    let status = source(&snapshot, "http");
    assert!(!status.ok);
    let error = status.error.as_deref().unwrap();
    assert!(error.contains("s_api at") && error.contains("and 1 more"), "{error}");
}

#[tokio::test]
async fn losing_every_source_leaves_absence_and_gaining_them_needs_no_restart() {
    let engine = FakeEngine::start();
    engine.swarm(9, &["127.0.0.1"]);
    let report = |sampled_at_ms: u64| {
        json!({
            "interval_ms": 500, "taken_at_ms": sampled_at_ms + 10, "told_at_ms": sampled_at_ms + 20,
            "tasks": {"task0": {"container_id": "c", "sampled_at_ms": sampled_at_ms,
                "cpu": {"cores": 0.1, "window_ms": 15_000}, "memory_bytes": 32 << 20,
                "cpu_limit_cores": 0.2, "memory_limit_bytes": null}},
        })
    };
    let neighbour = MockServer::start().await;
    let status =
        "Active connections: 2 \nserver accepts handled requests\n 5 5 9 \nReading: 0 Writing: 1 Waiting: 1 \n";
    let answers = async || {
        let stats = ResponseTemplate::new(200).set_body_json(report(1_000_000));
        Mock::given(path("/stats")).respond_with(stats).mount(&neighbour).await;
        Mock::given(path("/nginx/status")).respond_with(text(status)).mount(&neighbour).await;
        Mock::given(path("/nginx/metrics")).respond_with(text("nginx_limited_total 3\n")).mount(&neighbour).await;
    };
    answers().await;
    let port = neighbour.address().port().to_string();
    let settings =
        collector(&[("DOCKER_SOCKET", engine.socket.to_str().unwrap()), ("AGENT_PORT", &port), ("NGINX_PORT", &port)]);
    let mut rounds = Rounds::new(&settings).unwrap();
    let page = |snapshot: &Snapshot| page::render(snapshot, "s", snapshot.taken_at_ms);

    let full = rounds.run_once().await;
    let text = page(&full);
    for line in [
        "api_replicas_current 1\n",
        "api_cpu_usage_percent 50\n",
        "api_memory_usage_percent 50\n",
        "nginx_connections_active 2\n",
        "nginx_limited_total 3\n",
        "collector_source_up{source=\"agent\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let task = &full.services["s_api"].tasks[0];
    assert_eq!(task.cpu.unwrap().sampled_at_ms, 1_000_000, "the agent's own time");
    assert_eq!(task.address.as_deref(), Some("127.0.0.1"));

    neighbour.reset().await;
    Mock::given(path("/stats")).respond_with(self::text("[1, 2")).mount(&neighbour).await;
    let socket = engine.socket.clone();
    drop(engine);
    let gone = eventually("nothing is shown any more", async || {
        let snapshot = rounds.run_once().await;
        (snapshot.services.is_empty() && snapshot.balancer.is_none()).then_some(snapshot)
    })
    .await;
    assert!(gone.sources.iter().all(|source| !source.ok && source.error.is_some()), "{:?}", gone.sources);
    assert!(!page(&gone).contains("api_"), "{}", page(&gone));

    let engine = FakeEngine::start_at(socket);
    engine.swarm(9, &["127.0.0.1", "127.0.0.2"]);
    neighbour.reset().await;
    answers().await;
    let back = rounds.run_once().await;
    assert_eq!(back.services["s_api"].replicas_running, 2);
    assert!(source(&back, "swarm").ok && source(&back, "agent").ok && source(&back, "nginx").ok);
}

#[tokio::test]
async fn an_agent_that_hangs_or_has_too_much_to_say_does_not_hide_the_other_nodes() {
    let report = json!({"interval_ms": 500, "taken_at_ms": 5, "told_at_ms": 5, "tasks": {
        "task0": {"container_id": "c", "sampled_at_ms": 5, "cpu": null, "memory_bytes": 7,
            "cpu_limit_cores": null, "memory_limit_bytes": null}}});
    let (port, _servers) = servers([
        ("/stats", ResponseTemplate::new(200).set_body_json(report)),
        ("/stats", text("{}").set_delay(Duration::from_secs(60))),
        ("/stats", text("9".repeat(5 << 20))),
    ])
    .await;
    let engine = FakeEngine::start();
    engine.swarm(9, &["127.0.0.1"]);
    let settings = collector(&[
        ("DOCKER_SOCKET", engine.socket.to_str().unwrap()),
        ("AGENT_HOST", "127.0.0.1,127.0.0.2,127.0.0.3"),
        ("AGENT_PORT", &port.to_string()),
    ]);
    let snapshot = Rounds::new(&settings).unwrap().run_once().await;
    let task = &snapshot.services["s_api"].tasks[0];
    assert_eq!((task.cpu, task.memory.map(|memory| memory.used)), (None, Some(7.0)));
    let error = source(&snapshot, "agent").error.clone().unwrap();
    assert!(error.contains("agent at 127.0.0.2: no answer"), "{error}");
    assert!(error.contains("agent at 127.0.0.3: the answer is longer than"), "{error}");
}

#[tokio::test]
async fn a_manager_that_hangs_or_talks_nonsense_is_a_failed_source_and_no_more() {
    let engine = FakeEngine::start();
    let settings = collector(&[("DOCKER_SOCKET", engine.socket.to_str().unwrap())]);
    for (answer, expected) in [
        (Answer::Never, "no answer"),
        (Answer::Text("null"), "not the expected JSON"),
        (Answer::Json(json!([{"ID": 7}])), "not the expected JSON"),
    ] {
        engine.swarm(9, &["127.0.0.1"]);
        engine.on("/tasks", answer);
        let snapshot = Rounds::new(&settings).unwrap().run_once().await;
        assert!(snapshot.services.is_empty());
        let error = source(&snapshot, "swarm").error.clone().unwrap();
        assert!(error.contains(expected), "{error}");
    }
    let asked = engine.asked();
    assert!(asked.iter().all(|asked| asked.starts_with("GET ")), "{asked:?}");
}

#[tokio::test]
async fn a_round_ends_in_time_whatever_its_neighbours_do_and_shows_none_of_it() {
    for manners in [Manners::Unreachable, Manners::Silent, Manners::Slow, Manners::Garbage] {
        let server = BadServer::start(manners).await;
        let (address, port) = (server.address.ip().to_string(), server.address.port().to_string());
        let engine = FakeEngine::start();
        engine.swarm(server.address.port(), &[&address]);
        let settings = collector(&[
            ("DOCKER_SOCKET", engine.socket.to_str().unwrap()),
            ("AGENT_PORT", &port),
            ("NGINX_PORT", &port),
            ("DB_HOST", &address),
            ("DB_PORT", &port),
            ("DB_MONITOR_PASSWORD", "secret"),
            ("REDIS_HOST", &address),
            ("REDIS_PORT", &port),
            ("REDIS_PASSWORD", "secret"),
        ]);
        let mut rounds = Rounds::new(&settings).unwrap();
        for _ in 0..2 {
            let started = Instant::now();
            let snapshot = rounds.run_once().await;
            assert!(started.elapsed() < settings.source_timeout * 2, "{manners:?}: {:?}", started.elapsed());
            assert!(source(&snapshot, "swarm").ok, "the one who answers is heard");
            for name in ["agent", "http", "postgres", "redis", "nginx"] {
                let status = source(&snapshot, name);
                assert!(!status.ok && status.error.is_some(), "{manners:?}: {status:?}");
            }
            let page = page::render(&snapshot, "s", snapshot.taken_at_ms);
            assert!(page.contains("api_replicas_current 1\n"), "{page}");
            let unmeasured =
                ["api_cpu_", "api_memory_", "api_response_time_ms", "api_requests_per_second", "api_error_"];
            for name in unmeasured.into_iter().chain(["postgres_", "redis_", "nginx_"]) {
                assert!(!page.contains(name), "{manners:?}: {name} in {page}");
            }
        }
    }
}
