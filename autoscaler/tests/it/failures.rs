//! What happens when the engine or the collector fails: nothing is scaled, it is said, and
//! it passes by itself.

use autoscaler::scaling::Reason;

use crate::{
    engine::Trouble,
    rounds::{START, Stage, labels},
};

#[tokio::test]
async fn an_engine_in_trouble_is_reported_and_recovered_from() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    for (trouble, word) in
        [(Trouble::Hang, "does not answer"), (Trouble::Fail, "no leader"), (Trouble::Garbage, "not understood")]
    {
        stage.engine.trouble(&[trouble]);
        stage.round(START, 90.0).await;
        assert_eq!(stage.engine.replicas("s_web"), 2);
        let error = stage.board.rounds().swarm_error.unwrap();
        assert!(error.contains(word), "{error}");
    }
    stage.round(START + 1, 90.0).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.board.rounds().swarm_error), (3, None));
}

#[tokio::test]
async fn a_write_that_hangs_is_given_up_and_tried_again_in_the_next_round() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    stage.engine.trouble_at(&[(1, Trouble::Hang)]);
    stage.round(START, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 2);
    let status = stage.board.service("s_web", None).unwrap();
    assert!(status.apply_error.is_some() && status.why.contains("writing that failed"), "{}", status.why);
    stage.round(START + 1, 90.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
}

#[tokio::test]
async fn a_silent_collector_never_lowers() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 4, labels());
    stage.round(START, 0.0).await;
    stage.collector.fall_silent();
    stage.rounder.run(START + 200_000).await;
    assert_eq!((stage.engine.replicas("s_web"), stage.reason()), (4, Reason::StaleData));
    assert!(stage.board.rounds().collector_error.unwrap().contains("503"));
    stage.collector.say_text(r#"{"contract": 99}"#);
    stage.rounder.run(START + 200_001).await;
    assert!(stage.board.rounds().collector_error.unwrap().contains("contract 99"));
    stage.round(START + 320_001, 0.0).await;
    assert_eq!(stage.engine.replicas("s_web"), 3);
}

#[tokio::test]
async fn a_missing_socket_names_itself() {
    let mut stage = Stage::new().await;
    stage.engine.add("s_web", 2, labels());
    std::fs::remove_file(&stage.engine.socket).unwrap();
    stage.round(START, 90.0).await;
    let error = stage.board.rounds().swarm_error.unwrap();
    assert!(error.contains(".sock does not answer: No such file"), "{error}");
}
