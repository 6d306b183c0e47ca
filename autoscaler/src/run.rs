//! Puts the parts together: the loop, the status server, and their common end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use shared::serve::{self, Limits};
use tokio::{net::TcpListener, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    clock,
    collector::Collector,
    dashboard::Window,
    figures,
    history::{Keeper, follow::follow},
    http,
    notify::{Notifier, Pace},
    operate::Operator,
    round::Rounder,
    settings::Settings,
    swarm::Engine,
};

/// For the last notices, once the rounds have ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A program that is ready to run.
#[derive(Debug)]
pub struct Program {
    listener: TcpListener,
    app: axum::Router,
    rounder: Rounder<Engine>,
    notifier: Option<Notifier>,
    past: Option<Keeper>,
    board: Arc<Board>,
    settings: Settings,
}

/// Binds the status server and prepares the loop.
pub fn build(settings: Settings) -> anyhow::Result<Program> {
    let prom = shared::prom::install().context("cannot install the metrics recorder")?;
    figures::describe();
    let listener = serve::bind(settings.listen).with_context(|| format!("cannot listen on {}", settings.listen))?;
    let board = Arc::new(Board::default());
    let engine = Engine::new(&settings.docker_socket).context("cannot prepare the engine's client")?;
    let collector = Collector::new(&settings.collector_url).context("cannot prepare the collector's client")?;
    let operator = Operator::new(engine.clone(), Arc::clone(&board), settings.defaults.clone(), settings.stack.clone());
    let (watched, heard) = (engine.clone(), collector.clone());
    let rounder =
        Rounder::new(engine, collector, settings.defaults.clone(), settings.stack.clone(), Arc::clone(&board));
    let past = settings.history.clone().map(|place| Keeper::start(place, Arc::clone(&board), clock::now_ms()));
    let past = past.transpose().context("cannot start the history's thread")?;
    let rounder = rounder.with_past(past.clone());
    let notifier = settings.webhook.clone().map(|webhook| Notifier::new(webhook, Pace::default()));
    let notifier = notifier.transpose().context("cannot prepare the webhook's client")?;
    if notifier.is_some() {
        figures::notices();
    }
    let window = Window::new(Arc::clone(&board), watched, heard, past.clone(), &settings);
    let app = http::router(window, operator, &settings, prom);
    Ok(Program { listener, app, rounder, notifier, past, board, settings })
}

impl Program {
    /// Where the status server listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Runs until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let server = serve::serve(self.listener, self.app, Limits::default(), stop.clone());
        let notices = notify(self.notifier, Arc::clone(&self.board), stop.clone());
        let past = async {
            if let Some(keeper) = self.past {
                follow(Arc::clone(&self.board), keeper).await;
            }
        };
        let rounds = async {
            rounds(self.rounder, &self.settings, stop).await;
            self.board.close();
        };
        // Whoever listens to the board does so before the first round.
        tokio::join!(notices, past, server, rounds);
    }
}

/// Notifies until the board is closed and all is delivered, but not much longer than the rest runs.
async fn notify(notifier: Option<Notifier>, board: Arc<Board>, stop: CancellationToken) {
    let Some(notifier) = notifier else { return };
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = notifier.run(board) => {}
        () = too_late => tracing::warn!("stopping with notices that were not delivered"),
    }
}

async fn rounds(mut rounder: Rounder<Engine>, settings: &Settings, stop: CancellationToken) {
    let mut tick = tokio::time::interval(settings.check_interval);
    // A round that took too long is not made up for: the next one sees what there is then.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        // A round is dropped at the signal: whatever it has written, the label says so.
        tokio::select! {
            () = stop.cancelled() => return,
            () = rounder.run(clock::now_ms()) => {}
        }
    }
}
