//! What an operator asks for through the API: pause, resume, scale. Each is one write to the
//! service with the version that was read; the rounds learn of it from the label.

use std::{sync::Arc, time::Duration};

use rand::RngExt;

use crate::{
    board::{Board, Event, Ordered},
    labels::{self, Labelled},
    scaling::{Action, Bounds, Manual, Mode, Reason, Step},
    settings::Defaults,
    state::State,
    swarm::{Service, Swarm, SwarmError},
};

/// Conflicts that one order puts up with.
const MOST_TRIES: u32 = 5;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Leave the service alone until then.
    Pause {
        /// Unix milliseconds.
        until_ms: u64,
    },
    /// Take it up again: no pause, and no count that was set by hand.
    Resume,
    /// Set the count; it is respected for the service's hold time.
    Scale {
        /// Replicas.
        replicas: u64,
    },
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Not on the board.
    #[error("no such service, or it does not carry the label {}=true", labels::PREFIX)]
    Unknown,
    /// Its labels are wrong, or it has no replica count.
    #[error("{0}")]
    NotScalable(String),
    /// A count that the labels do not allow.
    #[error("replicas={asked}: allowed is a whole number from {} to {}", bounds.min(), bounds.max())]
    OutOfBounds {
        /// What was asked for.
        asked: u64,
        /// What the labels allow.
        bounds: Bounds,
    },
    /// The Swarm could not be read or written.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
}

/// What the service is like afterwards.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Done {
    /// Name of the service.
    pub service: String,
    /// Its replica count.
    pub replicas: u64,
    /// Until when it is left alone; `None` when it is not paused.
    pub paused_until_ms: Option<u64>,
}

/// Carries out orders.
#[derive(Debug)]
pub struct Operator<S> {
    swarm: S,
    board: Arc<Board>,
    defaults: Defaults,
    stack: Option<String>,
}

impl<S: Swarm> Operator<S> {
    /// Ready for orders on the services of the board.
    pub fn new(swarm: S, board: Arc<Board>, defaults: Defaults, stack: Option<String>) -> Self {
        Self { swarm, board, defaults, stack }
    }

    /// Carries out one order on the service of that name, with or without the stack's prefix.
    pub async fn carry_out(&self, name: &str, order: Order, now_ms: u64) -> Result<Done, OrderError> {
        // The board lists what this autoscaler answers for, and no id can be mistaken for a name.
        let name = self.board.service(name, self.stack.as_deref()).ok_or(OrderError::Unknown)?.service;
        let mut tries = 1;
        loop {
            let service = self.read(&name).await?;
            match self.write(&service, order, now_ms).await {
                Err(OrderError::Swarm(SwarmError::Conflict)) if tries < MOST_TRIES => {
                    tries += 1;
                    let jitter = rand::rng().random_range(20..100);
                    tokio::time::sleep(Duration::from_millis(jitter)).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn read(&self, name: &str) -> Result<Service, OrderError> {
        match self.swarm.service(name).await {
            Ok(service) if service.name == name => Ok(service),
            Ok(_) | Err(SwarmError::NotFound) => Err(OrderError::Unknown),
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, service: &Service, order: Order, now_ms: u64) -> Result<Done, OrderError> {
        let bounds = match labels::parse(&service.labels, &self.defaults) {
            Labelled::Yes(directions) => directions.at(now_ms).policy.bounds,
            Labelled::No => return Err(OrderError::Unknown),
            Labelled::Wrong(problems) => return Err(OrderError::NotScalable(problems.join("; "))),
        };
        if service.mode != Mode::Replicated {
            return Err(OrderError::NotScalable(
                "only replicated services can be scaled, not global ones or jobs".into(),
            ));
        }
        let mut state = State::read(&service.labels).unwrap_or_default();
        let mut replicas = service.replicas;
        match order {
            Order::Pause { until_ms } => state.paused_until_ms = Some(until_ms),
            Order::Resume => {
                (state.paused_until_ms, state.manual) = (None, None);
                // Whoever set the present count, from now on it is as good as ours.
                let last = state.step.unwrap_or(Step { from: replicas, to: replicas, at_ms: 0 });
                state.step = Some(Step { to: replicas, ..last });
            }
            Order::Scale { replicas: asked } if bounds.clamp(asked) != asked => {
                return Err(OrderError::OutOfBounds { asked, bounds });
            }
            Order::Scale { replicas: asked } => {
                state.manual = Some(Manual { replicas: asked, at_ms: now_ms });
                replicas = asked;
            }
        }
        self.swarm.scale(service, replicas, &state.to_string()).await?;
        self.tell(service, order, replicas, now_ms);
        let paused_until_ms = state.paused_until_ms.filter(|until| *until > now_ms);
        let text = match order {
            Order::Pause { until_ms } => format!("an operator paused it for {} s", seconds(now_ms, until_ms)),
            Order::Resume => "an operator resumed it".to_owned(),
            Order::Scale { .. } => format!("an operator set it from {} to {replicas}", service.replicas),
        };
        self.board.ordered(&service.name, Ordered { at_ms: now_ms, text, replicas, paused_until_ms });
        Ok(Done { service: service.name.clone(), replicas, paused_until_ms: state.paused_until_ms })
    }

    fn tell(&self, service: &Service, order: Order, to: u64, now_ms: u64) {
        let (name, from) = (&service.name, service.replicas);
        match order {
            Order::Pause { until_ms } => {
                let seconds = seconds(now_ms, until_ms);
                tracing::info!(service = name, seconds, "an operator paused {name}");
            }
            Order::Resume => tracing::info!(service = name, "an operator resumed {name}"),
            Order::Scale { .. } => {
                tracing::info!(service = name, from, to, "an operator scaled {name} from {from} to {to}");
                let action = match to {
                    to if to > from => Action::Up,
                    to if to < from => Action::Down,
                    _ => Action::Hold,
                };
                self.board.add(Event {
                    at_ms: now_ms,
                    service: name.clone(),
                    from,
                    to,
                    action,
                    reason: Reason::Manual,
                    why: format!("from {from} to {to}: an operator asked for it"),
                    applied: action != Action::Hold,
                    error: None,
                });
            }
        }
    }
}

fn seconds(from_ms: u64, to_ms: u64) -> u64 {
    to_ms.saturating_sub(from_ms).div_ceil(1000)
}
