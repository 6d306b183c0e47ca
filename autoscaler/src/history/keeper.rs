//! The thread that alone touches the file, and the handle by which everybody else asks it.
//! Nobody waits for it: what is to be written is handed over, or given up and counted. A file
//! that cannot be used is set aside and a new one begun; one that cannot be written is tried
//! again after a while; both are said in the log, on `/health` and as figures.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

use super::{
    Place, Recording, Store, StoreError,
    point::thinned,
    store::{Batch, FILE},
};
use crate::{
    board::{Board, MOST_EVENTS},
    figures,
    scaling::Foresight,
};

/// Batches and questions that may wait while the disk is slow.
const MOST_WAITING: usize = 16;

/// Questions at once; more would keep the batches waiting.
const MOST_QUESTIONS: usize = 4;

/// For an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// For the last batch, when the program ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Before a file that could not be written is tried again.
const RETRY_MS: u64 = 60_000;

/// How often the file is tidied up: once in the width of a thinned point.
const TIDY_MS: u64 = 300_000;

/// A file that could not be used is kept beside the new one under this name.
pub const SET_ASIDE: &str = "history.redb.broken";

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

enum Ask {
    Record { batch: Batch, now_ms: u64 },
    Recall { service: String, answer: oneshot::Sender<Foresight> },
    Query { query: Query, answer: oneshot::Sender<Result<Recording, QueryError>> },
    Close { answer: oneshot::Sender<()> },
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Keeper {
    asks: SyncSender<Ask>,
    questions: Arc<Semaphore>,
    troubles: Arc<Troubles>,
    spacing_ms: u64,
}

/// What is wrong; shared by the thread and the handles.
#[derive(Debug, Default)]
struct Troubles(Mutex<Wrong>);

#[derive(Debug, Default)]
struct Wrong {
    failure: Option<String>,
    set_aside: Option<PathBuf>,
}

impl Troubles {
    fn lock(&self) -> MutexGuard<'_, Wrong> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is written from now on; said once until it changes.
    fn begin(&self, failure: &str) {
        figures::history_kept(false);
        if self.lock().failure.replace(failure.to_owned()).as_deref() != Some(failure) {
            tracing::error!(failure, "no history is kept; scaling goes on");
        }
    }

    fn end(&self) {
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
        let (asks, waiting) = sync_channel(MOST_WAITING);
        let (troubles, spacing_ms) = (Arc::<Troubles>::default(), place.limits.spacing_ms);
        let desk = Desk {
            place,
            troubles: Arc::clone(&troubles),
            store: None,
            board: Some(board),
            now_ms,
            retry_ms: 0,
            tidied_ms: 0,
        };
        std::thread::Builder::new().name("history".to_owned()).spawn(move || desk.work(&waiting))?;
        Ok(Self { asks, questions: Arc::new(Semaphore::new(MOST_QUESTIONS)), troubles, spacing_ms })
    }

    /// How far apart the points of one service are to be.
    #[must_use]
    pub fn spacing_ms(&self) -> u64 {
        self.spacing_ms
    }

    /// Hands a batch over.
    pub fn record(&self, batch: Batch, now_ms: u64) {
        let points = batch.points.len() as u64;
        if self.asks.try_send(Ask::Record { batch, now_ms }).is_err() {
            figures::history_lost(points);
            self.troubles.begin("the disk is too slow, points are lost");
        }
    }

    /// What the past of a service teaches, as soon as it is read.
    #[must_use]
    pub fn recall(&self, service: &str) -> oneshot::Receiver<Foresight> {
        let (answer, foresight) = oneshot::channel();
        // When it cannot be asked, the sender is dropped, which is an answer as well.
        let _ = self.asks.try_send(Ask::Recall { service: service.to_owned(), answer });
        foresight
    }

    /// A part of the history.
    pub async fn query(&self, query: Query) -> Result<Recording, QueryError> {
        let _turn = self.questions.try_acquire().map_err(|_| QueryError::Busy)?;
        let (answer, recording) = oneshot::channel();
        self.asks.try_send(Ask::Query { query, answer }).map_err(|_| QueryError::Busy)?;
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
        let asked = self.asks.try_send(Ask::Close { answer }).is_ok();
        if !asked || tokio::time::timeout(LAST_WORDS, closed).await.is_err() {
            tracing::warn!("stopping with a history that is not written to its end");
        }
    }
}

/// What the thread has before it.
struct Desk {
    place: Place,
    troubles: Arc<Troubles>,
    store: Option<Store>,
    /// Until it has been given the decisions of former lives.
    board: Option<Arc<Board>>,
    now_ms: u64,
    retry_ms: u64,
    tidied_ms: u64,
}

impl Desk {
    fn work(mut self, waiting: &Receiver<Ask>) {
        self.with_store(|_| Ok(()));
        for ask in waiting {
            // Whoever asked may have given up waiting for the answer.
            match ask {
                Ask::Record { batch, now_ms } => self.record(&batch, now_ms),
                Ask::Recall { service, answer } => {
                    if let Some(foresight) = self.with_store(|store| recall(store, &service)) {
                        let _ = answer.send(foresight);
                    }
                }
                Ask::Query { query, answer } => {
                    let found = self.with_store(|store| look_up(store, &query));
                    let _ = answer.send(found.unwrap_or(Err(QueryError::Broken)));
                }
                Ask::Close { answer } => {
                    self.store = None;
                    self.retry_ms = u64::MAX;
                    let _ = answer.send(());
                }
            }
        }
    }

