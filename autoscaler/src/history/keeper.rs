//! The thread that alone touches the file, and the handle by which everybody else asks it.
//! Nobody waits for it: what is to be written is handed over, or given up and counted. A file
//! that cannot be used is set aside and a new one begun; one that cannot be written is tried
//! again after a while; both are said in the log, on `/health` and as figures.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Place, Recording, desk::Desk, store::Batch};
use crate::{board::Board, figures, scaling::Foresight};

/// Batches that may wait while the disk is slow.
const MOST_BATCHES: usize = 16;

/// Questions at once; more would keep the batches waiting.
const MOST_QUESTIONS: usize = 4;

/// For an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// For the last batch, when the program ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Which part of the history is asked for.
#[derive(Debug, Clone)]
pub struct Query {
    /// The service, by any of these names.
    pub names: Vec<String>,
    /// The beginning.
    pub from_ms: u64,
    /// The end.
    pub to_ms: u64,
    /// Points at most.
    pub most: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Nothing was ever recorded of it.
    #[error("nothing is recorded of such a service")]
    Unknown,
    /// Too many ask at once, or the disk is too slow.
    #[error("the history is busy, ask again")]
    Busy,
    /// It cannot be read.
    #[error("the history cannot be read: the log tells why")]
    Broken,
}

/// What the thread is asked.
pub(super) enum Ask {
    Record { batch: Batch, now_ms: u64, _place: OwnedSemaphorePermit },
    Recall { service: String, answer: oneshot::Sender<Foresight> },
    Query { query: Query, answer: oneshot::Sender<Result<Recording, QueryError>> },
    Close { answer: oneshot::Sender<()> },
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// Unbounded by itself: batches and questions take a place, and a service recalls once.
    asks: Sender<Ask>,
    batches: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    troubles: Arc<Troubles>,
    spacing_ms: u64,
}

/// What is wrong; shared by the thread and the handles.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Wrong>);

#[derive(Debug, Default)]
pub(super) struct Wrong {
    failure: Option<String>,
    pub(super) set_aside: Option<PathBuf>,
}

impl Troubles {
    pub(super) fn lock(&self) -> MutexGuard<'_, Wrong> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is written from now on; said once until it changes.
    pub(super) fn begin(&self, failure: &str) {
        figures::history_kept(false);
        if self.lock().failure.replace(failure.to_owned()).as_deref() != Some(failure) {
            tracing::error!(failure, "no history is kept; scaling goes on");
        }
    }

    /// Everything is written again.
    pub(super) fn end(&self) {
        figures::history_kept(true);
        if self.lock().failure.take().is_some() {
            tracing::info!("the history is kept again");
        }
    }
}

impl Keeper {
    /// Starts the thread. Decisions of former lives appear on the board once they are read.
    pub fn start(place: Place, board: Arc<Board>, now_ms: u64) -> std::io::Result<Self> {
        figures::history();
        let (asks, waiting) = channel();
        let (troubles, spacing_ms) = (Arc::<Troubles>::default(), place.limits.spacing_ms);
        let desk = Desk::new(place, Arc::clone(&troubles), board, now_ms);
        std::thread::Builder::new().name("history".to_owned()).spawn(move || desk.work(&waiting))?;
        let (batches, questions) = (Semaphore::new(MOST_BATCHES), Semaphore::new(MOST_QUESTIONS));
        Ok(Self { asks, batches: Arc::new(batches), questions: Arc::new(questions), troubles, spacing_ms })
    }

    /// How far apart the points of one service are to be.
    #[must_use]
    pub fn spacing_ms(&self) -> u64 {
        self.spacing_ms
    }

    /// Hands a batch over.
    pub fn record(&self, batch: Batch, now_ms: u64) {
        let points = batch.points.len() as u64;
        let place = Arc::clone(&self.batches).try_acquire_owned().ok();
        let asked = place.is_some_and(|_place| self.asks.send(Ask::Record { batch, now_ms, _place }).is_ok());
        if !asked {
            figures::history_lost(points);
            self.troubles.begin("the disk is too slow, points are lost");
        }
    }

    /// What the past of a service teaches, as soon as it is read.
    #[must_use]
    pub fn recall(&self, service: &str) -> oneshot::Receiver<Foresight> {
        let (answer, foresight) = oneshot::channel();
        // When it cannot be asked, the sender is dropped, which is an answer as well.
        let _ = self.asks.send(Ask::Recall { service: service.to_owned(), answer });
        foresight
    }

    /// A part of the history.
    pub async fn query(&self, query: Query) -> Result<Recording, QueryError> {
        let _turn = self.questions.try_acquire().map_err(|_| QueryError::Busy)?;
        let (answer, recording) = oneshot::channel();
        self.asks.send(Ask::Query { query, answer }).map_err(|_| QueryError::Broken)?;
        let waited = tokio::time::timeout(TIMEOUT, recording).await.map_err(|_| QueryError::Busy)?;
        waited.map_err(|_| QueryError::Broken)?
    }

    /// What is wrong, as sentences.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let wrong = self.troubles.lock();
        let failure = wrong.failure.as_ref().map(|failure| format!("no history is kept: {failure}"));
        let aside = wrong.set_aside.as_ref().map(|path| {
            format!("the history could not be used and was begun anew; the old file is {}: delete it", path.display())
        });
        failure.into_iter().chain(aside).collect()
    }

    /// Waits a moment until everything that was handed over is written.
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        let asked = self.asks.send(Ask::Close { answer }).is_ok();
        if !asked || tokio::time::timeout(LAST_WORDS, closed).await.is_err() {
            tracing::warn!("stopping with a history that is not written to its end");
        }
    }
}
