//! From the board to the keeper: a point of each service and the decisions, once a round.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::broadcast::error::RecvError;

use super::{Keeper, Point, Profile, store::Batch};
use crate::board::{Board, Event, Rounds, Status};

/// Hands everything to the keeper until the board is closed and all of it is written.
pub async fn follow(board: Arc<Board>, keeper: Keeper) {
    let Some(mut listener) = board.listen() else { return };
    let mut follower = Follower { spacing_ms: keeper.spacing_ms(), ..Follower::default() };
    loop {
        tokio::select! {
            // In this order, so that nothing is left unheard when the board is closed.
            biased;
            decision = listener.decisions.recv() => match decision {
                Ok(event) => follower.decisions.push(event),
                Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "decisions are missing in the history"),
                Err(RecvError::Closed) => break,
            },
            Ok(()) = listener.rounds.changed() => {
                let (batch, now_ms) = board.view(|services, rounds| follower.round(services, rounds));
                keeper.record(batch, now_ms);
            }
        }
    }
    let (batch, now_ms) = board.view(|services, rounds| follower.round(services, rounds));
    keeper.record(batch, now_ms);
    keeper.close().await;
}

#[derive(Debug, Default)]
struct Follower {
    spacing_ms: u64,
    /// Decisions since the last batch.
    decisions: Vec<Event>,
    /// What was handed over last of each service.
    handed: HashMap<String, (u64, Option<Profile>)>,
}

impl Follower {
    fn round<'a>(&mut self, services: impl Iterator<Item = &'a Status>, rounds: &Rounds) -> (Batch, u64) {
        let now_ms = rounds.last_ms.unwrap_or(0);
        let mut batch = Batch { decisions: std::mem::take(&mut self.decisions), ..Batch::default() };
        let mut handed = HashMap::new();
        for status in services {
            let (mut at_ms, mut known) = self.handed.remove(&status.service).unwrap_or_default();
            let apart_ms = status.decided_at_ms.abs_diff(at_ms);
            // Without a look at the Swarm, the board shows the round before.
            let due = apart_ms > 0 && apart_ms >= self.spacing_ms;
            if let Some(point) = due.then(|| Point::of(status)).flatten() {
                at_ms = point.at_ms;
                batch.points.push((status.service.clone(), point));
                let profile = status
                    .detail
                    .as_ref()
                    .map(|detail| Profile { policy: detail.policy.clone(), start_up_ms: detail.start_up_ms });
                if profile != known {
                    batch.profiles.extend(profile.clone().map(|profile| (status.service.clone(), profile)));
                    known = profile;
                }
            }
            handed.insert(status.service.clone(), (at_ms, known));
        }
        self.handed = handed;
        (batch, now_ms)
    }
}
