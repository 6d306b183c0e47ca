//! What must hold before any other server was ever reached.

use api::settings::Settings;
use shared::env::Env;
use tokio_util::sync::CancellationToken;

use crate::stack::bind;

#[tokio::test]
async fn without_any_database_it_lives_and_says_that_it_is_starting() {
    let settings = Settings::from_env(Env::from_pairs([
        ("BIND_ADDRESS", "127.0.0.1"),
        ("DB_HOST", "primary.invalid"),
        ("DB_PASSWORD", "password"),
        ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        ("DRAIN_SECONDS", "0"),
    ]));
    let mut settings = settings.unwrap();
    settings.listen.set_port(0);
    let stop = CancellationToken::new();
    let server = bind(settings, stop.clone());
    let address = server.address();
    let server = tokio::spawn(server.run());

    let live = reqwest::get(format!("http://{address}/api/health/live")).await.unwrap();
    assert_eq!(live.status(), 200);
    let health = reqwest::get(format!("http://{address}/api/health")).await.unwrap();
    assert_eq!(health.status(), 503);
    assert_eq!(health.json::<serde_json::Value>().await.unwrap()["status"], "starting");

    stop.cancel();
    server.await.unwrap();
}
