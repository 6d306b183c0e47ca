use std::{path::Path, time::Duration};

use collector::{agent::sampler::Sampler, docker::Engine};

use crate::{
    containers::{Container, unique},
    fake_engine::{Answer, FakeEngine},
    support::{agent, eventually},
};

fn sampler(engine: &FakeEngine) -> Sampler {
    Sampler::new(Engine::new(&engine.socket, Duration::from_millis(500)).unwrap(), &agent())
}

#[tokio::test]
async fn a_container_that_uses_its_whole_limit_is_seen_at_its_limit() {
    let task = unique("task");
    let label = format!("com.docker.swarm.task.id={task}");
    let burn = ["debian:trixie-slim", "sh", "-c", "while :; do :; done"];
    let burner = Container::run(&[&["--cpus", "0.2", "--memory", "64m", "--label", &label][..], &burn[..]].concat());
    let engine = Engine::new(Path::new("/var/run/docker.sock"), Duration::from_secs(4)).unwrap();
    let mut sampler = Sampler::new(engine, &agent());
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let sample = eventually("a window of 3 s at the limit", async || {
        tick.tick().await;
        let report = sampler.round().await.unwrap();
        let sample = report.tasks.get(&task)?.clone();
        let cpu = sample.cpu?;
        (cpu.window_ms >= 3_000 && (0.18..=0.22).contains(&cpu.cores)).then_some(sample)
    })
    .await;
    assert_eq!(sample.cpu_limit_cores, Some(0.2));
    assert_eq!(sample.memory_limit_bytes, Some(f64::from(64 << 20)));
    // A shell, not the page cache of the files it was started from.
    assert!((1..4 << 20).contains(&sample.memory_bytes.unwrap()), "{sample:?}");

    drop(burner);
    assert!(!sampler.round().await.unwrap().tasks.contains_key(&task), "a container that is gone is not listed");
}

#[tokio::test]
async fn the_page_cache_of_a_written_file_is_not_memory_in_use() {
    let task = unique("task");
    let label = format!("com.docker.swarm.task.id={task}");
    let write =
        ["sh", "-c", "dd if=/dev/zero of=/file bs=1M count=48 2>/dev/null && sync /file && touch /done && sleep 300"];
    let image = ["--memory", "128m", "--label", &label, "debian:trixie-slim"];
    let writer = Container::run(&[&image[..], &write[..]].concat());
    eventually("the file is written", async || writer.exec(&["test", "-e", "/done"]).ok()).await;
    let engine = Engine::new(Path::new("/var/run/docker.sock"), Duration::from_secs(4)).unwrap();
    let whole = engine.stats(&writer.id).await.unwrap().memory_stats.unwrap().usage.unwrap();
    assert!(whole > 48 << 20, "the kernel counts the file: {whole}");
    let report = Sampler::new(engine, &agent()).round().await.unwrap();
    let used = report.tasks[&task].memory_bytes.unwrap();
    assert!((1..8 << 20).contains(&used), "{used} of {whole}");
}

#[tokio::test]
async fn a_container_that_hangs_does_not_hide_the_others() {
    let engine = FakeEngine::start();
    engine.containers(&["good", "hangs", "lies"]);
    engine.stats("good", 1, 1_000_000_000);
    engine.on("/containers/hangs/stats", Answer::Never);
    engine.on("/containers/lies/stats", Answer::Text("{\"read\": 7"));
    let mut sampler = sampler(&engine);
    let report = sampler.round().await.unwrap();
    assert_eq!(report.tasks.keys().collect::<Vec<_>>(), ["task-good"]);
    let sample = &report.tasks["task-good"];
    assert_eq!((sample.cpu, sample.memory_bytes), (None, Some(8 << 20)), "one reading has no rate yet");
    engine.stats("good", 0, 1_100_000_000);
    let cpu = sampler.round().await.unwrap().tasks["task-good"].cpu.unwrap();
    assert_eq!((cpu.cores, cpu.window_ms), (0.1, 1_000));
}

#[tokio::test]
async fn a_restarted_container_is_not_measured_against_its_former_run() {
    let engine = FakeEngine::start();
    engine.containers(&["a"]);
    let mut sampler = sampler(&engine);
    engine.stats("a", 2, 9_000_000_000);
    sampler.round().await.unwrap();
    engine.stats("a", 1, 100_000_000);
    assert_eq!(sampler.round().await.unwrap().tasks["task-a"].cpu, None);
    engine.stats("a", 0, 200_000_000);
    assert!(sampler.round().await.unwrap().tasks["task-a"].cpu.unwrap().cores < 0.2);
}

#[tokio::test]
async fn a_sample_that_grew_old_and_a_container_that_ended_are_not_reported() {
    let engine = FakeEngine::start();
    engine.containers(&["old", "ended"]);
    engine.stats("old", 10, 1);
    engine.stats("ended", 0, 1);
    let mut sampler = sampler(&engine);
    assert_eq!(sampler.round().await.unwrap().tasks.keys().collect::<Vec<_>>(), ["task-ended"]);
    engine.containers(&["old"]);
    assert!(sampler.round().await.unwrap().tasks.is_empty());
}

#[tokio::test]
async fn an_engine_that_talks_nonsense_fails_the_round_and_the_next_one_works() {
    let engine = FakeEngine::start();
    engine.on("/containers/json", Answer::Text("<html>"));
    let mut sampler = sampler(&engine);
    assert!(sampler.round().await.is_err());
    engine.containers(&["a"]);
    engine.stats("a", 0, 1);
    assert_eq!(sampler.round().await.unwrap().tasks.len(), 1);
}

#[tokio::test]
async fn the_engine_is_only_read() {
    let engine = FakeEngine::start();
    engine.containers(&["a"]);
    engine.stats("a", 0, 1);
    sampler(&engine).round().await.unwrap();
    let asked = engine.asked();
    assert!(asked.iter().all(|asked| asked.starts_with("GET ")), "{asked:?}");
    assert!(asked.iter().any(|asked| asked.ends_with("/stats?stream=false&one-shot=true")), "{asked:?}");
}
