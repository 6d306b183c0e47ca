//! `autoscaler check`: reads the labels of every service in the Swarm as the loop would, and
//! changes nothing.

use std::fmt::Write;

use crate::{
    labels::{self, Labelled},
    scaling::{Metric, Mode},
    settings::Defaults,
    swarm::Service,
};

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One line for each service that is to be scaled.
    pub text: String,
    /// Services that cannot be scaled as they are labelled.
    pub errors: usize,
}

/// Checks all services.
#[must_use]
pub fn check(services: &[Service], defaults: &Defaults) -> Report {
    let mut report = Report { text: String::new(), errors: 0 };
    let mut sound = 0;
    for service in services {
        let problems = match labels::parse(&service.labels, defaults) {
            Labelled::No => continue,
            Labelled::Yes(_) if service.mode != Mode::Replicated => {
                vec!["only replicated services can be scaled, not global ones or jobs".to_owned()]
            }
            Labelled::Yes(directions) => {
                sound += 1;
                let policy = &directions.policy;
                let metrics: Vec<_> = policy.metrics.keys().copied().map(Metric::name).collect();
                let (min, max) = (policy.bounds.min(), policy.bounds.max());
                let (pace, dry) = (policy.pace(), if directions.dry_run { ", dry run" } else { "" });
                line(&mut report, "ok", service, &format!("{min} to {max}, {pace}, on {}{dry}", metrics.join(", ")));
                continue;
            }
            Labelled::Wrong(problems) => problems,
        };
        report.errors += 1;
        for problem in problems {
            line(&mut report, "ERROR", service, &problem);
        }
    }
    let _ = writeln!(report.text, "{} services, {sound} to be scaled, {} with errors", services.len(), report.errors);
    report
}

fn line(report: &mut Report, kind: &str, service: &Service, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(report.text, "{kind:<6}{}: {text}", service.name);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::swarm;

    fn service(name: &str, labels: Value, mode: Value) -> Service {
        let spec = json!({"Name": name, "Labels": labels, "Mode": mode});
        swarm::from_json(&json!({"ID": name, "Version": {"Index": 1}, "Spec": spec}))
    }

    #[test]
    fn every_service_with_a_mistake_is_named_and_counted() {
        let replicated = json!({"Replicated": {"Replicas": 1}});
        let services = [
            service("other", json!({}), replicated.clone()),
            service("web", json!({"swarm.autoscaler": "true", "swarm.autoscaler.maximum": "4"}), replicated.clone()),
            service("typo", json!({"swarm.autoscaler": "true", "swarm.autoscaler.maximun": "4"}), replicated),
            service("agent", json!({"swarm.autoscaler": "true"}), json!({"Global": {}})),
            service(
                "shop",
                json!({"swarm.autoscaler": "1", "swarm.autoscaler.algorithm": "predictive"}),
                json!({"Replicated": {}}),
            ),
        ];
        let report = check(&services, &Defaults::default());
        assert_eq!(report.errors, 2);
        let lines: Vec<_> = report.text.lines().collect();
        assert_eq!(
            lines,
            [
                "ok    web: 2 to 4, linear, on cpu, memory",
                "ERROR typo: swarm.autoscaler.maximun: no such label",
                "ERROR agent: only replicated services can be scaled, not global ones or jobs",
                "ok    shop: 2 to 10, linear, with a forecast's floor, on cpu, memory",
                "5 services, 2 to be scaled, 2 with errors",
            ]
        );
    }
}
