//! Settings and secrets from the environment.
//!
//! Reading never stops at the first bad value: every problem is collected, so that an
//! operator sees them all at once. Nothing here opens a socket or logs a value of a secret.

use std::{collections::BTreeMap, fmt::Display, ops::RangeBounds, str::FromStr, time::Duration};

use secrecy::SecretString;

/// The environment, and what was found wrong with it so far.
#[derive(Debug)]
pub struct Env {
    vars: BTreeMap<String, String>,
    problems: Vec<String>,
}

/// Every broken rule, one sentence a line.
#[derive(Debug, thiserror::Error)]
#[error("the settings are not usable:\n  {}", .0.join("\n  "))]
pub struct EnvError(pub Vec<String>);

impl Env {
    /// The environment of this process. Values that are not UTF-8 count as unset.
    #[must_use]
    pub fn from_process() -> Self {
        let vars = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::from_pairs(vars)
    }

    /// An environment of given pairs: tests never touch the real one.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        // An empty value is an unset one: stack files pass `${NAME:-}` for what nobody chose.
        let vars = pairs
            .into_iter()
            .map(|(k, v)| (k.into(), v.into().trim().to_owned()))
            .filter(|(_, v)| !v.is_empty())
            .collect();
        Self { vars, problems: Vec::new() }
    }

    /// Notes a broken rule that concerns several variables.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// The raw value, if set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str)
    }

    /// The text, or its default.
    pub fn text(&self, name: &str, default: &str) -> String {
        self.get(name).unwrap_or(default).to_owned()
    }

    /// A value that is parsed; `allowed` completes the sentence "allowed is …".
    pub fn parsed<T: FromStr>(&mut self, name: &str, default: T, allowed: &str) -> T {
        match self.get(name).map(str::parse) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(_)) => {
                self.reject(name, allowed);
                default
            }
        }
    }

    /// A value within a range.
    pub fn within<T>(&mut self, name: &str, default: T, range: impl RangeBounds<T>, allowed: &str) -> T
    where
        T: FromStr + PartialOrd,
    {
        match self.get(name).map(str::parse::<T>) {
            None => default,
            Some(Ok(value)) if range.contains(&value) => value,
            Some(_) => {
                self.reject(name, allowed);
                default
            }
        }
    }

    /// Seconds, down to fractions, within `min..=max`.
    pub fn seconds(&mut self, name: &str, default: f64, min: f64, max: f64) -> Duration {
        let allowed = format!("a number of seconds from {min} to {max}, fractions too");
        Duration::from_secs_f64(self.within(name, default, min..=max, &allowed))
    }

    /// One of a fixed set of words.
    pub fn choice<T: Copy>(&mut self, name: &str, default: T, choices: &[(&str, T)]) -> T {
        let Some(value) = self.get(name) else { return default };
        if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == value) {
            return *chosen;
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.reject(name, format!("one of {}", words.join(", ")));
        default
    }

    /// A switch: `true`/`false`, also `1`/`0`.
    pub fn flag(&mut self, name: &str, default: bool) -> bool {
        let words = [("true", true), ("1", true), ("false", false), ("0", false)];
        self.choice(name, default, &words)
    }

    /// A secret from `NAME_FILE` (a Docker secret) or `NAME`; `None` when neither is set.
    pub fn optional_secret(&mut self, name: &str) -> Option<SecretString> {
        let file = format!("{name}_FILE");
        let Some(path) = self.get(&file).map(str::to_owned) else {
            return self.get(name).map(SecretString::from);
        };
        if self.get(name).is_some() {
            self.problem(format!("{name} and {file} are both set: keep one of them"));
        }
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => {
                self.problem(format!("{file}: {path} is empty: put the secret into it"));
                None
            }
            Ok(text) => Some(SecretString::from(text.trim())),
            Err(error) => {
                self.problem(format!("{file}: cannot read {path}: {error}"));
                None
            }
        }
    }

    /// A secret without which the program must not start. It has no default.
    pub fn secret(&mut self, name: &str) -> SecretString {
        let before = self.problems.len();
        let secret = self.optional_secret(name);
        if secret.is_none() && self.problems.len() == before {
            self.problem(format!("{name} is not set: give it, or the path of a file that holds it as {name}_FILE"));
        }
        secret.unwrap_or_default()
    }

    /// Ends the reading: all problems, or none.
    pub fn finish(self) -> Result<(), EnvError> {
        if self.problems.is_empty() { Ok(()) } else { Err(EnvError(self.problems)) }
    }

    fn reject(&mut self, name: &str, allowed: impl Display) {
        let value = self.get(name).unwrap_or_default();
        let text = format!("{name}={value}: allowed is {allowed}");
        self.problems.push(text);
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn every_problem_is_named_with_value_and_way_out() {
        let mut env = Env::from_pairs([("PORT", "99999999"), ("ALGORITHM", "magic"), ("EVERY", "0")]);
        env.within("PORT", 80_u32, 1..=65_535, "a port from 1 to 65535");
        env.choice("ALGORITHM", 1, &[("linear", 1), ("target", 2)]);
        env.seconds("EVERY", 30.0, 0.1, 3600.0);
        env.secret("JWT_SECRET");
        let text = env.finish().unwrap_err().to_string();
        assert!(text.contains("PORT=99999999: allowed is a port from 1 to 65535"), "{text}");
        assert!(text.contains("ALGORITHM=magic: allowed is one of linear, target"), "{text}");
        assert!(text.contains("EVERY=0: allowed is a number of seconds from 0.1 to 3600"), "{text}");
        assert!(text.contains("JWT_SECRET is not set"), "{text}");
    }

    #[test]
    fn empty_is_unset_and_fractions_are_seconds() {
        let mut env = Env::from_pairs([("A", ""), ("B", "0.5"), ("C", "NaN")]);
        assert_eq!(env.seconds("A", 30.0, 0.1, 60.0), Duration::from_secs(30));
        assert_eq!(env.seconds("B", 30.0, 0.1, 60.0), Duration::from_millis(500));
        assert_eq!(env.seconds("C", 30.0, 0.1, 60.0), Duration::from_secs(30));
        assert_eq!(env.finish().unwrap_err().0.len(), 1);
    }

    #[test]
    fn a_secret_comes_from_its_file_without_the_line_end() {
        let path = std::env::temp_dir().join(format!("env-secret-{}", std::process::id()));
        std::fs::write(&path, "s3cret\n").unwrap();
        let mut env = Env::from_pairs([("TOKEN_FILE", path.to_str().unwrap())]);
        assert_eq!(env.secret("TOKEN").expose_secret(), "s3cret");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(env.secret("TOKEN").expose_secret(), "");
        assert!(env.finish().unwrap_err().0[0].contains("cannot read"));
    }
}
