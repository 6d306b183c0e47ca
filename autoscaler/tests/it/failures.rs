//! What happens when the engine or the collector fails: nothing is scaled, it is said, the
//! round ends in time, and it passes by itself.

use std::time::{Duration, Instant};

use autoscaler::scaling::Reason;
use serde_json::json;

use crate::{
    rounds::{PATIENCE, START, Stage, labels},
    snapshots::snapshot,
    troubles::{READING, Trouble},
};

/// A round of a stage, and how long it took.
async fn timed(stage: &mut Stage, at_ms: u64, cpu_percent: f64) -> Duration {
    #[allow(clippy::disallowed_methods, reason = "how long a round lasts is what is tested")]
    let started = Instant::now();
    stage.round(at_ms, cpu_percent).await;
    started.elapsed()
}

/// The calls of a round run side by side, and the machine may be busy.
const ROUND: Duration = PATIENCE.saturating_mul(4);

#[tokio::test]
async fn an_engine_in_any_trouble_is_reported_in_time_and_recovered_from() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    for (number, (trouble, word)) in (0..).zip(READING) {
        let at_ms = START + number * 1_000;
        stage.engine.trouble(&[trouble]);
        let took = timed(&mut stage, at_ms, 90.0).await;
        assert_eq!(stage.engine.replicas("s_web"), 2);
        let error = stage.board.rounds().swarm_error.unwrap();
        assert!(error.contains(word) && took < ROUND, "{trouble:?}: {error} after {took:?}");
        stage.round(at_ms, 50.0).await;
        assert_eq!((stage.reason(), stage.board.rounds().swarm_error), (Reason::Steady, None), "{trouble:?}");
    }
    stage.round(START + 60_000, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
}

#[tokio::test]
async fn nodes_that_cannot_be_read_hold_nobody_up() {
    for (trouble, _) in READING {
        let mut stage = Stage::new().await;
        stage.engine.add("s_web", 2, labels());
        stage.engine.inner.lock().unwrap().nodes_trouble = Some(trouble);
        let took = timed(&mut stage, START, 90.0).await;
        assert_eq!(stage.engine.replicas("s_web"), 3, "{trouble:?}");
        assert!(took < ROUND, "{trouble:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_write_in_any_trouble_is_given_up_and_tried_again_in_the_next_round() {
    for (trouble, _) in READING.into_iter().filter(|(trouble, _)| {
        // Whatever the engine says with status 200, the write has happened.
        !matches!(trouble, Trouble::Garbage | Trouble::OtherJson | Trouble::Nested)
    }) {
        let mut stage = Stage::new().await;
        stage.engine.add("s_web", 2, labels());
        stage.engine.trouble_at(&[(1, trouble)]);
        let took = timed(&mut stage, START, 90.0).await;
        assert_eq!(stage.engine.replicas("s_web"), 2);
        let status = stage.board.service("s_web", None).unwrap();
        assert!(status.apply_error.is_some() && status.why.contains("writing that failed"), "{}", status.why);
        assert!(took < ROUND, "{trouble:?}: {took:?}");
        // It was not done, so there is no cooldown.
        assert_eq!(status.detail.unwrap().history.last, None);
        stage.round(START + 1, 90.0).await;
        assert_eq!(stage.engine.replicas("s_web"), 3, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_done_twice() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.engine.trouble_at(&[(1, Trouble::LoseAnswer)]);
    stage.round(START, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
    assert!(stage.board.service("s_web", None).unwrap().apply_error.is_some());
    // The sample is older than the step, which only the label knows of.
    stage.collector.say(&snapshot("s_web", START, &[90.0, 90.0, 90.0]));
    stage.rounder.run(START + 1_000).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (3, Reason::WaitingForSample));
    stage.round(START + 2_000, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 4);
}

#[tokio::test]
async fn an_engine_that_no_longer_takes_writes_does_not_hold_up_the_round_for_each_service() {
    let mut stage = Stage::new().await;
    let mut reading = snapshot("s_web", START, &[90.0, 90.0]);
    for number in 0..20 {
        let name = format!("s_web{number}");
        stage.engine.add(&name, 2, labels());
        let mut one = reading["services"]["s_web"].clone();
        one["id"] = json!(format!("id-{name}"));
        reading["services"][&name] = one;
    }
    stage.engine.add("s_web", 2, labels());
    let after_the_list: Vec<_> = (1..30).map(|call| (call, Trouble::Hang)).collect();
    stage.engine.trouble_at(&after_the_list);
    stage.collector.say(&reading);
    #[allow(clippy::disallowed_methods, reason = "how long a round lasts is what is tested")]
    let started = Instant::now();
    stage.rounder.run(START).await;
    assert!(started.elapsed() < ROUND, "{:?}", started.elapsed());
    let failed = stage.board.services().iter().filter(|status| status.apply_error.is_some()).count();
    assert_eq!(failed, 21);
    stage.engine.inner.lock().unwrap().troubles.clear();
    stage.rounder.run(START + 1).await;
    assert!(stage.board.services().iter().all(|status| status.apply_error.is_none()));
    assert_eq!(stage.engine.inner.lock().unwrap().written.len(), 21);
}

#[tokio::test]
async fn a_collector_in_any_trouble_never_lowers() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 4, labels());
    stage.round(START, 0.0).await;
    for (trouble, word) in READING {
        stage.collector.trouble(trouble);
        #[allow(clippy::disallowed_methods, reason = "how long a round lasts is what is tested")]
        let started = Instant::now();
        stage.rounder.run(START + 200_000).await;
        let took = started.elapsed();
        assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (4, Reason::StaleData));
        let error = stage.board.rounds().collector_error.unwrap();
        assert!(error.contains(word) && took < ROUND, "{trouble:?}: {error} after {took:?}");
    }
    stage.collector.fall_silent();
    stage.rounder.run(START + 200_000).await;
    assert!(stage.board.rounds().collector_error.unwrap().contains("503"));
    stage.collector.say_text(r#"{"contract": 99}"#);
    stage.rounder.run(START + 200_001).await;
    assert!(stage.board.rounds().collector_error.unwrap().contains("contract 99"));
    stage.round(START + 320_001, 0.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
}

#[tokio::test]
async fn a_missing_socket_names_itself_and_is_found_when_it_is_back() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    std::fs::remove_file(&stage.engine.socket).unwrap();
    stage.round(START, 90.0).await;
    let error = stage.board.rounds().swarm_error.unwrap();
    assert!(error.contains(".sock does not answer: No such file"), "{error}");
    stage.engine.serve();
    stage.round(START + 1, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.board.rounds().swarm_error), (3, None));
}

#[tokio::test]
async fn a_socket_that_does_not_speak_http_is_said_so() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    std::fs::remove_file(&stage.engine.socket).unwrap();
    let listener = tokio::net::UnixListener::bind(&stage.engine.socket).unwrap();
    let other = tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let _ = connection.try_write(b"220 mail ready\r\n");
        }
    });
    let took = timed(&mut stage, START, 90.0).await;
    let error = stage.board.rounds().swarm_error.unwrap();
    assert!(error.contains("does not answer: ") && took < ROUND, "{error} after {took:?}");
    other.abort();
}
