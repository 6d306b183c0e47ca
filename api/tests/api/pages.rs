//! Lists of items, a page at a time.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{client::User, stack::Stack};

async fn page(user: &User, limit: usize, cursor: Option<&str>) -> Value {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    user.get(&format!("/api/items?limit={limit}{cursor}")).await.expect(200).json()
}

fn titles(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn no_item_comes_twice_or_is_lost_while_others_come_and_go() {
    let stack = Stack::new().await;
    let apis = [stack.ready(&[]).await, stack.ready(&[]).await];
    let user = apis[0].user().await;
    let other = user.at(&apis[1].base);
    join_all((0..23).map(|_| async { user.item("old").await })).await;
    let all: BTreeSet<String> = page(&user, 100, None).await["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(all.len(), 23);

    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    let mut rounds = 0;
    loop {
        let page = page(&other, 4, cursor.as_deref()).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() == 4 || page.get("next_cursor").is_none(), "a page is full or the last");
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        // What was sent goes, and something new comes, between any two pages.
        user.delete(&format!("/api/items/{}", seen.last().unwrap())).await.expect(204);
        user.item("new").await;
        rounds += 1;
        match page.get("next_cursor") {
            Some(next) => cursor = Some(next.as_str().unwrap().to_owned()),
            None => break,
        }
    }
    assert_eq!(rounds, 6);
    assert_eq!(seen.len(), 23, "nothing twice, and nothing that came later");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all, "nothing lost");
}

#[tokio::test]
async fn items_of_one_moment_keep_their_order() {
    let stack = Stack::on_empty_database().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    for i in 0..5 {
        user.item(&i.to_string()).await;
    }
    assert_eq!(titles(&page(&user, 3, None).await), ["4", "3", "2"], "newest first");
    api.sql("update items set created_at = '2024-01-01T00:00:00.000001Z'").await;
    let first = page(&user, 2, None).await;
    let second = page(&user, 2, first["next_cursor"].as_str()).await;
    let third = page(&user, 2, second["next_cursor"].as_str()).await;
    assert_eq!(third.get("next_cursor"), None);
    let mut all: Vec<String> = [first, second, third].iter().flat_map(titles).collect();
    all.sort_unstable();
    assert_eq!(all, ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_cursor_that_is_not_ours_is_refused_and_so_is_a_limit_beyond_bounds() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    for cursor in ["x", "", "%00", "'%20or%201=1--", &"A".repeat(34), "1"] {
        user.get(&format!("/api/items?cursor={cursor}")).await.problem(400);
    }
    for limit in ["0", "101", "-1", "many", "", "99999999999999999999"] {
        assert_eq!(user.get(&format!("/api/items?limit={limit}")).await.wrong_fields(), ["limit"], "{limit:?}");
    }
    assert_eq!(user.get("/api/items?limit=100&unknown=1").await.expect(200).json(), json!({ "items": [] }));
}
