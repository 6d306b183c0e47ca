//! What is worth a notice: pure, from what the board shows and what it showed before.

use std::collections::BTreeMap;

use super::{Kind, Notice, Step};
use crate::{
    board::{Event, Rounds, Status},
    scaling::Reason,
};

/// Blindness shorter than this is no news: a collector that is being replaced is back sooner.
const PATIENCE_MS: u64 = 60_000;

/// What was seen before.
#[derive(Debug, Default)]
pub struct Watch {
    blind: Option<Blindness>,
    services: BTreeMap<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    at_maximum: bool,
    config_errors: Vec<String>,
    blind: Option<Blindness>,
}

#[derive(Debug, Clone, Copy)]
struct Blindness {
    since_ms: u64,
    told: bool,
}

impl Watch {
    /// What a decision is worth.
    #[must_use]
    pub fn decision(event: &Event) -> Option<Notice> {
        let step = Step { from: event.from, to: event.to, reason: event.reason };
        event.applied.then(|| Notice {
            kind: Kind::Scaled,
            service: Some(event.service.clone()),
            at_ms: event.at_ms,
            text: format!("{}: {}", event.service, event.why),
            step: Some(step),
        })
    }

    /// What a round is worth.
    pub fn round<'a>(&mut self, services: impl IntoIterator<Item = &'a Status>, rounds: &Rounds) -> Vec<Notice> {
        let Some(now_ms) = rounds.last_ms else { return Vec::new() };
        let darkness = darkness(rounds);
        let mut notices = Vec::new();
        let blind = blindness(&mut self.blind, darkness.is_some(), now_ms);
        notices.extend(blind.map(|(kind, seconds)| {
            let text = match (kind, &darkness) {
                (Kind::Blind, Some(cause)) => format!("blind for {seconds} s, nothing is scaled: {cause}"),
                _ => format!("there is data again, after {seconds} s"),
            };
            Notice { kind, service: None, at_ms: now_ms, text, step: None }
        }));
        if rounds.swarm_error.is_some() {
            // What the board shows of the services is of an earlier round.
            return notices;
        }
        let mut seen = BTreeMap::new();
        for status in services {
            let mut before = self.services.remove(&status.service).unwrap_or_default();
            notices.extend(before.look(status, darkness.is_some(), now_ms));
            seen.insert(status.service.clone(), before);
        }
        // Services that are gone are forgotten.
        self.services = seen;
        notices
    }
}

impl Seen {
    fn look(&mut self, status: &Status, all_dark: bool, now_ms: u64) -> Vec<Notice> {
        let name = &status.service;
        let tell = |kind, text| Notice {
            kind,
            service: Some(name.clone()),
            at_ms: now_ms,
            text: format!("{name}: {text}"),
            step: None,
        };
        let mut notices = Vec::new();
        if status.config_errors != self.config_errors {
            self.config_errors.clone_from(&status.config_errors);
            if !status.config_errors.is_empty() {
                notices.push(tell(Kind::LabelErrors, status.why.clone()));
            }
        }
        let at_maximum = is_at_maximum(status);
        if at_maximum && !self.at_maximum {
            notices.push(tell(Kind::AtMaximum, format!("has reached its maximum; {}", status.why)));
        }
        self.at_maximum = at_maximum;
        let unread = status.detail.as_ref().is_some_and(|detail| detail.decision.reason == Reason::NoData);
        // When nothing is known of anybody, that has been said.
        notices.extend(blindness(&mut self.blind, unread && !all_dark, now_ms).map(|(kind, seconds)| match kind {
            Kind::Blind => tell(kind, format!("no reading for {seconds} s; {}", status.why)),
            _ => tell(kind, format!("there are readings again, after {seconds} s")),
        }));
        notices
    }
}

/// Whether a service has, or gets in this round, as many replicas as it may have.
fn is_at_maximum(status: &Status) -> bool {
    status.detail.as_ref().is_some_and(|detail| {
        let applied = !detail.dry_run && status.apply_error.is_none();
        let replicas = if applied { detail.decision.wanted } else { status.replicas };
        let bounds = detail.policy.bounds;
        bounds.min() < bounds.max() && replicas >= bounds.max()
    })
}

/// Why nothing can be decided at all; `None` when it can.
fn darkness(rounds: &Rounds) -> Option<String> {
    let causes: Vec<_> = [&rounds.swarm_error, &rounds.collector_error].into_iter().flatten().cloned().collect();
    (rounds.swarm_error.is_some() || !rounds.snapshot_fresh).then(|| match causes.is_empty() {
        true => "the newest snapshot is stale".to_owned(),
        false => causes.join("; "),
    })
}

/// The beginning and the end of a blindness that lasts, each once, with its seconds so far.
fn blindness(state: &mut Option<Blindness>, dark: bool, now_ms: u64) -> Option<(Kind, u64)> {
    let blind = match (*state, dark) {
        (None, false) => return None,
        (None, true) => Blindness { since_ms: now_ms, told: false },
        (Some(blind), _) => blind,
    };
    let lasted_ms = now_ms.saturating_sub(blind.since_ms);
    let tell = dark && !blind.told && lasted_ms >= PATIENCE_MS;
    *state = dark.then_some(Blindness { told: blind.told || tell, ..blind });
    let over = !dark && blind.told;
    (tell || over).then_some((if tell { Kind::Blind } else { Kind::Sighted }, lasted_ms / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64, collector_error: Option<&str>) -> Rounds {
        let collector_error = collector_error.map(str::to_owned);
        Rounds { last_ms: Some(ms), snapshot_fresh: collector_error.is_none(), collector_error, ..Rounds::default() }
    }

    fn kinds(notices: &[Notice]) -> Vec<Kind> {
        notices.iter().map(|notice| notice.kind).collect()
    }

    #[test]
    fn blindness_is_told_once_when_it_lasts_and_so_is_its_end() {
        let mut watch = Watch::default();
        let none: [&Status; 0] = [];
        let dark = |ms| at(ms, Some("the collector answered 503"));
        assert_eq!(watch.round(none, &dark(0)), []);
        assert_eq!(watch.round(none, &dark(59_999)), []);
        let told = watch.round(none, &dark(60_000));
        assert_eq!(told[0].text, "blind for 60 s, nothing is scaled: the collector answered 503");
        assert_eq!(watch.round(none, &dark(90_000)), []);
        assert_eq!(watch.round(none, &at(120_000, None))[0].text, "there is data again, after 120 s");
        assert_eq!(watch.round(none, &dark(150_000)), []);
        assert_eq!(watch.round(none, &at(180_000, None)), [], "a short one is no news at all");
    }

    #[test]
    fn wrong_labels_are_told_again_only_when_they_change() {
        let mut watch = Watch::default();
        let wrong = |problem: &str| Status::wrong("web", 2, 0, vec![problem.to_owned()]);
        assert_eq!(kinds(&watch.round([&wrong("a")], &at(0, None))), [Kind::LabelErrors]);
        assert_eq!(watch.round([&wrong("a")], &at(1, None)), []);
        let told = watch.round([&wrong("b")], &at(2, None));
        assert_eq!(told[0].text, "web: left alone: b");
    }
}
