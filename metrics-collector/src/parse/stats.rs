//! Counters out of the engine's statistics, on cgroup v1 and v2 alike.

use crate::{
    clock,
    docker::model::{HostConfig, MemoryStats, Stats},
};

/// One reading of one container. What is `None` was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// When the engine read, Unix nanoseconds.
    pub read_ns: u64,
    /// Processor time since the container started, nanoseconds over all cores.
    pub cpu_ns: Option<u64>,
    /// Bytes that cannot be taken back: page cache that is not in use is left out.
    pub memory_bytes: Option<u64>,
}

/// The counters, or `None` when the engine did not say when it read them (it sends such
/// answers for containers that are not running).
#[must_use]
pub fn counters(stats: &Stats) -> Option<Counters> {
    let read_ns = clock::parse_ns(stats.read.as_deref()?)?;
    let cpu_ns = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage).filter(|ns| *ns > 0);
    let memory_bytes = stats.memory_stats.as_ref().and_then(memory_bytes);
    Some(Counters { read_ns, cpu_ns, memory_bytes })
}

/// cgroup v1 tells of the whole container in `total_inactive_file`; v2 has `inactive_file`
/// only. Without either, the page cache is unknown, and so is the use.
fn memory_bytes(memory: &MemoryStats) -> Option<u64> {
    let usage = memory.usage.filter(|bytes| *bytes > 0)?;
    let stats = memory.stats.as_ref()?;
    let cache = stats.get("total_inactive_file").or_else(|| stats.get("inactive_file"))?;
    Some(usage.saturating_sub(*cache))
}

/// A container's own limit in cores; `None` when it has none.
#[must_use]
pub fn cpu_limit(host: &HostConfig) -> Option<f64> {
    if let Some(nano) = host.nano_cpus.filter(|nano| *nano > 0) {
        return Some(nano as f64 / 1e9);
    }
    let quota = host.cpu_quota.filter(|quota| *quota > 0)?;
    // The kernel's default period.
    let period = host.cpu_period.filter(|period| *period > 0).unwrap_or(100_000);
    Some(quota as f64 / period as f64)
}

/// A container's own limit in bytes; `None` when it has none.
#[must_use]
pub fn memory_limit(host: &HostConfig) -> Option<f64> {
    host.memory.filter(|bytes| *bytes > 0).map(|bytes| bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(text: &str) -> Counters {
        counters(&serde_json::from_str::<Stats>(text).unwrap()).unwrap()
    }

    #[test]
    fn cgroup_v1_leaves_out_the_page_cache_of_the_whole_container() {
        let counters = golden(include_str!("../../tests/golden/stats-cgroup-v1.json"));
        assert_eq!(counters.memory_bytes, Some(2_588_672 - 1_953_792));
        assert_eq!(counters.cpu_ns, Some(233_102_007));
        assert_eq!(counters.read_ns % 1_000_000_000, 207_371_034);
    }

    #[test]
    fn cgroup_v2_leaves_out_its_page_cache() {
        let counters = golden(include_str!("../../tests/golden/stats-cgroup-v2.json"));
        assert_eq!(counters.memory_bytes, Some(52_428_800 - 10_485_760));
    }

    #[test]
    fn empty_memory_is_unmeasured_not_zero() {
        let counters = golden(r#"{"read":"2026-01-01T00:00:00Z","memory_stats":{},"cpu_stats":{"cpu_usage":{}}}"#);
        assert_eq!((counters.memory_bytes, counters.cpu_ns), (None, None));
    }

    #[test]
    fn a_container_that_ended_has_no_counters() {
        let text = r#"{"read":"0001-01-01T00:00:00Z","memory_stats":{},"cpu_stats":{"cpu_usage":{"total_usage":0}}}"#;
        assert_eq!(counters(&serde_json::from_str(text).unwrap()), None);
    }

    #[test]
    fn a_limit_comes_from_cores_or_from_quota_and_period() {
        let cores = HostConfig { nano_cpus: Some(200_000_000), ..HostConfig::default() };
        let quota = HostConfig { cpu_quota: Some(50_000), cpu_period: Some(100_000), ..HostConfig::default() };
        assert_eq!(cpu_limit(&cores), Some(0.2));
        assert_eq!(cpu_limit(&quota), Some(0.5));
        assert_eq!(cpu_limit(&HostConfig { nano_cpus: Some(0), ..HostConfig::default() }), None);
        assert_eq!(memory_limit(&HostConfig { memory: Some(0), ..HostConfig::default() }), None);
    }
}
