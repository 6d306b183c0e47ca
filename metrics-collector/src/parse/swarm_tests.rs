use serde_json::{Value, json};

use super::*;

fn golden(tasks: Value) -> Swarm {
    read(
        serde_json::from_str(include_str!("../../tests/golden/services.json")).unwrap(),
        serde_json::from_value(tasks).unwrap(),
        serde_json::from_str(include_str!("../../tests/golden/nodes.json")).unwrap(),
        |attached| attached.contains("10.0.1.200".parse().unwrap()),
        clock::parse_ms("2026-11-23T22:53:00Z").unwrap(),
    )
}

fn golden_tasks() -> Value {
    serde_json::from_str(include_str!("../../tests/golden/tasks.json")).unwrap()
}

fn web(swarm: &Swarm) -> &SwarmService {
    &swarm.services["collprobe_web"]
}

#[test]
fn an_engines_own_answers_become_a_service_with_tasks() {
    let swarm = golden(golden_tasks());
    let web = web(&swarm);
    assert_eq!((web.replicas_desired, web.tasks.len()), (Some(2), 2));
    assert_eq!(web.labels["swarm.autoscaler.metrics.port"], "3000");
    let task = &web.tasks[1];
    assert_eq!(task.slot, Some(2));
    assert_eq!(task.address.as_deref(), Some("10.0.1.3"));
    assert_eq!(task.node.as_deref(), Some("vm"));
    assert_eq!((task.state, task.node_ready), (TaskState::Running, true));
    assert_eq!(task.since_ms, clock::parse_ms("2026-11-23T22:52:45.460969242Z").unwrap());
    assert_eq!(task.cpu_limit, Some(Limit { value: 0.2, basis: LimitBasis::Limit }));
    assert_eq!(task.memory_limit, Some(Limit { value: 67_108_864.0, basis: LimitBasis::Limit }));
    assert_eq!(swarm.nodes[0].cores, 2.0);
    assert!(swarm.nodes[0].ready && swarm.nodes[0].active);
}

#[test]
fn without_a_limit_the_reservation_counts_and_else_the_node() {
    let mut tasks = golden_tasks();
    tasks[0]["Spec"]["Resources"]["Limits"] = json!({});
    let swarm = golden(tasks);
    let changed = &web(&swarm).tasks[1];
    assert_eq!(changed.cpu_limit, Some(Limit { value: 0.05, basis: LimitBasis::Reservation }));
    assert_eq!(changed.memory_limit, Some(Limit { value: 25_276_514_304.0, basis: LimitBasis::Node }));
}

#[test]
fn states_follow_what_swarm_wants_and_ended_tasks_are_not_listed() {
    let cases = [
        ("running", "running", Some(TaskState::Running)),
        ("starting", "running", Some(TaskState::Starting)),
        ("preparing", "running", Some(TaskState::Pending)),
        ("ready", "ready", Some(TaskState::Pending)),
        ("running", "shutdown", Some(TaskState::Stopping)),
        ("starting", "remove", Some(TaskState::Stopping)),
        ("pending", "shutdown", None),
        ("failed", "running", None),
        ("shutdown", "shutdown", None),
        ("orphaned", "shutdown", None),
        ("something-new", "running", None),
    ];
    for (reached, desired, expected) in cases {
        assert_eq!(state(reached, desired), expected, "{reached}, wanted {desired}");
    }
}

#[test]
fn a_task_told_to_stop_on_a_lost_node_is_not_listed_for_ever() {
    let mut tasks = golden_tasks();
    tasks[0]["NodeID"] = json!("gone");
    tasks[0]["DesiredState"] = json!("shutdown");
    assert_eq!(web(&golden(tasks)).tasks.len(), 1);
}

#[test]
fn only_an_address_on_a_shared_network_is_told() {
    let mut tasks = golden_tasks();
    let mesh = json!({"Network": {"Spec": {"Name": "ingress", "Ingress": true}}, "Addresses": ["10.0.1.9/24"]});
    let other = json!({"Network": {"Spec": {"Name": "other"}}, "Addresses": ["10.9.0.4/24"]});
    tasks[0]["NetworksAttachments"] = json!([mesh, other, tasks[0]["NetworksAttachments"][0]]);
    tasks[1]["NetworksAttachments"] = json!([other]);
    let swarm = golden(tasks);
    assert_eq!(web(&swarm).tasks[0].address, None);
    assert_eq!(web(&swarm).tasks[1].address.as_deref(), Some("10.0.1.3"));
}

#[test]
fn a_prefix_decides_which_addresses_share_a_network() {
    let attached = Attached::parse("10.0.1.3/24").unwrap();
    assert!(attached.contains("10.0.1.255".parse().unwrap()));
    assert!(!attached.contains("10.0.2.3".parse().unwrap()));
    assert!(!attached.contains("::1".parse().unwrap()));
    assert!(Attached::parse("10.0.1.3/0").unwrap().contains("192.0.2.1".parse().unwrap()));
    assert!(Attached::parse("10.0.1.3/32").unwrap().contains("10.0.1.3".parse().unwrap()));
    assert!(Attached::parse("fd00::1/64").unwrap().contains("fd00::9".parse().unwrap()));
    for bad in ["10.0.1.3", "10.0.1.3/33", "x/24", "10.0.1.3/-1"] {
        assert_eq!(Attached::parse(bad), None, "{bad}");
    }
}
