//! Notices to a webhook that is a real server, in good and in bad health.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use autoscaler::notify::{Format, Notifier, Pace, webhook::Webhook};
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
    server::TlsStream,
};

use crate::{
    engine::FakeEngine,
    history::Directory,
    lookback::Process,
    program::{Running, now_ms},
    rounds::{START, Stage, labels},
    snapshots::{FakeCollector, snapshot},
};

/// What a webhook does with the next call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Answer(u16),
    Hang,
}

#[derive(Debug, Clone, Default)]
struct FakeHook {
    url: String,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    /// Every body, of answered and unanswered calls.
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl FakeHook {
    /// A webhook that takes the next calls in these moods, and all others well.
    async fn start(moods: &[Mood]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/T0/s3cret", listener.local_addr().unwrap());
        let hook = Self { url, moods: Arc::new(Mutex::new(moods.iter().copied().collect())), ..Self::default() };
        let app = hook.app();
        tokio::spawn(async move { axum::serve(listener, app).await });
        hook
    }

    /// A webhook over TLS, and the certificate that it shows.
    async fn start_tls() -> (Self, String) {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![key.cert.der().clone()], private).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/T0/s3cret", listener.local_addr().unwrap().port());
        let hook = Self { url, ..Self::default() };
        let app = hook.app();
        let listener = TlsListener { listener, acceptor: Arc::new(config).into() };
        tokio::spawn(async move { axum::serve(listener, app).await });
        (hook, key.cert.pem())
    }

    fn app(&self) -> Router {
        Router::new().route("/T0/s3cret", post(take)).with_state(self.clone())
    }

