//! Two weeks by the minute through every policy, as `autoscaler simulate` does it.
//! `cargo bench -p autoscaler --bench simulate`
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use autoscaler::simulate::{self, Model, Trace};
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../examples/trace.rs"]
#[allow(dead_code, reason = "its other half is a program")]
mod made_up;

fn simulation(criterion: &mut Criterion) {
    let trace = Trace::parse(&made_up::csv(14, 1), 60_000).unwrap();
    let names = ["linear", "exponential", "target", "predictive", "hpa"].map(str::to_owned);
    let model = Model { capacity: trace.peak() / 20.0, start_up_ms: 15_000, interval_ms: 30_000, target: 70.0 };
    let mut group = criterion.benchmark_group("simulate");
    group.sample_size(10);
    group.bench_function("14 days by the minute, 20,160 rows, 7 policies", |bencher| {
        bencher.iter(|| {
            let candidates = simulate::candidates(&names, &simulate::usual_policy().unwrap(), &trace, &model).unwrap();
            black_box(simulate::run(candidates, &trace, &model, &|_| {}).len())
        });
    });
    group.finish();
}

criterion_group!(benches, simulation);
criterion_main!(benches);
