//! What the board says of each service, as gauges. They are written anew for everybody who asks:
//! a service that is gone, or a reason that holds no longer, leaves nothing behind that stands
//! still.

use std::fmt::Write;

use crate::{
    board::{Board, Status},
    scaling::{Bounds, Decision, Forecast, Metric, Outlook},
};

/// One sample: labels and a value.
type Sample<'a> = (Vec<(&'static str, &'a str)>, f64);

/// A gauge: its name behind `autoscaler_`, what it means, and its samples of one service.
struct Gauge {
    name: &'static str,
    help: &'static str,
    of: for<'a> fn(&'a Status) -> Vec<Sample<'a>>,
}

const GAUGES: [Gauge; 11] = [
    Gauge {
        name: "replicas_current",
        help: "Replicas in the service's specification.",
        of: |status| decided(status, |decision| decision.from as f64),
    },
    Gauge {
        name: "replicas_desired",
        help: "Replicas that the last decision wants.",
        of: |status| decided(status, |decision| decision.wanted as f64),
    },
    Gauge {
        name: "replicas_minimum",
        help: "Fewest replicas that are allowed now, schedules included.",
        of: |status| bounded(status, |bounds| bounds.min() as f64),
    },
    Gauge {
        name: "replicas_maximum",
        help: "Most replicas that are allowed now, schedules included.",
        of: |status| bounded(status, |bounds| bounds.max() as f64),
    },
    Gauge { name: "held", help: "1 while a service is held back by this reason.", of: held },
    Gauge {
        name: "config_errors",
        help: "Wrong labels of a service.",
        of: |status| vec![(service(status), status.config_errors.len() as f64)],
    },
    Gauge {
        name: "forecast_work",
        help: "Work expected one lead time ahead: cores, requests/s or connections.",
        of: |status| foreseen(status, |outlook| Some(outlook.forecast.expected)),
    },
    Gauge {
        name: "forecast_margin",
        help: "By how much nine of ten forecasts of late fell short at most.",
        of: |status| foreseen(status, |outlook| Some(outlook.forecast.margin)),
    },
    Gauge {
        name: "forecast_skill_ratio",
        help: "Share of the error of `same as now` and `same as yesterday` that the forecast saves; it acts above 0.",
        of: |status| foreseen(status, |Outlook { forecast: Forecast { skill, .. }, .. }| *skill),
    },
    Gauge {
        name: "forecast_floor_replicas",
        help: "Fewest replicas that carry the expected work.",
        of: |status| foreseen(status, |outlook| Some(outlook.floor as f64)),
    },
    Gauge {
        name: "forecast_acts",
        help: "1 while the forecast may raise the count, else 0.",
        of: |status| foreseen(status, |outlook| Some(f64::from(u8::from(outlook.acts)))),
    },
];

/// The gauges of all services of the board, as Prometheus text.
#[must_use]
pub fn services(board: &Board) -> String {
    let mut out = String::new();
    board.view(|statuses, _| {
        let statuses: Vec<_> = statuses.collect();
        for Gauge { name, help, of } in GAUGES {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "# HELP autoscaler_{name} {help}\n# TYPE autoscaler_{name} gauge");
            let samples = statuses.iter().flat_map(|status| of(status));
            for (labels, value) in samples.filter(|sample| sample.1.is_finite()) {
                let labels: Vec<_> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
                let _ = writeln!(out, "autoscaler_{name}{{{}}} {value}", labels.join(","));
            }
        }
    });
    out
}

fn service(status: &Status) -> Vec<(&'static str, &str)> {
    vec![("service", &status.service)]
}

fn decision(status: &Status) -> Option<&Decision> {
    status.detail.as_ref().map(|detail| &detail.decision)
}

fn decided(status: &Status, value: fn(&Decision) -> f64) -> Vec<Sample<'_>> {
    decision(status).map(|decision| (service(status), value(decision))).into_iter().collect()
}

fn bounded(status: &Status, value: fn(Bounds) -> f64) -> Vec<Sample<'_>> {
    status.detail.iter().map(|detail| (service(status), value(detail.policy.bounds))).collect()
}

fn held(status: &Status) -> Vec<Sample<'_>> {
    let by = decision(status).and_then(|decision| decision.held_by);
    by.map(|by| (vec![("service", status.service.as_str()), ("by", by.code())], 1.0)).into_iter().collect()
}

/// What is not known is no sample.
fn foreseen(status: &Status, value: fn(&Outlook) -> Option<f64>) -> Vec<Sample<'_>> {
    let outlooks = decision(status).into_iter().flat_map(|decision| &decision.outlooks);
    let sample = |(metric, outlook): (&Metric, &Outlook)| {
        Some((vec![("service", status.service.as_str()), ("metric", metric.name())], value(outlook)?))
    };
    outlooks.filter_map(sample).collect()
}

/// A label's value as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