    /// Everything that has come, once it is as wanted.
    async fn until(&self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let asked = async {
            loop {
                let bodies = self.bodies.lock().unwrap().clone();
                if wanted(&bodies) {
                    return bodies;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), asked).await;
        waited.unwrap_or_else(|_| panic!("{:#?}", self.bodies.lock().unwrap()))
    }

    /// Notifies of what happens on the stage.
    fn attach(&self, stage: &Stage) -> tokio::task::JoinHandle<()> {
        let pace = Pace { timeout: Duration::from_millis(200), pause: Duration::from_millis(20), tries: 3 };
        let webhook = Webhook::new(self.url.clone().into(), Format::Json, Duration::ZERO).unwrap();
        tokio::spawn(Notifier::new(webhook, pace).unwrap().run(Arc::clone(&stage.board)))
    }
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // Who does not trust the certificate goes away.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn take(State(hook): State<FakeHook>, Json(body): Json<Value>) -> StatusCode {
    hook.bodies.lock().unwrap().push(body);
    let mood = hook.moods.lock().unwrap().pop_front();
    match mood.unwrap_or(Mood::Answer(200)) {
        Mood::Answer(status) => StatusCode::from_u16(status).unwrap(),
        Mood::Hang => std::future::pending().await,
    }
}

/// A stage whose notices go to the hook; the notifier listens before anything happens.
async fn stage(hook: &FakeHook) -> (Stage, tokio::task::JoinHandle<()>) {
    let stage = Stage::new().await;
    let notifier = hook.attach(&stage);
    tokio::task::yield_now().await;
    (stage, notifier)
}

fn kinds(bodies: &[Value]) -> Vec<&str> {
    bodies.iter().map(|body| body["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_step_and_the_maximum_are_told_with_their_reason() {
    let hook = FakeHook::start(&[]).await;
    let (mut stage, notifier) = stage(&hook).await;
    stage.engine.add("s_web", 4, labels());
    stage.round(START, 90.0).await;
    let bodies = hook.until(|bodies| bodies.len() == 2).await;
    let step = bodies.iter().find(|body| body["kind"] == "scaled").unwrap();
    assert_eq!(
        (step["service"].as_str(), step["from"].as_u64(), step["to"].as_u64()),
        (Some("s_web"), Some(4), Some(5))
    );
    assert_eq!((step["reason"].as_str(), step["at_ms"].as_u64()), (Some("cpu_high"), Some(START)));
    assert!(step["text"].as_str().unwrap().starts_with("s_web: from 4 to 5: cpu 90.0 %"), "{step}");
    let most = bodies.iter().find(|body| body["kind"] == "at_maximum").unwrap();
    assert!(most["text"].as_str().unwrap().starts_with("s_web: has reached its maximum"), "{most}");
    stage.round(START + 60_000, 90.0).await;
    stage.board.close();
    notifier.await.unwrap();
    assert_eq!(hook.bodies.lock().unwrap().len(), 2, "what stays as it is, is not told again");
}

#[tokio::test]
async fn wrong_labels_and_blindness_are_told_and_so_is_its_end() {
    let hook = FakeHook::start(&[]).await;
    let (mut stage, _notifier) = stage(&hook).await;
    stage.engine.add("s_web", 2, labels());
    stage.engine.change("s_web", |spec| spec["Labels"]["swarm.autoscaler.maximun"] = json!("9"));
    stage.round(START, 50.0).await;
    let bodies = hook.until(|bodies| bodies.len() == 1).await;
    assert_eq!(bodies[0]["text"], "s_web: left alone: swarm.autoscaler.maximun: no such label");
    stage.collector.fall_silent();
    let mut now = START;
    while hook.bodies.lock().unwrap().len() < 2 {
        now += 60_000;
        assert!(now < START + 60_000_000, "it is never told");
        stage.rounder.run(now).await;
    }
    stage.round(now + 60_000, 50.0).await;
    let bodies = hook.until(|bodies| bodies.len() == 3).await;
    assert_eq!(kinds(&bodies), ["label_errors", "blind", "sighted"]);
    assert!(bodies[1]["service"].is_null() && bodies[1]["text"].as_str().unwrap().contains("503"), "{bodies:?}");
}

#[tokio::test]
async fn a_hook_in_trouble_is_tried_again_and_what_is_lost_is_counted() {
    // The first notice is refused, then not answered, then taken. The second is never taken.
    let never = [Mood::Answer(500); 3];
    let moods = [&[Mood::Answer(500), Mood::Hang, Mood::Answer(204)], &never[..]].concat();
    let hook = FakeHook::start(&moods).await;
    let (mut stage, _notifier) = stage(&hook).await;
    stage.engine.add("s_web", 2, labels());
    for (number, calls) in [(0, 3), (1, 6), (2, 8)] {
        stage.round(START + number * 60_000, 95.0).await;
        hook.until(|bodies| bodies.len() == calls).await;
    }
    let bodies = hook.bodies.lock().unwrap().clone();
    let missed: Vec<_> = bodies.iter().map(|body| body["missed"].as_u64().unwrap()).collect();
    // The last two are the step to the maximum and the maximum.
    assert_eq!(missed, [0, 0, 0, 0, 0, 0, 1, 0]);
    assert!(bodies[..3].iter().all(|body| body == &bodies[0]), "{bodies:?}");
}

#[tokio::test]
async fn what_the_hook_will_never_take_is_not_tried_again() {
    let hook = FakeHook::start(&[Mood::Answer(404)]).await;
    let (mut stage, notifier) = stage(&hook).await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 95.0).await;
    stage.board.close();
    notifier.await.unwrap();
    assert_eq!(hook.bodies.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_hook_that_hangs_delays_neither_a_round_nor_the_end() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_hooked", 2, labels());
    collector.say(&snapshot("s_hooked", now_ms(), &[90.0, 90.0]));
    let hook = FakeHook::start(&[Mood::Hang; 99]).await;
    let running = Running::start_with(&engine, &collector, &[("WEBHOOK_URL", &hook.url)]).await;
    hook.until(|bodies| kinds(bodies).contains(&"scaled")).await;
    let health = running.get("/health").await;
    let seen = health["last_round_ms"].as_u64();
    let asked_at = now_ms();
    running.until("/health", |health| health["last_round_ms"].as_u64() > seen.map(|ms| ms + 300)).await;
    assert!(now_ms() - asked_at < 3_000, "rounds of 100 ms are held up");
    let (_, metrics) = running.call(Method::GET, "/metrics").await;
    assert!(metrics.contains("autoscaler_notices_total{kind=\"blind\",outcome=\"failed\"} 0"), "{metrics}");
    running.stop.cancel();
    tokio::time::timeout(Duration::from_secs(4), running.program).await.unwrap().unwrap();
}

#[tokio::test]
async fn slack_gets_a_text_from_an_address_in_a_file() {
    let (engine, collector) = (FakeEngine::start().await, FakeCollector::start().await);
    engine.add("s_slack", 2, labels());
    collector.say(&snapshot("s_slack", now_ms(), &[90.0, 90.0]));
    let hook = FakeHook::start(&[]).await;
    let file = std::env::temp_dir().join(format!("webhook-{}", std::process::id()));
    std::fs::write(&file, format!("{}\n", hook.url)).unwrap();
    let more = [("WEBHOOK_URL_FILE", file.to_str().unwrap()), ("WEBHOOK_FORMAT", "slack")];
    let running = Running::start_with(&engine, &collector, &more).await;
    std::fs::remove_file(&file).unwrap();
    let bodies = hook.until(|bodies| !bodies.is_empty()).await;
    assert!(bodies[0]["text"].as_str().unwrap().starts_with("s_slack: from 2 to 3: cpu 90.0 %"), "{bodies:?}");
    assert_eq!(bodies[0].as_object().unwrap().len(), 1);
    running.until("/health", |health| health["status"] == "ok").await;
    let (_, metrics) = running.call(Method::GET, "/metrics").await;
    assert!(metrics.contains("autoscaler_notices_total{kind=\"scaled\",outcome=\"sent\"}"), "{metrics}");
    running.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_behind_tls_is_told_if_its_certificate_is_trusted_and_only_then() {
    let (hook, certificate) = FakeHook::start_tls().await;
    let (mut stage, notifier) = stage(&hook).await;
    stage.engine.add("s_web", 2, labels());
    stage.round(START, 95.0).await;
    stage.board.close();
    notifier.await.unwrap();
    assert_eq!(hook.bodies.lock().unwrap().len(), 0, "the system does not know this certificate");

    let (engine, collector, directory) = (FakeEngine::start().await, FakeCollector::start().await, Directory::new());
    let trusted = directory.0.join("trusted.pem");
    std::fs::write(&trusted, certificate).unwrap();
    engine.add("s_web", 2, labels());
    collector.say(&snapshot("s_web", now_ms(), &[95.0, 95.0]));
    let more = [("WEBHOOK_URL", hook.url.as_str()), ("SSL_CERT_FILE", trusted.to_str().unwrap())];
    let _process = Process::start(&engine, &collector, &more, None);
    let bodies = hook.until(|bodies| !bodies.is_empty()).await;
    assert_eq!(kinds(&bodies), ["scaled"]);
}