    fn record(&mut self, batch: &Batch, now_ms: u64) {
        self.now_ms = now_ms;
        if batch.points.is_empty() && batch.decisions.is_empty() {
            return;
        }
        if self.with_store(|store| store.append(batch)).is_none() {
            figures::history_lost(batch.points.len() as u64);
            return;
        }
        self.troubles.end();
        if now_ms.abs_diff(self.tidied_ms) >= TIDY_MS {
            self.tidied_ms = now_ms;
            self.with_store(|store| store.tidy(now_ms));
            self.look_for_set_aside();
        }
        let bytes = fs::metadata(self.place.directory.join(FILE)).map_or(0, |file| file.len());
        figures::history_bytes(bytes);
    }

    /// Does something with the file, which is opened first if need be.
    fn with_store<T>(&mut self, act: impl FnOnce(&mut Store) -> Result<T, StoreError>) -> Option<T> {
        if self.store.is_none() {
            self.open();
        }
        let store = self.store.as_mut()?;
        match guarded(|| act(store)) {
            Ok(done) => Some(done),
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    fn open(&mut self) {
        if self.now_ms < self.retry_ms {
            return;
        }
        let Place { directory, limits } = self.place.clone();
        let mut opened = guarded(|| Store::open(&directory, limits));
        if let Err(error @ StoreError::Unusable(_)) = &opened {
            opened = self.set_aside(error).and_then(|()| guarded(|| Store::open(&directory, limits)));
        }
        match opened {
            Ok(store) => {
                self.store = Some(store);
                self.look_for_set_aside();
                self.restore_decisions();
            }
            Err(error) => self.fail(&error),
        }
    }

    fn restore_decisions(&mut self) {
        let Some(board) = self.board.take() else { return };
        let events = self.with_store(|store| store.reader()?.decisions(MOST_EVENTS));
        board.restore(events.unwrap_or_default());
    }

    /// Gives the file up for now, or for good when it is of no use.
    fn fail(&mut self, error: &StoreError) {
        let store = self.store.take();
        let _ = guarded(|| {
            drop(store);
            Ok(())
        });
        if matches!(error, StoreError::Unusable(_)) && self.set_aside(error).is_ok() {
            // The next one to ask begins a new file.
            return;
        }
        self.retry_ms = self.now_ms.saturating_add(RETRY_MS);
        self.troubles.begin(&error.to_string());
    }

    fn set_aside(&self, error: &StoreError) -> Result<(), StoreError> {
        let (from, to) = (self.place.directory.join(FILE), self.place.directory.join(SET_ASIDE));
        fs::rename(&from, &to).map_err(|cause| StoreError::Failed(format!("{error}, nor set aside: {cause}")))?;
        figures::history_set_aside();
        tracing::error!(%error, kept_as = %to.display(), "the history cannot be used, a new one is begun");
        Ok(())
    }

    /// As long as the old file lies there, nobody has looked at it.
    fn look_for_set_aside(&self) {
        let path = self.place.directory.join(SET_ASIDE);
        self.troubles.lock().set_aside = Path::exists(&path).then_some(path);
    }
}

/// A page that was damaged on the disk can make the library panic; then it is of no use either.
fn guarded<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let caught = catch_unwind(AssertUnwindSafe(act));
    caught.unwrap_or_else(|_| Err(StoreError::Unusable("reading it came to a sudden end".to_owned())))
}

fn recall(store: &Store, service: &str) -> Result<Foresight, StoreError> {
    let reader = store.reader()?;
    let start_up_ms = reader.profile(service)?.and_then(|profile| profile.start_up_ms);
    let points = reader.points(service, 0, u64::MAX)?;
    let past = points.into_iter().map(|point| {
        let totals = point.work.into_iter().map(|(metric, work)| (metric, work.total));
        (point.at_ms, totals.collect())
    });
    Ok(Foresight::recall(past.collect(), start_up_ms))
}

fn look_up(store: &Store, query: &Query) -> Result<Result<Recording, QueryError>, StoreError> {
    let reader = store.reader()?;
    let Query { names, from_ms, to_ms, most } = query;
    for name in names {
        if let Some(profile) = reader.profile(name)? {
            let second = 1000;
            let step_ms = (to_ms.saturating_sub(*from_ms)).div_ceil((*most).max(1)).next_multiple_of(second);
            let points = thinned(reader.points(name, *from_ms, *to_ms)?, *from_ms, step_ms);
            let (service, profile) = (name.clone(), Some(profile));
            return Ok(Ok(Recording { service, from_ms: *from_ms, to_ms: *to_ms, step_ms, profile, points }));
        }
    }
    Ok(Err(QueryError::Unknown))
}
