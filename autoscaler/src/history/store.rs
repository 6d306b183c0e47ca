//! The file: a `redb` database with the points and profiles of all services, and the
//! decisions. Written in whole transactions, so that it is sound whenever the process ends.
//! Synchronous: only the keeper's own thread and the commands call it.

use std::{fs, io, path::Path};

use redb::{Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use redb::{Table, TableDefinition, TableError};
use serde::{Serialize, de::DeserializeOwned};

use super::{Limits, Point, Profile, point::thinned};
use crate::board::Event;

/// Name of the file in its directory.
pub const FILE: &str = "history.redb";

/// The number is of the shape of what is in them; another shape gets another number.
const POINTS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("points_1");
const PROFILES: TableDefinition<&str, &[u8]> = TableDefinition::new("profiles_1");
const DECISIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("decisions_1");
const MARKS: TableDefinition<&str, u64> = TableDefinition::new("marks_1");

/// Until when points are thinned out.
const THINNED_UNTIL: &str = "thinned_until_ms";

/// Width of a thinned point: what a seasonal forecast looks at.
const SLOT_MS: u64 = 300_000;

/// Decisions are few; these are weeks of them.
const MOST_DECISIONS: u64 = 20_000;

/// The default of 1 GiB is more than the whole file.
const CACHE_BYTES: usize = 4 << 20;

/// Why something could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What is there cannot be used, and will not be better later.
    #[error("the file cannot be used: {0}")]
    Unusable(String),
    /// It may pass: no space, no such directory, another process.
    #[error("{0}")]
    Failed(String),
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        use redb::Error as E;
        let foreign =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        match &error {
            E::Corrupted(_) | E::UpgradeRequired(_) | E::TableTypeMismatch { .. } | E::TypeDefinitionChanged { .. } => {
                Self::Unusable(error.to_string())
            }
            E::Io(io) if foreign(io) => Self::Unusable(error.to_string()),
            E::DatabaseAlreadyOpen => Self::Failed("another process has it open".to_owned()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// What one round adds.
#[derive(Debug, Default)]
pub struct Batch {
    /// Points with the names of their services.
    pub points: Vec<(String, Point)>,
    /// Profiles that are new or have changed.
    pub profiles: Vec<(String, Profile)>,
    /// Decisions, the oldest first.
    pub decisions: Vec<Event>,
}

/// The file, open for writing.
#[derive(Debug)]
pub struct Store {
    database: Database,
    limits: Limits,
}

impl Store {
    /// Opens or makes the file, and checks every byte of it.
    pub fn open(directory: &Path, limits: Limits) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::Failed(format!("{}: {error}", directory.display()));
        fs::create_dir_all(directory).map_err(failed)?;
        let file = directory.join(FILE);
        let foreign = fs::OpenOptions::new().append(true).open(&file);
        if foreign.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            take_over(&file).map_err(failed)?;
        }
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = builder.create(file).map_err(redb::Error::from)?;
        Ok(Self { database, limits })
    }

    /// Adds a batch; all of it or nothing.
    pub fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        Ok(self.try_append(batch)?)
    }

    fn try_append(&mut self, batch: &Batch) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut points = transaction.open_table(POINTS)?;
            for (service, point) in &batch.points {
                points.insert((service.as_str(), point.at_ms), encoded(point).as_slice())?;
            }
            let mut profiles = transaction.open_table(PROFILES)?;
            for (service, profile) in &batch.profiles {
                profiles.insert(service.as_str(), encoded(profile).as_slice())?;
            }
            let mut decisions = transaction.open_table(DECISIONS)?;
            let mut next = decisions.last()?.map_or(0, |(key, _)| key.value().saturating_add(1));
            for event in &batch.decisions {
                decisions.insert(next, encoded(event).as_slice())?;
                next = next.saturating_add(1);
            }
        }
        Ok(transaction.commit()?)
    }

    /// Thins out what is no longer young, and drops what is too old or too much.
    pub fn tidy(&mut self, now_ms: u64) -> Result<(), StoreError> {
        Ok(self.try_tidy(now_ms)?)
    }

    fn try_tidy(&mut self, now_ms: u64) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut points = transaction.open_table(POINTS)?;
            let mut profiles = transaction.open_table(PROFILES)?;
            let mut decisions = transaction.open_table(DECISIONS)?;
            let mut marks = transaction.open_table(MARKS)?;
            let services = keys(&profiles)?;

            let since = marks.get(THINNED_UNTIL)?.map_or(0, |mark| mark.value());
            let until = now_ms.saturating_sub(self.limits.fine_ms) / SLOT_MS * SLOT_MS;
            for service in &services {
                thin(&mut points, service, since, until)?;
            }
            // Also when the clock was set back: to thin out twice is to thin out once.
            marks.insert(THINNED_UNTIL, until)?;

            let mut oldest_kept = now_ms.saturating_sub(self.limits.age_ms);
            forget(&mut points, &services, oldest_kept)?;
            while bytes(&points)? > self.limits.bytes {
                let Some(oldest) = oldest(&points, &services)? else { break };
                // An eighth of the time at once: a file that is full must not be walked every round.
                oldest_kept = oldest + (now_ms.saturating_sub(oldest) / 8).max(SLOT_MS);
                forget(&mut points, &services, oldest_kept)?;
            }
            for service in &services {
                if points.range((service.as_str(), 0)..=(service.as_str(), u64::MAX))?.next().is_none() {
                    profiles.remove(service.as_str())?;
                }
            }
            let last = decisions.last()?.map_or(0, |(key, _)| key.value());
            decisions.retain_in(..last.saturating_sub(MOST_DECISIONS), |_, _| false)?;
        }
        Ok(transaction.commit()?)
    }

    /// A view of what is there now.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Ok(Reader(self.database.begin_read().map_err(redb::Error::from)?))
    }
}

