//! One round's thinking for a large Swarm, 10,000 services with 100,000 tasks, and the memory
//! that it takes: after the first rounds it stays what it is.
//! `cargo bench -p autoscaler --bench tick`
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;

use autoscaler::scaling::{
    Action, Forecaster, Foresight, History, Observed, Policy, Reading, Sample, Task, TaskState, decide,
    policy::MOST_REPLICAS,
};
use criterion::{Criterion, criterion_group, criterion_main};

const SERVICES: u64 = 10_000;
const TASKS_EACH: u64 = 10;
const NOW: u64 = 1_800_000_000_000;
const DAY: u64 = 86_400_000;

/// Services from idle to saturated, so that every way through the rules is taken.
fn swarm() -> Vec<(Policy, Observed, History)> {
    let service = |number: u64| {
        let policy = serde_json::json!({
            "bounds": {"min": 2, "max": MOST_REPLICAS},
            "algorithm": (["linear", "exponential", "target"])[number as usize % 3],
            "forecast": number.is_multiple_of(2),
            "metrics": {"cpu": {"up": 70, "down": 20}, "memory": {"up": 80, "down": 40}},
        });
        let sample = |share: f64| Some(Sample { used: share * 0.5, limit: 0.5, at_ms: NOW - 1_000 });
        let share = (number % 101) as f64 / 100.0;
        let task = Task { state: TaskState::Running, since_ms: 0, cpu: sample(share), memory: sample(0.3) };
        let tasks = vec![task; TASKS_EACH as usize];
        let reading = Reading { taken_at_ms: NOW - 1_000, interval_ms: 5_000, tasks, ..Reading::default() };
        let observed = Observed { replicas: TASKS_EACH, reading: Some(reading), ..Observed::default() };
        (serde_json::from_value(policy).unwrap(), observed, History::default())
    };
    (0..SERVICES).map(service).collect()
}

fn tick(criterion: &mut Criterion) {
    let services = swarm();
    criterion.bench_function("decide: 10,000 services, 100,000 tasks", |bencher| {
        bencher.iter(|| {
            let decisions = services.iter().map(|(policy, observed, history)| decide(policy, observed, history, NOW));
            black_box(decisions.filter(|decision| decision.action != Action::Hold).count())
        });
    });
    let mut foresights = vec![Foresight::default(); services.len()];
    let mut now = NOW;
    criterion.bench_function("look ahead: the same services", |bencher| {
        bencher.iter(|| {
            now += 30_000;
            for (foresight, (policy, observed, _)) in foresights.iter_mut().zip(&services) {
                let mut observed = observed.clone();
                if let Some(reading) = &mut observed.reading {
                    reading.taken_at_ms = now;
                    reading.tasks.iter_mut().filter_map(|task| task.cpu.as_mut()).for_each(|cpu| cpu.at_ms = now);
                }
                black_box(foresight.look(policy, &observed, None, now));
            }
        });
    });
}

/// Bytes of this process that are in memory, as the kernel counts them.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// What all services together, and what one forecast, keep in memory. It comes first: what a
/// benchmark has freed would be used again, and not show.
fn memory(_: &mut Criterion) {
    const FORECASTERS: u64 = 100;
    let start = resident();
    let mut forecasters = vec![Forecaster::default(); FORECASTERS as usize];
    let mut learn = |days: std::ops::Range<u64>| {
        for at in (NOW + days.start * DAY..NOW + days.end * DAY).step_by(300_000) {
            let work = 100.0 + 50.0 * ((at % DAY) as f64 / DAY as f64 * std::f64::consts::TAU).sin();
            for forecaster in &mut forecasters {
                black_box(forecaster.learn(work, at, 75_000));
            }
        }
        (resident() - start) / FORECASTERS / 1024
    };
    let (two_weeks, five_weeks) = (learn(0..15), learn(15..35));
    println!("memory: {two_weeks} kB for what one forecast has learnt in 15 days, {five_weeks} kB in 35");

    let start = resident();
    let mut services = swarm();
    let mut now = NOW;
    let mut rounds = |count| {
        for _ in 0..count {
            now += 30_000;
            for (policy, observed, history) in &mut services {
                let decision = decide(policy, observed, history, now);
                history.note(&decision, policy, now);
            }
        }
        (resident() - start) >> 20
    };
    let (few, many) = (rounds(10), rounds(190));
    println!("memory: {few} MB for 10,000 services and 100,000 tasks after 10 rounds, {many} MB after 200");
}

criterion_group!(benches, memory, tick);
criterion_main!(benches);
