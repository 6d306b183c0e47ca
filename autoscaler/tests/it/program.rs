//! The whole program, loop and status server, on a port of its own.

use std::{net::SocketAddr, time::Duration};

use autoscaler::{run, settings::Settings};
use reqwest::{Client, Method};
use serde_json::Value;
use shared::env::Env;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{engine::FakeEngine, snapshots::FakeCollector};

/// What unlocks the calls that change something.
pub(crate) const TOKEN: &str = "let-me-in";

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) program: tokio::task::JoinHandle<()>,
    pub(crate) client: Client,
}

impl Running {
    pub(crate) async fn start(engine: &FakeEngine, collector: &FakeCollector) -> Self {
        Self::start_with(engine, collector, &[]).await
    }

    /// The same with more settings, or with others in place of the usual ones.
    pub(crate) async fn start_with(engine: &FakeEngine, collector: &FakeCollector, more: &[(&str, &str)]) -> Self {
        let usual = [
            ("BIND_ADDRESS", "127.0.0.1"),
            ("CHECK_INTERVAL", "0.1"),
            ("STACK_NAME", "s"),
            ("ADMIN_TOKEN", TOKEN),
            ("COLLECTOR_URL", &collector.url()),
            ("DOCKER_SOCKET", engine.socket.to_str().unwrap()),
        ];
        let usual = usual.into_iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        let env = Env::from_pairs(usual.chain(more.iter().copied()));
        let mut settings = Settings::from_env(env).unwrap();
        settings.listen.set_port(0);
        let program = {
            // The recorder belongs to the process, and two at once cannot both install it.
            static INSTALLING: Mutex<()> = Mutex::const_new(());
            let _one_at_a_time = INSTALLING.lock().await;
            run::build(settings).unwrap()
        };
        let (address, stop) = (program.address().unwrap(), CancellationToken::new());
        let program = tokio::spawn(program.run(stop.clone()));
        Self { address, stop, program, client: Client::new() }
    }

    pub(crate) async fn call(&self, method: Method, path: &str) -> (u16, String) {
        let response = self.client.request(method, format!("http://{}{path}", self.address)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, text) = self.call(Method::GET, path).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let asked = async {
            loop {
                let answer = self.get(path).await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap()
    }
}

#[allow(clippy::disallowed_methods, reason = "the program under test asks the real clock")]
pub(crate) fn now_ms() -> u64 {
    u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap()
}
