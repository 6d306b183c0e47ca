//! The tasks that there are, as the name server last said, and who of them is well.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{sync::watch, task::AbortHandle};

use crate::{
    left_out::{Reason, left_out},
    outlier::{Answers, Outliers},
    probe::Prober,
};

/// Each task is asked all the time whether it answers, from when its name is known until it is forgotten.
#[derive(Debug)]
pub struct Tasks {
    prober: Prober,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    probed: HashMap<Ipv4Addr, Probed>,
    outliers: Outliers,
    /// As it was last told to the log.
    told: BTreeMap<Ipv4Addr, Reason>,
}

#[derive(Debug)]
struct Probed {
    silent_since: watch::Receiver<Option<Instant>>,
    probe: AbortHandle,
}

impl Drop for Probed {
    fn drop(&mut self) {
        self.probe.abort();
    }
}

impl Tasks {
    /// None yet.
    #[must_use]
    pub fn new(prober: Prober) -> Self {
        Self { prober, inner: Mutex::default() }
    }

    /// These there are now.
    pub fn are(&self, addresses: BTreeSet<Ipv4Addr>) {
        let mut inner = self.lock();
        inner.probed.retain(|address, _| addresses.contains(address));
        for address in addresses {
            inner.probed.entry(address).or_insert_with(|| {
                let (silent, silent_since) = watch::channel(None);
                let probe = tokio::spawn(self.prober.clone().follow(address, silent)).abort_handle();
                Probed { silent_since, probe }
            });
        }
    }

    /// What they answered since the last call.
    pub fn answered(&self, answers: HashMap<Ipv4Addr, Answers>) {
        self.lock().outliers.observe(answers, Instant::now());
    }

    /// Those that get no requests now.
    pub fn left_out(&self) -> BTreeMap<Ipv4Addr, Reason> {
        let (now, mut inner) = (Instant::now(), self.lock());
        let known = inner.probed.keys().copied().collect();
        let silent = |address| {
            let since = *inner.probed.get(&address)?.silent_since.borrow();
            since.map(|since: Instant| now.duration_since(since))
        };
        let out = left_out(&known, silent, |address| inner.outliers.is_out(address, now));
        if out != inner.told {
            for (address, reason) in out.iter().filter(|(address, _)| !inner.told.contains_key(address)) {
                tracing::warn!(%address, reason = reason.label(), "a task is left out");
            }
            for address in inner.told.keys().filter(|address| !out.contains_key(address)) {
                tracing::info!(%address, there = known.contains(address), "a task is not left out any more");
            }
            inner.told.clone_from(&out);
        }
        out
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
