//! The thread itself: it opens the file, writes, reads, tidies up, and tells what fails.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, mpsc::Receiver},
};

use super::{
    Place, Recording, Store, StoreError,
    keeper::{Ask, Query, QueryError, Troubles},
    point::thinned,
    store::{Batch, FILE},
};
use crate::{
    board::{Board, MOST_EVENTS},
    figures,
    scaling::Foresight,
};

/// Before a file that could not be written is tried again.
const RETRY_MS: u64 = 60_000;

/// How often the file is tidied up: once in the width of a thinned point.
const TIDY_MS: u64 = 300_000;

/// Points that are together in one are so of whole seconds.
const SECOND_MS: u64 = 1_000;

/// A file that could not be used is kept beside the new one under this name.
const SET_ASIDE: &str = "history.redb.broken";

/// What the thread has before it.
pub(super) struct Desk {
    place: Place,
    troubles: Arc<Troubles>,
    store: Option<Store>,
    /// Until it has been given the decisions of former lives.
    board: Option<Arc<Board>>,
    now_ms: u64,
    failed_ms: Option<u64>,
    closed: bool,
    tidied_ms: u64,
}

impl Desk {
    /// Nothing is opened yet. The board gets the decisions of former lives.
    pub(super) fn new(place: Place, troubles: Arc<Troubles>, board: Arc<Board>, now_ms: u64) -> Self {
        let board = Some(board);
        Self { place, troubles, store: None, board, now_ms, failed_ms: None, closed: false, tidied_ms: 0 }
    }

    /// Does what is asked until nobody can ask any more.
    pub(super) fn work(mut self, waiting: &Receiver<Ask>) {
        self.with_store(|_| Ok(()));
        for ask in waiting {
            // Whoever asked may have given up waiting for the answer.
            match ask {
                Ask::Record { batch, now_ms, _place } => self.record(&batch, now_ms),
                Ask::Recall { service, answer } => {
                    if let Some(foresight) = self.with_store(|store| recall(store, &service)) {
                        let _ = answer.send(foresight);
                    }
                }
                Ask::Query { answer, .. } if answer.is_closed() => {}
                Ask::Query { query, answer } => {
                    let found = self.with_store(|store| look_up(store, &query));
                    let _ = answer.send(found.unwrap_or(Err(QueryError::Broken)));
                }
                Ask::Close { answer } => {
                    self.store = None;
                    self.closed = true;
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
        match guarded(StoreError::Failed, || act(store)) {
            Ok(done) => Some(done),
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    fn open(&mut self) {
        let lately = self.failed_ms.is_some_and(|failed| self.now_ms.abs_diff(failed) < RETRY_MS);
        if lately || self.closed {
            return;
        }
        let Place { directory, limits } = self.place.clone();
        let open = || guarded(StoreError::Unusable, || Store::open(&directory, limits));
        let mut opened = open();
        if let Err(error @ StoreError::Unusable(_)) = &opened {
            opened = self.set_aside(error).and_then(|()| open());
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
        let _ = guarded(StoreError::Failed, || {
            drop(store);
            Ok(())
        });
        if matches!(error, StoreError::Unusable(_)) && self.set_aside(error).is_ok() {
            // The next one to ask begins a new file.
            return;
        }
        self.failed_ms = Some(self.now_ms);
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

/// A damaged page can make the library panic. When that happens on opening, the file is of no
/// use; later it is closed, and what opens it again will find out.
fn guarded<T>(
    kind: impl FnOnce(String) -> StoreError,
    act: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let caught = catch_unwind(AssertUnwindSafe(act));
    caught.unwrap_or_else(|_| Err(kind("it came to a sudden end".to_owned())))
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
            let step_ms = to_ms.saturating_sub(*from_ms).div_ceil((*most).max(1));
            let step_ms = step_ms.div_ceil(SECOND_MS).saturating_mul(SECOND_MS);
            let points = thinned(reader.points(name, *from_ms, *to_ms)?, *from_ms, step_ms);
            let (service, profile) = (name.clone(), Some(profile));
            return Ok(Ok(Recording { service, from_ms: *from_ms, to_ms: *to_ms, step_ms, profile, points }));
        }
    }
    Ok(Err(QueryError::Unknown))
}
