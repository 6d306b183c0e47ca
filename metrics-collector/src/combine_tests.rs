use shared::snapshot::ConnectionsReading;

use super::*;
use crate::agent::report::CpuSample;

fn swarm() -> Swarm {
    crate::parse::swarm::read(
        serde_json::from_str(include_str!("../tests/golden/services.json")).unwrap(),
        serde_json::from_str(include_str!("../tests/golden/tasks.json")).unwrap(),
        serde_json::from_str(include_str!("../tests/golden/nodes.json")).unwrap(),
        |_| true,
        0,
    )
}

fn samples(sample: TaskSample) -> Samples {
    Samples { tasks: [("0fq5ipmdbp4mme07wckky5k6j".to_owned(), sample)].into(), interval_ms: 5_000 }
}

fn sample() -> TaskSample {
    TaskSample {
        container_id: "f74d".into(),
        sampled_at_ms: 123,
        cpu: Some(CpuSample { cores: 0.15, window_ms: 15_000 }),
        memory_bytes: Some(1 << 20),
        cpu_limit_cores: Some(0.3),
        memory_limit_bytes: None,
        paused: false,
    }
}

fn taken(readings: Readings<'_>, owners: &Owners) -> Snapshot {
    snapshot(readings, owners, Duration::from_secs(1), vec![], 9_000)
}

#[test]
fn a_sample_finds_its_task_and_its_limit() {
    let (swarm, samples) = (swarm(), samples(sample()));
    let readings = Readings { swarm: Some(&swarm), samples: Some(&samples), ..Readings::default() };
    let snapshot = taken(readings, &Owners::default());
    let web = &snapshot.services["collprobe_web"];
    assert_eq!((web.replicas_desired, web.replicas_running), (Some(2), 2));
    let task = &web.tasks[1];
    let usage = |used, limit| Some(Usage { used, limit, basis: LimitBasis::Limit, sampled_at_ms: 123 });
    assert_eq!(task.cpu, usage(0.15, 0.3), "the container's own limit goes before Swarm's");
    assert_eq!(task.memory, usage(1_048_576.0, 67_108_864.0));
    assert_eq!((web.tasks[0].cpu, web.tasks[0].memory), (None, None), "no sample is no usage");
    assert_eq!(snapshot.interval_ms, 5_000, "the slower of agent and collector");
}

#[test]
fn a_task_is_paused_when_the_agent_of_its_node_says_so() {
    let (swarm, samples) = (swarm(), samples(TaskSample { paused: true, ..sample() }));
    let readings = Readings { swarm: Some(&swarm), samples: Some(&samples), ..Readings::default() };
    let web = &taken(readings, &Owners::default()).services["collprobe_web"];
    assert_eq!((web.tasks[0].paused, web.tasks[1].paused), (false, true));
    assert_eq!(web.replicas_running, 2, "Swarm takes it for running");
}

#[test]
fn impossible_numbers_of_an_agent_are_absent() {
    for cores in [f64::NAN, f64::INFINITY, -1.0] {
        let broken = TaskSample { cpu: Some(CpuSample { cores, window_ms: 1 }), ..sample() };
        let (swarm, samples) = (swarm(), samples(broken));
        let readings = Readings { swarm: Some(&swarm), samples: Some(&samples), ..Readings::default() };
        assert_eq!(taken(readings, &Owners::default()).services["collprobe_web"].tasks[1].cpu, None);
    }
}

#[test]
fn a_task_on_a_lost_node_is_listed_but_not_counted_as_running() {
    let mut swarm = swarm();
    swarm.services.get_mut("collprobe_web").unwrap().tasks[0].node_ready = false;
    let readings = Readings { swarm: Some(&swarm), ..Readings::default() };
    let web = &taken(readings, &Owners::default()).services["collprobe_web"];
    assert_eq!((web.replicas_running, web.tasks.len()), (1, 2));
}

#[test]
fn connections_belong_to_the_configured_services() {
    let swarm = swarm();
    let reads = ConnectionsReading { sampled_at_ms: 1, active: 2, usable: 97, servers: vec![] };
    let primary = ConnectionsReading { active: 5, ..reads.clone() };
    let load = Load { primary: Some(primary), reads: Some(reads), servers: vec![] };
    let readings = Readings { swarm: Some(&swarm), load: Some(&load), ..Readings::default() };
    let active = |owners| taken(readings, &owners).services["collprobe_web"].connections.as_ref().map(|c| c.active);
    let web = || Some("collprobe_web".to_owned());
    assert_eq!(active(Owners { database_reads: web(), ..Owners::default() }), Some(2));
    assert_eq!(active(Owners { database_primary: web(), ..Owners::default() }), Some(5));
    assert_eq!(active(Owners::default()), None);
}

#[test]
fn without_any_source_everything_is_absent() {
    let snapshot = taken(Readings::default(), &Owners::default());
    assert!(snapshot.services.is_empty() && snapshot.nodes.is_empty() && snapshot.balancer.is_none());
}
