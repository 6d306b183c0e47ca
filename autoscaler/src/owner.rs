//! Whose service is it? Several autoscalers may run in one Swarm; each service has one.

use std::collections::BTreeSet;

use crate::{labels::ROLE, swarm::Service};

/// The label by which Swarm knows a service's stack.
const NAMESPACE: &str = "com.docker.stack.namespace";

/// The services that the autoscaler of `own` answers for: those of its own stack, and, if it
/// is the first by name, those of stacks that have no autoscaler and of none.
pub fn ours<'a>(services: &'a [Service], own: Option<&'a str>) -> impl Iterator<Item = &'a Service> {
    let autoscaler = |s: &&Service| s.labels.get(ROLE).is_some_and(|role| role == "autoscaler");
    let mut served: BTreeSet<&str> = services.iter().filter(autoscaler).filter_map(stack).collect();
    served.extend(own);
    // An autoscaler outside of any stack stands back as soon as there is another one.
    let first = served.first().copied() == own;
    services.iter().filter(move |service| match stack(service) {
        Some(stack) if served.contains(stack) => own == Some(stack),
        _ => first,
    })
}

fn stack(service: &Service) -> Option<&str> {
    service.labels.get(NAMESPACE).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm;

    fn service(name: &str, stack: &str, role: &str) -> Service {
        let labels = serde_json::json!({"com.docker.stack.namespace": stack, ROLE: role});
        swarm::from_json(&serde_json::json!({"ID": name, "Version": {"Index": 1}, "Spec": {
            "Name": name, "Labels": labels, "Mode": {"Replicated": {"Replicas": 1}}}}))
    }

    #[test]
    fn every_service_has_exactly_one_autoscaler() {
        let mut services = vec![
            service("a_auto", "a", "autoscaler"),
            service("a_web", "a", ""),
            service("b_auto", "b", "autoscaler"),
            service("b_web", "b", ""),
            service("c_web", "c", ""),
        ];
        let mut alone = service("alone", "", "");
        alone.labels.clear();
        services.push(alone);
        let of = |own| ours(&services, own).map(|s| s.name.as_str()).collect::<Vec<_>>();
        assert_eq!(of(Some("a")), ["a_auto", "a_web", "c_web", "alone"]);
        assert_eq!(of(Some("b")), ["b_auto", "b_web"]);
        assert_eq!(of(None), [] as [&str; 0]);
    }

    #[test]
    fn an_autoscaler_outside_of_any_stack_takes_all_when_it_is_the_only_one() {
        let services = [service("a_web", "a", ""), service("b_web", "b", "")];
        assert_eq!(ours(&services, None).count(), 2);
    }
}