/// A copy of our own in place of a file that may only be read: the user that the autoscaler
/// runs as has changed.
fn take_over(file: &Path) -> io::Result<()> {
    let copy = file.with_extension("copy");
    fs::write(&copy, fs::read(file)?)?;
    fs::rename(copy, file)
}

/// A view that does not change.
#[derive(Debug)]
pub struct Reader(ReadTransaction);

impl Reader {
    /// A view of a file that no autoscaler uses at the moment. Nothing of it is changed.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let database = ReadOnlyDatabase::open(file).map_err(|error| match error.into() {
            redb::Error::RepairAborted => {
                StoreError::Failed("it was not closed: an autoscaler that is started on it mends that".to_owned())
            }
            error => StoreError::from(error),
        })?;
        Ok(Self(database.begin_read().map_err(redb::Error::from)?))
    }

    /// The names of all services.
    pub fn services(&self) -> Result<Vec<String>, StoreError> {
        match self.0.open_table(PROFILES) {
            Ok(table) => Ok(keys(&table)?),
            Err(TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
            Err(error) => Err(redb::Error::from(error).into()),
        }
    }

    /// What is known of a service.
    pub fn profile(&self, service: &str) -> Result<Option<Profile>, StoreError> {
        let read = || match self.0.open_table(PROFILES) {
            Ok(table) => Ok(table.get(service)?.and_then(|row| decoded(row.value()))),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(redb::Error::from(error)),
        };
        Ok(read()?)
    }

    /// The points of a service from `from_ms` on, before `to_ms`.
    pub fn points(&self, service: &str, from_ms: u64, to_ms: u64) -> Result<Vec<Point>, StoreError> {
        let read = || match self.0.open_table(POINTS) {
            Ok(table) => rows(&table, service, from_ms, to_ms),
            Err(TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
            Err(error) => Err(redb::Error::from(error)),
        };
        Ok(read()?)
    }

    /// The newest decisions, the oldest of them first.
    pub fn decisions(&self, most: usize) -> Result<Vec<Event>, StoreError> {
        let read = || {
            let table = match self.0.open_table(DECISIONS) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(redb::Error::from(error)),
            };
            let mut events = Vec::new();
            for row in table.iter()?.rev().take(most) {
                events.extend(decoded(row?.1.value()));
            }
            events.reverse();
            Ok(events)
        };
        Ok(read()?)
    }
}

fn keys(profiles: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Vec<String>, redb::Error> {
    let names = profiles.iter()?.map(|row| Ok(row?.0.value().to_owned()));
    names.collect::<Result<_, redb::StorageError>>().map_err(redb::Error::from)
}

fn rows(
    points: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    service: &str,
    from_ms: u64,
    to_ms: u64,
) -> Result<Vec<Point>, redb::Error> {
    let mut out = Vec::new();
    if from_ms < to_ms {
        for row in points.range((service, from_ms)..(service, to_ms))? {
            // A row of another version is no reason to show none.
            out.extend(decoded(row?.1.value()));
        }
    }
    Ok(out)
}

/// Replaces the points of each slot by one.
fn thin(
    points: &mut Table<'_, (&'static str, u64), &'static [u8]>,
    service: &str,
    since: u64,
    until: u64,
) -> Result<(), redb::Error> {
    let before = rows(points, service, since, until)?;
    let after = thinned(before.iter().cloned(), 0, SLOT_MS);
    if after.len() < before.len() {
        points.retain_in((service, since)..(service, until), |_, _| false)?;
        for point in &after {
            points.insert((service, point.at_ms), encoded(point).as_slice())?;
        }
    }
    Ok(())
}

fn forget(
    points: &mut Table<'_, (&'static str, u64), &'static [u8]>,
    services: &[String],
    oldest_kept: u64,
) -> Result<(), redb::Error> {
    for service in services {
        points.retain_in((service.as_str(), 0)..(service.as_str(), oldest_kept), |_, _| false)?;
    }
    Ok(())
}

fn oldest(
    points: &Table<'_, (&'static str, u64), &'static [u8]>,
    services: &[String],
) -> Result<Option<u64>, redb::Error> {
    let mut oldest = None;
    for service in services {
        let first = points.range((service.as_str(), 0)..=(service.as_str(), u64::MAX))?.next().transpose()?;
        let at_ms = first.map(|(key, _)| key.value().1);
        oldest = oldest.into_iter().chain(at_ms).min();
    }
    Ok(oldest)
}

/// What the points take, free space within pages included.
fn bytes(points: &Table<'_, (&'static str, u64), &'static [u8]>) -> Result<u64, redb::Error> {
    let stats = points.stats()?;
    Ok(stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes())
}

/// Nothing that is kept has a key that is no text, which is all that could fail.
fn encoded(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}
