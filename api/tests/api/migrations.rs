//! The schema, however many start at once and in whatever order versions come and go.

use futures_util::future::join_all;

use crate::{servers::eventually, stack::Stack};

#[tokio::test]
async fn many_instances_at_once_on_an_empty_database_make_one_schema() {
    let stack = Stack::on_empty_database().await;
    let apis: Vec<_> = (0..5).map(|_| stack.start(&[("DB_POOL_SIZE", "2")])).collect();
    join_all(apis.iter().map(|api| api.until_health("ok"))).await;
    let pool = apis[0].state.database.writer().unwrap();
    let applied: i64 =
        sqlx::query_scalar("select count(*) from _sqlx_migrations where success").fetch_one(&pool).await.unwrap();
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    assert_eq!(usize::try_from(applied).unwrap(), files, "each once");
    apis[4].user().await.item("it works").await;
}

#[tokio::test]
async fn a_version_before_the_latest_migration_still_starts() {
    let stack = Stack::on_empty_database().await;
    let newer = stack.ready(&[]).await;
    newer
        .sql(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'of a later release', true, 'x', 1)",
        )
        .await;
    let older = stack.ready(&[]).await;
    older.user().await;
}

#[tokio::test]
async fn a_database_that_goes_in_the_middle_is_migrated_when_it_is_back() {
    let stack = Stack::on_empty_database().await;
    stack.postgres.freeze();
    let api = stack.start(&[]);
    eventually("the probe has given up", async || {
        let health = crate::client::get(&api.base, "/api/health").await.json();
        (health["dependencies"]["postgres"]["state"] == "down").then_some(())
    })
    .await;
    stack.postgres.cut();
    stack.postgres.open();
    api.until_health("ok").await;
    api.user().await;
}
