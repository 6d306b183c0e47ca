use serde_json::{Value, json};

use super::*;
use crate::swarm;

/// Two nodes of 2 cores and 4 GB: `a`, a manager with a fast disk, and `b`, a worker.
fn nodes() -> Vec<Node> {
    let node = |name: &str, role: &str, labels: Value| {
        json!({"ID": format!("id-{name}"), "Spec": {"Role": role, "Availability": "active", "Labels": labels},
               "Description": {"Hostname": name, "Platform": {"OS": "linux", "Architecture": "x86_64"},
                               "Resources": {"NanoCPUs": 2_000_000_000_u64, "MemoryBytes": 4_000_000_000_u64}},
               "Status": {"State": "ready"}})
    };
    swarm::nodes_from_json(&json!([node("a", "manager", json!({"disk": "fast"})), node("b", "worker", json!({}))]))
}

fn service(name: &str, placement: Value, reserved: Value) -> Service {
    swarm::from_json(&json!({"ID": name, "Version": {"Index": 1}, "Spec": {
        "Name": name, "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": {"Placement": placement, "Resources": {"Reservations": reserved}}}}))
}

fn snapshot(tasks: &[(&str, &[&str])]) -> Snapshot {
    let service = |(name, hosts): &(&str, &[&str])| {
        let task = |host: &&str| {
            json!({"id": "t", "slot": 1, "node": host, "address": null, "state": "running",
                                        "since_ms": 0, "cpu": null, "memory": null})
        };
        let tasks: Vec<_> = hosts.iter().map(task).collect();
        let reading = json!({"id": name, "replicas_desired": 1, "replicas_running": 1, "tasks": tasks,
                             "http": null, "connections": null, "cache": null});
        ((*name).to_owned(), reading)
    };
    let services: serde_json::Map<_, _> = tasks.iter().map(service).collect();
    let snapshot = json!({"contract": 1, "taken_at_ms": 0, "interval_ms": 5000, "services": services, "nodes": [],
                          "sources": [], "balancer": null});
    serde_json::from_value(snapshot).unwrap()
}

fn room(service: Service, tasks: &[(&str, &[&str])]) -> Option<u64> {
    let (nodes, snapshot, services) = (nodes(), snapshot(tasks), [service]);
    Room::new(&nodes, &services, &snapshot).of(&services[0])
}

#[test]
fn without_reservations_there_is_room_without_end() {
    assert_eq!(room(service("web", json!({}), json!({})), &[]), None);
    assert_eq!(room(service("web", Value::Null, Value::Null), &[]), None);
}

#[test]
fn reservations_divide_what_the_nodes_have() {
    let half_a_core = json!({"NanoCPUs": 500_000_000});
    assert_eq!(room(service("web", json!({}), half_a_core.clone()), &[]), Some(8));
    assert_eq!(room(service("web", json!({}), half_a_core), &[("web", &["a", "a", "b"])]), Some(8));
    assert_eq!(room(service("web", json!({}), json!({"MemoryBytes": 1_500_000_000})), &[]), Some(4));
}

#[test]
fn other_services_take_their_part() {
    let (nodes, snapshot) = (nodes(), snapshot(&[("web", &["a"]), ("other", &["a", "b"])]));
    let services = [
        service("web", json!({}), json!({"NanoCPUs": 500_000_000})),
        service("other", json!({}), json!({"NanoCPUs": 1_000_000_000})),
    ];
    // On a one is there and one more fits, on b two.
    assert_eq!(Room::new(&nodes, &services, &snapshot).of(&services[0]), Some(4));
}

#[test]
fn so_many_per_node_and_no_more() {
    let two = json!({"MaxReplicas": 2});
    assert_eq!(room(service("web", two.clone(), json!({})), &[("web", &["a", "a", "a"])]), Some(5));
    assert_eq!(room(service("web", two, json!({})), &[]), Some(4));
}

#[test]
fn constraints_choose_the_nodes() {
    let one_each =
        |constraint: &str| room(service("web", json!({"MaxReplicas": 1, "Constraints": [constraint]}), json!({})), &[]);
    for (constraint, nodes) in [
        ("node.role == manager", 1),
        ("node.role!=manager", 1),
        ("node.labels.disk==Fast", 1),
        ("node.labels.disk != fast", 1),
        ("node.labels.none==x", 0),
        ("node.hostname==b", 1),
        ("node.id == id-a", 1),
        ("node.platform.os==linux", 2),
        ("engine.labels.x!=y", 2),
        ("node.tomorrow==1", 2),
        ("no constraint at all", 2),
    ] {
        assert_eq!(one_each(constraint), Some(nodes), "{constraint}");
    }
}

#[test]
fn a_platform_chooses_the_nodes_under_either_of_its_names() {
    let one_each = |platforms: Value| {
        room(service("web", json!({"MaxReplicas": 1, "Platforms": platforms}), json!({})), &[]).unwrap()
    };
    for (platforms, nodes) in [
        (json!([]), 2),
        (json!([{"Architecture": "amd64", "OS": "linux"}]), 2),
        (json!([{"Architecture": "x86_64", "OS": "linux"}]), 2),
        (json!([{"OS": "linux"}]), 2),
        (json!([{"Architecture": "arm64", "OS": "linux"}]), 0),
        (json!([{"Architecture": "amd64", "OS": "windows"}]), 0),
        (json!([{"Architecture": "arm64", "OS": "linux"}, {"Architecture": "amd64", "OS": "linux"}]), 2),
    ] {
        assert_eq!(one_each(platforms.clone()), nodes, "{platforms}");
    }
}

#[test]
fn a_port_of_the_node_is_taken_by_one_task() {
    let published = |mode: &str, port: u64| {
        let spec = json!({"Name": "web", "Mode": {"Replicated": {"Replicas": 1}},
            "EndpointSpec": {"Ports": [{"PublishMode": mode, "PublishedPort": port, "TargetPort": 80}]}});
        room(swarm::from_json(&json!({"ID": "web", "Version": {"Index": 1}, "Spec": spec})), &[("web", &["a"])])
    };
    assert_eq!((published("host", 8080), published("host", 0), published("ingress", 8080)), (Some(2), None, None));
}

#[test]
fn drained_and_lost_nodes_hold_nothing() {
    for (availability, state) in [("drain", "ready"), ("pause", "ready"), ("active", "down")] {
        let node = json!([{"ID": "x", "Spec": {"Availability": availability}, "Status": {"State": state}}]);
        let (nodes, snapshot) = (swarm::nodes_from_json(&node), snapshot(&[]));
        let services = [service("web", json!({}), json!({}))];
        assert_eq!(Room::new(&nodes, &services, &snapshot).of(&services[0]), Some(0), "{availability} {state}");
    }
}
