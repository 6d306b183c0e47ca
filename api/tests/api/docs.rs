//! The description of the API and its page.

use crate::{client::get, stack::Stack};

#[tokio::test]
async fn the_description_is_openapi_3_1_and_lists_every_route() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let answer = get(&api.base, "/api/openapi.json").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut routes: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    routes.sort_unstable();
    assert_eq!(
        routes,
        [
            "delete /api/items/{id}",
            "get /api/health",
            "get /api/health/live",
            "get /api/items",
            "get /api/items/{id}",
            "get /api/users/me",
            "post /api/auth/login",
            "post /api/auth/logout",
            "post /api/auth/refresh",
            "post /api/auth/register",
            "post /api/items",
            "put /api/items/{id}",
        ]
    );
    assert_eq!(document["paths"]["/api/items"]["get"]["security"][0]["bearer"], serde_json::json!([]));
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    // Every reference leads somewhere.
    for reference in answer.text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let page = get(&api.base, "/api/docs").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    for (path, kind) in
        [("/api/docs", "text/html"), ("/api/docs/page.js", "text/javascript"), ("/api/docs/page.css", "text/css")]
    {
        let part = get(&api.base, path).await.expect(200);
        assert!(part.header("content-type").starts_with(kind), "{part:?}");
        let policy = part.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(part.header("x-content-type-options"), "nosniff");
        assert!(!part.text.contains("https://") && !part.text.contains("http://"), "{path} names another host");
        assert!(path == "/api/docs" || page.text.contains(path), "the page does not use {path}");
    }
    assert!(!page.text.contains("<style") && !page.text.contains("onclick"), "the policy would refuse it");
}
