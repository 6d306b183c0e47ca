//! The engine: goose starts the users over the ramp, runs them side by side, and stops them
//! at the end or on Ctrl-C. What a user does and how it is counted is ours, because goose
//! times answers only to their first byte and knows no start-to-start pace.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use goose::{
    GooseAttack, GooseError,
    client::GooseClientBuilder,
    config::GooseConfiguration,
    goose::{GooseUser, Scenario, Transaction, TransactionResult},
};

use crate::user::{Plan, User};

/// Longest sleep in one piece, so that a user with a slow pace notices the end of the run.
const NAP: Duration = Duration::from_millis(200);

type Turn<'r> = Pin<Box<dyn Future<Output = TransactionResult> + Send + 'r>>;

/// Runs `users` until the plan's deadline; returns when all of them have stopped.
pub async fn drive(
    plan: &Arc<Plan>,
    host: &str,
    users: usize,
    ramp: Duration,
    time: Duration,
) -> Result<(), GooseError> {
    let configuration = GooseConfiguration::parse_args_default(&arguments(host, users, ramp, time))?;
    let plan = plan.clone();
    let turn = turn_of(move |goose| {
        let plan = plan.clone();
        Box::pin(async move {
            turn(goose, plan).await;
            Ok(())
        })
    });
    let scenario = Scenario::new("person").register_transaction(Transaction::new(Arc::new(turn)));
    GooseAttack::initialize_with_config(configuration)?
        // Users send through the plan's own client. goose's stays unused: one for all, and without
        // a look at the system's certificates.
        .set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies().accept_invalid_certs(true))?
        .register_scenario(scenario)
        .execute()
        .await
        .map(drop)
}

/// Gives a closure the one lifetime that goose asks of it.
fn turn_of<F>(turn: F) -> F
where
    F: for<'r> Fn(&'r mut GooseUser) -> Turn<'r>,
{
    turn
}

/// One request at its due time. Returns without one when the end of the run comes first.
async fn turn(goose: &mut GooseUser, plan: Arc<Plan>) {
    if goose.get_session_data::<User>().is_none() {
        goose.set_session_data(User::new(plan.clone(), goose.weighted_users_index, Instant::now()));
    }
    let Some(user) = goose.get_session_data_mut::<User>() else { return };
    loop {
        let now = Instant::now();
        if now >= plan.deadline || goose::is_killswitch_triggered() {
            // goose looks for the end only between two turns: without a pause this would spin.
            tokio::time::sleep(NAP).await;
            return;
        }
        let wait = user.due().saturating_duration_since(now);
        if wait.is_zero() {
            return user.step().await;
        }
        tokio::time::sleep(wait.min(NAP)).await;
    }
}

fn arguments(host: &str, users: usize, ramp: Duration, time: Duration) -> Vec<String> {
    let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut arguments = text(&["--host", host, "--users", &users.to_string()]);
    // goose spreads only two or more users over a time, and counts its run time after it.
    if users > 1 && !ramp.is_zero() {
        arguments.extend(text(&["--increase-time", &ramp.as_secs().to_string()]));
    } else {
        arguments.extend(text(&["--increase-rate", &users.to_string()]));
    }
    let held = time.saturating_sub(ramp).as_secs_f64().ceil().max(1.0);
    arguments.extend(text(&["--run-time", &format!("{held:.0}")]));
    // Its reports, its consoles and its remote control would only stand beside ours.
    arguments.extend(text(&["--no-metrics", "--no-print-metrics", "--no-telnet", "--quiet"]));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goose_understands_every_ramp_we_allow() {
        for (users, ramp) in [(1, 0), (1, 20), (2, 0), (2, 1), (100, 20), (10_000, 3600)] {
            let arguments = arguments("http://localhost/", users, Duration::from_secs(ramp), Duration::from_secs(3700));
            let parsed = GooseConfiguration::parse_args_default(&arguments).unwrap();
            assert_eq!(parsed.users, Some(users));
            assert_eq!(parsed.run_time.unwrap(), (3700 - ramp).to_string());
        }
    }
}
