//! The rows as a table for people, and supply and demand as a chart.

use std::fmt::Write;

use super::{Row, Steps};

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 220.0;

/// One row per policy.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "{:<12} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8} {:>9} {:>9}\n",
        "policy",
        "under%",
        "over%",
        "t-under%",
        "t-over%",
        "jitter/h",
        "lost%",
        "repl-h",
        "actions",
        "reversed",
        "recover",
        "longest"
    );
    for Row { name, measures: m, .. } in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{name:<12} {:>7.2} {:>7.1} {:>8.2} {:>8.1} {:>8.2} {:>8.3} {:>9.1} {:>8} {:>8} {:>8.0}s {:>8.0}s",
            m.under_percent,
            m.over_percent,
            m.time_under_percent,
            m.time_over_percent,
            m.jitter * 3600.0,
            m.lost_percent,
            m.replica_hours,
            m.actions,
            m.reversals,
            m.recovery_mean_seconds,
            m.recovery_longest_seconds
        );
    }
    out
}

/// One panel per policy: demand filled, supply as a line, losses in red at the bottom.
#[must_use]
pub fn svg(rows: &[Row], seconds: f64) -> String {
    let height = (HEIGHT + 30.0) * rows.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n"
    );
    for (index, row) in rows.iter().enumerate() {
        let (supply, demand) = (row.run.supply.changes(), row.run.demand.changes());
        let most = supply.iter().chain(demand).map(|step| step.1).max().unwrap_or(1).max(1) as f64;
        let lost_most = row.run.lost.iter().map(|step| step.1).fold(0.0, f64::max).max(1.0);
        let top = (HEIGHT + 30.0) * index as f64;
        let line =
            |steps: &Steps| path(steps.changes().iter().map(|step| (step.0, step.1 as f64 / most)), seconds, HEIGHT);
        let lost = path(row.run.lost.iter().map(|step| (step.0, step.1 / lost_most)), seconds, HEIGHT / 5.0);
        let _ = writeln!(
            out,
            "<g transform=\"translate(0 {top})\"><text x=\"4\" y=\"16\">{}: demand grey, supply blue, up to {most} replicas; {:.3} % lost (red)</text>\n\
             <g transform=\"translate(0 24)\"><path d=\"{}V{HEIGHT}H0Z\" fill=\"#ccc\"/><path d=\"{}\" fill=\"none\" stroke=\"#06c\"/>\n\
             <g transform=\"translate(0 {})\"><path d=\"{lost}\" fill=\"none\" stroke=\"#c00\"/></g></g></g>",
            row.name,
            row.measures.lost_percent,
            line(&row.run.demand),
            line(&row.run.supply),
            HEIGHT * 0.8
        );
    }
    out.push_str("</svg>\n");
    out
}

/// A staircase of values from 0 to 1. Of the steps within one pixel only the highest shows.
fn path(steps: impl Iterator<Item = (f64, f64)>, seconds: f64, height: f64) -> String {
    let mut columns: Vec<(f64, f64)> = Vec::new();
    let mut last = 0.0;
    for (at, value) in steps {
        let x = (at / seconds * WIDTH).floor();
        match columns.last_mut() {
            Some(column) if column.0 == x => column.1 = column.1.max(value),
            _ => {
                // A peak that was wider than its last step ends where the line goes on.
                if columns.last().is_some_and(|column| column.1 != last) {
                    columns.push((x, last));
                }
                columns.push((x, value));
            }
        }
        last = value;
    }
    let mut out = String::new();
    for (index, (x, value)) in columns.iter().enumerate() {
        let y = height * (1.0 - value);
        let _ = if index == 0 { write!(out, "M{x} {y:.1}") } else { write!(out, "H{x}V{y:.1}") };
    }
    let _ = write!(out, "H{WIDTH}");
    out
}
