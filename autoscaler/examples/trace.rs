//! A trace of load for the simulator, made up and the same in every run: two humps a day, quiet
//! nights and weekends, noise, and now and then a rush that nobody could foresee.
//! `cargo run -p autoscaler --example trace -- 3 1 > autoscaler/examples/three-days.csv`
#![allow(missing_docs)]

use std::{
    f64::consts::TAU,
    fmt::Write as _,
    io::{Error, Write as _},
};

/// A Monday, so that the weekend comes last.
const START: u64 = 1_799_625_600;

const MINUTE: u64 = 60;
const DAY: u64 = 1_440 * MINUTE;

/// So many days as CSV: a row for each so many minutes, with the requests in them.
pub(crate) fn csv(days: u64, minutes: u64) -> String {
    let mut out = String::from("time,requests\n");
    for at in (START..START + days * DAY).step_by((minutes * MINUTE) as usize) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{at},{:.0}", per_second(at) * (minutes * MINUTE) as f64);
    }
    out
}

/// Requests per second.
fn per_second(at: u64) -> f64 {
    let (day, hour) = ((at - START) / DAY, ((at - START) % DAY) as f64 / 3_600.0);
    let hump = |around: f64, width: f64| (-((hour - around) / width).powi(2)).exp();
    let weekend = if day % 7 < 5 { 1.0 } else { 0.4 };
    let daily = 40.0 + weekend * (420.0 * hump(11.0, 2.5) + 560.0 * hump(19.5, 2.0));
    let wave = 1.0 + 0.05 * (hour * TAU).sin();
    (daily * wave * (1.0 + 0.08 * noise(at)) + rush(day, hour)).max(0.0)
}

/// On every third day, at another hour each time, a link from somewhere: at once, then fading.
fn rush(day: u64, hour: f64) -> f64 {
    let since = hour - (3.0 + (day * 7 % 19) as f64);
    if day % 3 == 1 && since >= 0.0 { 700.0 * (-since / 0.4).exp() } else { 0.0 }
}

/// From -1 to 1.
fn noise(at: u64) -> f64 {
    let mixed = at.wrapping_mul(6_364_136_223_846_793_005).rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as f64 / f64::from(u32::MAX) * 2.0 - 1.0
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (days, minutes) = (arguments.next().unwrap_or(14), arguments.next().unwrap_or(1));
    std::io::stdout().write_all(csv(days, minutes).as_bytes())
}
