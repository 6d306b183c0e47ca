//! The id of each request.

use crate::{
    client::{get, send},
    stack::Stack,
};

#[tokio::test]
async fn a_sane_id_is_kept_and_a_hostile_one_replaced() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let ask = |id: Vec<u8>| {
        let id = reqwest::header::HeaderValue::from_bytes(&id).unwrap();
        send(reqwest::Client::new().get(format!("{}/api/users/me", api.base)).header("x-request-id", id))
    };
    for id in ["abc-DEF_123", &"a".repeat(64)] {
        let answer = ask(id.into()).await;
        assert_eq!(answer.header("x-request-id"), id);
        assert_eq!(answer.problem(401)["request_id"], id);
    }
    for id in [&b""[..], b"a b", b"{\"level\":\"error\"}", b"\xff\xfe", b"a;b", b"../..", &[b'a'; 65], &[b'a'; 6000]] {
        let answer = ask(id.into()).await;
        assert!(uuid::Uuid::parse_str(answer.header("x-request-id")).is_ok(), "{answer:?}");
        answer.problem(401);
    }
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let mut ids = std::collections::BTreeSet::new();
    for path in
        ["/api/health", "/api/health/live", "/metrics", "/api/docs", "/api/openapi.json", "/nowhere", "/api/items"]
    {
        let id = get(&api.base, path).await.header("x-request-id").to_owned();
        assert!(uuid::Uuid::parse_str(&id).is_ok(), "{path}: {id:?}");
        assert!(ids.insert(id), "{path} repeats an id");
    }
}
