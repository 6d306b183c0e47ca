//! What a scrape finds.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;

use crate::{
    client::{User, get, send},
    program::Program,
    stack::Stack,
};

/// The value of one series; absent is zero.
fn value(text: &str, series: &str) -> f64 {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or_default()
}

/// The values of each label.
fn labels(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for inside in text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (_, rest) = line.split_once('{')?;
        Some(rest.rsplit_once('}')?.0)
    }) {
        for (name, value) in inside.split("\",").filter_map(|pair| pair.split_once("=\"")) {
            found.entry(name.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
        }
    }
    found
}

#[tokio::test]
async fn requests_are_counted_by_template_and_class_and_by_nothing_a_client_chooses() {
    let stack = Stack::new().await;
    let program = Program::start(&stack, &[]);
    program.until_ready().await;
    let user = User::register(&program.base).await;
    for _ in 0..3 {
        let path = user.item("counted").await;
        user.get(&path).await.expect(200);
    }
    for path in ["/no/such/path", "/api/items/one-of-many", "/wp-admin.php?x=1"] {
        user.get(path).await.problem(404);
    }
    send(user.request(Method::from_bytes(b"BREW").unwrap(), "/api/items")).await.problem(405);
    get(&program.base, "/api/health").await.expect(200);

    let answer = get(&program.base, "/metrics").await.expect(200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"), "{answer:?}");
    let text = answer.text;
    let count = |method: &str, route: &str, status: &str| {
        let labels = [("method", method), ("route", route), ("status", status)];
        let labels = labels.map(|(name, value)| format!("{name}=\"{value}\"")).join(",");
        value(&text, &format!("http_requests_total{{{labels}}}"))
    };
    assert_eq!(count("POST", "/api/auth/register", "2xx"), 1.0, "{text}");
    assert_eq!(count("POST", "/api/items", "2xx"), 3.0);
    assert_eq!(count("GET", "/api/items/{id}", "2xx"), 3.0);
    assert_eq!(count("GET", "/api/items/{id}", "4xx"), 1.0);
    assert_eq!(count("GET", "<unknown>", "4xx"), 2.0);
    assert_eq!(count("<unknown>", "/api/items", "4xx"), 1.0);

    let labels = labels(&text);
    let routes: Vec<_> = labels["route"].iter().map(String::as_str).collect();
    assert_eq!(routes, ["/api/auth/login", "/api/auth/register", "/api/items", "/api/items/{id}", "<unknown>"]);
    assert_eq!(labels["status"].iter().collect::<Vec<_>>(), ["2xx", "4xx"]);
    assert_eq!(labels["method"].iter().collect::<Vec<_>>(), ["<unknown>", "GET", "POST"]);
    for name in [
        "build_info{version=",
        "http_requests_in_flight 0",
        r#"db_pool_connections{server="127.0.0.1",role="primary",state="idle"}"#,
        r#"db_reads_total{server="127.0.0.1",role="primary"}"#,
        r#"cache_lookups_total{shard="127.0.0.1",outcome="miss"}"#,
        "process_start_time_seconds",
    ] {
        assert!(text.contains(name), "no {name}: {text}");
    }
}

#[tokio::test]
async fn the_durations_are_a_histogram_that_only_grows() {
    let stack = Stack::new().await;
    let program = Program::start(&stack, &[]);
    program.until_ready().await;
    let user = User::register(&program.base).await;
    const SERIES: &str =
        "http_request_duration_seconds_bucket{method=\"GET\",route=\"/api/users/me\",status=\"2xx\",le=\"";
    let buckets = |text: &str| -> Vec<f64> {
        let counts = text.lines().filter_map(|line| line.strip_prefix(SERIES)?.split_once("\"} ")?.1.parse().ok());
        counts.collect()
    };
    let mut before = vec![0.0; 20];
    for round in 1..=3 {
        for _ in 0..4 {
            user.get("/api/users/me").await.expect(200);
        }
        let now = buckets(&program.metrics().await);
        assert_eq!(now.len(), before.len());
        assert!(now.is_sorted(), "buckets are cumulative: {now:?}");
        assert!(now.iter().zip(&before).all(|(now, before)| now >= before), "{before:?} then {now:?}");
        assert_eq!(now.last(), Some(&f64::from(round * 4)), "the last bucket counts all");
        before = now;
    }
}
