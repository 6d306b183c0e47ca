//! The Prometheus text format, strictly.
//!
//! One bad line refuses the whole text: a scrape that is half understood would look like
//! counters that stood still. Meaning is left to the reader of the samples.

use std::borrow::Cow;

/// Names and values, in the order they were written.
type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// Labels in the order they were written.
    pub labels: Labels<'a>,
    /// May be infinite or NaN: that is legal text.
    pub value: f64,
}

impl Sample<'_> {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_ref())
    }
}

/// Which line could not be read, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not Prometheus text: {expected}")]
pub struct ExpositionError {
    /// Counted from 1.
    pub line: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// All samples, in order.
pub fn parse(text: &str) -> Result<Vec<Sample<'_>>, ExpositionError> {
    let mut samples = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let sample = sample(line).map_err(|expected| ExpositionError { line: index + 1, expected })?;
        samples.push(sample);
    }
    Ok(samples)
}

fn sample(line: &str) -> Result<Sample<'_>, &'static str> {
    let (name, rest) = word(line, |c| c == ':').ok_or("a metric name")?;
    let rest = rest.trim_start_matches([' ', '\t']);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None if rest.len() == line.len() - name.len() => return Err("a space or labels after the name"),
        None => (Vec::new(), rest),
    };
    let mut fields = rest.split_ascii_whitespace();
    let value = fields.next().and_then(number).ok_or("a number")?;
    if fields.next().is_some_and(|time| time.parse::<i64>().is_err()) {
        return Err("a timestamp in milliseconds");
    }
    if fields.next().is_some() {
        return Err("the end of the line");
    }
    Ok(Sample { name, labels, value })
}

/// Labels up to and with the closing brace, and what follows.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = word(rest, |_| false).ok_or("a label name or a closing brace")?;
        let after = after.trim_start_matches([' ', '\t']).strip_prefix('=').ok_or("an equals sign")?;
        let after = after.trim_start_matches([' ', '\t']).strip_prefix('"').ok_or("a quoted label value")?;
        let (value, after) = quoted(after)?;
        labels.push((name, value));
        let after = after.trim_start_matches([' ', '\t']);
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.starts_with('}') => after,
            None => return Err("a comma or a closing brace"),
        };
    }
}

/// A label value up to and with its closing quote, and what follows.
fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let end = text.find(['"', '\\']).ok_or("a closing quote")?;
    if text[end..].starts_with('"') {
        return Ok((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = text[..end].to_owned();
    let mut chars = text[end..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Cow::Owned(value), &text[end + at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, escaped @ ('\\' | '"'))) => escaped,
                _ => return Err("one of the escapes \\\\, \\\" and \\n"),
            }),
            other => value.push(other),
        }
    }
    Err("a closing quote")
}

/// A leading name, and what follows.
fn word(text: &str, also: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || also(c))).unwrap_or(text.len());
    let valid = end > 0 && !text.starts_with(|c: char| c.is_ascii_digit());
    valid.then(|| text.split_at(end))
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust also reads words here that are not legal in the format.
        _ if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
            && !text.ends_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            text.parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "exposition_tests.rs"]
mod tests;
