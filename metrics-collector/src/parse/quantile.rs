//! Quantiles out of histogram buckets.

use std::{cmp::Ordering, collections::BTreeMap};

/// The upper bound of a bucket in seconds; infinite for the last one. Never NaN.
#[derive(Debug, Clone, Copy)]
pub struct Bound(f64);

impl Bound {
    /// `None` for NaN.
    #[must_use]
    pub fn new(seconds: f64) -> Option<Self> {
        (!seconds.is_nan()).then_some(Self(seconds))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Bound {}

/// How many fell into each bucket (each for itself, not cumulative).
pub type Buckets = BTreeMap<Bound, f64>;

/// Adds the counts of one histogram to another. Their bounds may differ, as between two
/// versions during a rolling update.
pub fn add(to: &mut Buckets, from: &Buckets) {
    for (bound, count) in from {
        *to.entry(*bound).or_insert(0.0) += count;
    }
}

/// The value below which the share `q` (0 to 1) lies, in seconds; `None` without values.
///
/// Within a bucket values count as evenly spread: with 10 values in (0.1, 0.2] and q = 0.5
/// that is 0.1 + (0.2 − 0.1) · 5/10 = 0.15. Above the last finite bound nothing is known,
/// so that bound is the answer.
#[must_use]
pub fn quantile(q: f64, buckets: &Buckets) -> Option<f64> {
    let total: f64 = buckets.values().sum();
    if total.is_nan() || total <= 0.0 {
        return None;
    }
    let wanted = q.clamp(0.0, 1.0) * total;
    let (mut below, mut lower) = (0.0, 0.0_f64);
    for (Bound(upper), count) in buckets {
        if below + count >= wanted && *count > 0.0 {
            if upper.is_infinite() {
                break;
            }
            let share = ((wanted - below) / count).clamp(0.0, 1.0);
            return Some(lower.min(*upper) + (upper - lower.min(*upper)) * share);
        }
        below += count;
        if upper.is_finite() {
            lower = *upper;
        }
    }
    buckets.keys().any(|bound| bound.0.is_finite()).then_some(lower)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buckets(counts: &[(f64, f64)]) -> Buckets {
        counts.iter().map(|(bound, count)| (Bound::new(*bound).unwrap(), *count)).collect()
    }

    #[test]
    fn values_count_as_evenly_spread_in_their_bucket() {
        let histogram = buckets(&[(0.1, 0.0), (0.2, 10.0), (1.0, 0.0), (f64::INFINITY, 0.0)]);
        assert!((quantile(0.5, &histogram).unwrap() - 0.15).abs() < 1e-9);
        assert!((quantile(1.0, &histogram).unwrap() - 0.2).abs() < 1e-9);
    }

    #[test]
    fn beyond_the_last_bound_the_bound_is_the_answer() {
        let histogram = buckets(&[(0.1, 1.0), (1.0, 0.0), (f64::INFINITY, 99.0)]);
        assert_eq!(quantile(0.95, &histogram), Some(1.0));
        assert_eq!(quantile(0.5, &buckets(&[(f64::INFINITY, 9.0)])), None);
    }

    #[test]
    fn no_values_have_no_quantile() {
        assert_eq!(quantile(0.95, &Buckets::new()), None);
        assert_eq!(quantile(0.95, &buckets(&[(0.1, 0.0), (f64::INFINITY, 0.0)])), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_in_the_bucket_of_the_true_one(
            mut values in proptest::collection::vec(0.0001..20.0_f64, 1..200),
            q in 0.01..1.0_f64,
        ) {
            let bounds = shared::prom::LATENCY_BUCKETS;
            let mut histogram = Buckets::new();
            for value in &values {
                let bound = bounds.iter().copied().find(|bound| value <= bound).unwrap();
                *histogram.entry(Bound(bound)).or_insert(0.0) += 1.0;
            }
            values.sort_by(f64::total_cmp);
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let truth = values[rank - 1];
            let upper = bounds.iter().copied().find(|bound| truth <= *bound).unwrap();
            let lower = bounds.iter().copied().rev().find(|bound| truth > *bound).unwrap_or(0.0);
            let found = quantile(q, &histogram).unwrap();
            // Buckets without a value are not listed, so the lower edge may lie further down.
            let listed = histogram.keys().map(|bound| bound.0).rfind(|bound| *bound <= lower).unwrap_or(0.0);
            prop_assert!(listed <= found && found <= upper + 1e-9, "{found} not in {listed}..{upper}");
        }

        #[test]
        fn a_higher_share_is_never_a_lower_value(
            counts in proptest::collection::vec(0.0..1e6_f64, 20),
            low in 0.0..1.0_f64,
            high in 0.0..1.0_f64,
        ) {
            let bounds = shared::prom::LATENCY_BUCKETS.iter().copied().chain([f64::INFINITY]);
            let histogram: Buckets = bounds.zip(counts).map(|(bound, count)| (Bound(bound), count)).collect();
            let (low, high) = (low.min(high), low.max(high));
            prop_assert!(quantile(low, &histogram) <= quantile(high, &histogram));
        }
    }
}
