//! Load over time, from CSV: a time or a step number, and the requests until the next row.

use chrono::DateTime;

/// In one row; more is no load but a slip.
const MOST_REQUESTS: f64 = 1e15;

/// Requests per second, constant from one row to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Times in milliseconds, each later than the one before, and requests per second.
    rows: Vec<(u64, f64)>,
    end_ms: u64,
}

impl Trace {
    /// Reads CSV text. A step number stands for `step_ms`; a number of ten digits is Unix seconds.
    ///
    /// # Errors
    /// The line that is not understood, and what is wrong with it.
    pub fn parse(text: &str, step_ms: u64) -> Result<Self, String> {
        let mut counts: Vec<(u64, f64)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let (time, requests) = line.split_once(',').unwrap_or((line, ""));
            let (time, requests) = (moment(time.trim(), step_ms), requests.trim().parse::<f64>().ok());
            let row = match (time, requests.filter(|requests| (0.0..=MOST_REQUESTS).contains(requests))) {
                (Some(time), Some(requests)) => (time, requests),
                // The first line may be a heading.
                _ if line.is_empty() || index == 0 => continue,
                _ => return Err(format!("line {}: `{line}`: expected a time or a step, and requests", index + 1)),
            };
            if counts.last().is_some_and(|last| last.0 >= row.0) {
                return Err(format!("line {}: `{line}`: its time is not after the one before", index + 1));
            }
            counts.push(row);
        }
        let (Some(first), Some(last)) = (counts.first(), counts.last()) else { return Err("no rows".into()) };
        // The last row lasts as long as the others do on average.
        let rows_before = counts.len().saturating_sub(1) as u64;
        let step = (last.0 - first.0).checked_div(rows_before).unwrap_or(step_ms).max(1);
        let end_ms = last.0.saturating_add(step);
        let ends = counts.iter().skip(1).map(|row| row.0).chain([end_ms]);
        let rows = counts.iter().zip(ends).map(|(row, end)| (row.0, row.1 * 1000.0 / (end - row.0) as f64)).collect();
        Ok(Self { rows, end_ms })
    }

    /// From loads by time, each of which lasts until the next; `None` when there is nothing to it,
    /// or times do not go forward.
    #[must_use]
    pub fn from_loads(rows: Vec<(u64, f64)>, end_ms: u64) -> Option<Self> {
        let sound = rows.iter().all(|(_, load)| load.is_finite() && *load >= 0.0);
        let forward = rows.is_sorted_by(|a, b| a.0 < b.0) && rows.last()?.0 < end_ms;
        (sound && forward).then_some(Self { rows, end_ms })
    }

    /// Requests per second at a time.
    #[must_use]
    pub fn at(&self, at_ms: u64) -> f64 {
        let next = self.rows.partition_point(|row| row.0 <= at_ms);
        next.checked_sub(1).and_then(|index| self.rows.get(index)).map_or(0.0, |row| row.1)
    }

    /// When it begins.
    #[must_use]
    pub fn start_ms(&self) -> u64 {
        self.rows.first().map_or(0, |row| row.0)
    }

    /// When it ends.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.end_ms
    }

    /// How long it lasts.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.end_ms - self.start_ms()) as f64 / 1000.0
    }

    /// The highest load.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.rows.iter().map(|row| row.1).fold(0.0, f64::max)
    }

    /// The mean load.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let ends = self.rows.iter().skip(1).map(|row| row.0).chain([self.end_ms]);
        let requests: f64 = self.rows.iter().zip(ends).map(|(row, end)| row.1 * (end - row.0) as f64 / 1000.0).sum();
        requests / self.seconds()
    }
}

fn moment(text: &str, step_ms: u64) -> Option<u64> {
    if let Ok(number) = text.parse::<u64>() {
        let unit = if number >= 1_000_000_000 { 1000 } else { step_ms };
        return number.checked_mul(unit);
    }
    u64::try_from(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()).ok()
}
