//! What is kept over restarts: the file itself, in good and in bad health, and the program
//! with it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use autoscaler::{
    board::Board,
    history::{
        DAY_MS, Keeper, Limits, Place, Point, Profile,
        point::Work,
        store::{Batch, FILE, Store},
    },
    scaling::{Metric, Policy},
};

use crate::rounds::START;

/// A directory of a test's own, gone with it.
#[derive(Debug)]
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("history-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    pub(crate) fn place(&self, limits: Limits) -> Place {
        Place { directory: self.0.clone(), limits }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn point(at_ms: u64, replicas: u64, cores: f64) -> Point {
    let readings = [(Metric::Cpu, cores / replicas as f64 * 200.0), (Metric::Memory, 20.0), (Metric::ErrorRate, 0.0)];
    Point {
        at_ms,
        moments: 1,
        replicas,
        desired: replicas,
        floor: None,
        readings: readings.into(),
        work: [(Metric::Cpu, Work { total: cores, whole: Some(0.5) })].into(),
        bounds: None,
        expected: BTreeMap::new(),
    }
}

pub(crate) fn profile() -> Profile {
    let policy = r#"{"bounds": {"min": 2, "max": 10}, "metrics": {"cpu": {"up": 70, "down": 20}}}"#;
    Profile { policy: serde_json::from_str::<Policy>(policy).unwrap(), start_up_ms: Some(12_000) }
}

pub(crate) fn batch(service: &str, points: impl IntoIterator<Item = Point>) -> Batch {
    Batch {
        points: points.into_iter().map(|point| (service.to_owned(), point)).collect(),
        profiles: vec![(service.to_owned(), profile())],
        decisions: Vec::new(),
    }
}

fn all(store: &Store, service: &str) -> Vec<Point> {
    store.reader().unwrap().points(service, 0, u64::MAX).unwrap()
}

#[test]
fn what_was_written_is_there_after_a_restart_and_services_do_not_mix() {
    let directory = Directory::new();
    let mut store = Store::open(&directory.0, Limits::default()).unwrap();
    let points = [point(START, 2, 0.5), point(START + 30_000, 3, 0.8)];
    store.append(&batch("web", points.clone())).unwrap();
    store.append(&batch("web2", [point(START, 9, 1.0)])).unwrap();
    drop(store);
    let store = Store::open(&directory.0, Limits::default()).unwrap();
    assert_eq!(all(&store, "web"), points);
    let reader = store.reader().unwrap();
    assert_eq!(reader.points("web", START + 1, START + 30_001).unwrap(), points[1..]);
    assert_eq!(reader.points("web", START + 9, START + 1).unwrap(), []);
    assert_eq!(reader.services().unwrap(), ["web", "web2"]);
    assert_eq!(reader.profile("web").unwrap(), Some(profile()));
}

#[test]
fn the_young_are_kept_as_they_are_the_old_as_means_and_the_oldest_not_at_all() {
    let directory = Directory::new();
    let limits = Limits { age_ms: 3 * DAY_MS, ..Limits::default() };
    let mut store = Store::open(&directory.0, limits).unwrap();
    let start = START / DAY_MS * DAY_MS;
    let now = start + 4 * DAY_MS;
    let every_minute = (0..4 * 1440).map(|minute| point(start + minute * 60_000, 2 + minute % 3, 0.5));
    store.append(&batch("web", every_minute)).unwrap();
    store.tidy(now).unwrap();
    let points = all(&store, "web");
    let (old, young): (Vec<_>, Vec<_>) = points.iter().partition(|point| point.at_ms < now - DAY_MS);
    assert_eq!((young.len(), old.len()), (1440, 2 * 288));
    assert_eq!(points[0].at_ms, now - 3 * DAY_MS);
    assert!(old.iter().all(|point| (point.moments, point.replicas) == (5, 4)), "{:?}", old[0]);
    let once = all(&store, "web");
    store.tidy(now).unwrap();
    assert_eq!(all(&store, "web"), once, "tidy twice is tidy once");
    store.tidy(now + 9 * DAY_MS).unwrap();
    assert!(all(&store, "web").is_empty() && store.reader().unwrap().services().unwrap().is_empty());
}

#[test]
fn a_full_file_forgets_the_oldest_and_stays_within_its_bound() {
    let directory = Directory::new();
    let limits = Limits { bytes: 1 << 20, fine_ms: 30 * DAY_MS, ..Limits::default() };
    let mut store = Store::open(&directory.0, limits).unwrap();
    for hour in 0..60 {
        let points = (0..120).map(|step| point(START + hour * 3_600_000 + step * 30_000, 2, 0.5));
        store.append(&batch("web", points)).unwrap();
        store.tidy(START + (hour + 1) * 3_600_000).unwrap();
    }
    let points = all(&store, "web");
    assert_eq!(points.last().unwrap().at_ms, START + 60 * 3_600_000 - 30_000, "the newest stay");
    assert!(points.len() > 2_000, "{}", points.len());
    drop(store);
    let bytes = fs::metadata(directory.file()).unwrap().len();
    assert!(bytes < 2 << 20, "{bytes} bytes for a bound of one MiB");
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_new_one_begun_whatever_the_damage() {
    let sound = Directory::new();
    let mut store = Store::open(&sound.0, Limits::default()).unwrap();
    store.append(&batch("web", (0..500).map(|i| point(START + i * 30_000, 2, 0.5)))).unwrap();
    drop(store);
    let bytes = fs::read(sound.file()).unwrap();
    let mut set_aside = 0;
    for damage in 0..24 {
        let directory = Directory::new();
        fs::write(directory.file(), &bytes).unwrap();
        spoil(&directory.file(), damage, bytes.len() as u64);
        let keeper = Keeper::start(directory.place(Limits::default()), Arc::<Board>::default(), START).unwrap();
        let later = point(START + DAY_MS, 3, 0.7);
        keeper.record(batch("web", [later.clone()]), START + DAY_MS);
        keeper.record(batch("web", [later.clone()]), START + DAY_MS);
        keeper.close().await;
        let store = Store::open(&directory.0, Limits::default()).unwrap();
        assert_eq!(all(&store, "web").last(), Some(&later), "damage {damage}");
        let aside = directory.0.join("history.redb.broken").exists();
        assert_eq!(aside, keeper.troubles().iter().any(|text| text.contains("history.redb.broken")), "damage {damage}");
        set_aside += u32::from(aside);
    }
    assert!(set_aside > 12, "only {set_aside} of 24 were noticed");
}

/// Truncation, noise at one place, and other files altogether.
fn spoil(path: &Path, damage: u64, length: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let noise: Vec<u8> = (0..4096_u64).map(|i| (i * 37 + damage * 101) as u8).collect();
    match damage {
        0..8 => file.set_len(length * damage / 8 + 17).unwrap(),
        8..20 => file.write_all_at(&noise, length * (damage - 8) / 12).unwrap(),
        20 => fs::write(path, "no database at all").unwrap(),
        21 => fs::write(path, vec![0; 100_000]).unwrap(),
        22 => file.write_all_at(&noise[..64], 64).unwrap(),
        _ => file.write_all_at(b"redb of tomorrow", 0).unwrap(),
    }
}

#[tokio::test]
async fn every_service_that_asks_gets_its_past_however_many_ask_at_once() {
    let directory = Directory::new();
    let keeper = Keeper::start(directory.place(Limits::default()), Arc::<Board>::default(), START).unwrap();
    keeper.record(batch("web", [point(START, 2, 0.5)]), START);
    let asked: Vec<_> = (0..500).map(|number| keeper.recall(&format!("s_{number}"))).collect();
    let web = keeper.recall("web").await.unwrap();
    assert_eq!(web.start_up_ms(), Some(12_000));
    for foresight in asked {
        assert_eq!(foresight.await.unwrap().start_up_ms(), None);
    }
    keeper.close().await;
    assert!(keeper.recall("web").await.is_err(), "what is closed says so instead of never answering");
}
