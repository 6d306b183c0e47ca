//! What must hold whatever comes in.

use autoscaler::scaling::{
    Action, Algorithm, Bounds, Decision, Forecast, Forecaster, History, Http, Manual, Metric, Mode, Observed, Policy,
    Pool, Reading, Reason, Recommendation, Rollout, Rule, Sample, Step, Task, TaskState, decide, explain,
    forecast::Model,
};
use std::collections::BTreeMap;

use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
};

use crate::scene::{NOW, Scene, cpu};

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..2.0,
        1 => select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300, f64::MIN_POSITIVE, f64::MAX]),
        1 => any::<f64>(),
    ]
}

fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![3 => NOW - 40_000..NOW + 20_000, 1 => NOW - 1_000_000..NOW, 1 => any::<u64>()]
}

fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0_u64..20, 1 => any::<u64>()]
}

fn any_sample() -> impl Strategy<Value = Sample> {
    (any_number(), any_number(), any_time()).prop_map(|(used, limit, at_ms)| Sample { used, limit, at_ms })
}

fn any_task() -> impl Strategy<Value = Task> {
    let state = select(vec![TaskState::Pending, TaskState::Starting, TaskState::Running, TaskState::Stopping]);
    (state, any_time(), option::of(any_sample()), option::of(any_sample()))
        .prop_map(|(state, since_ms, cpu, memory)| Task { state, since_ms, cpu, memory })
}

fn any_pool() -> impl Strategy<Value = Pool> {
    (any_number(), any_number(), any_count(), any_time()).prop_map(|(used, limit, servers, at_ms)| Pool {
        used,
        limit,
        servers,
        at_ms,
    })
}

fn any_http() -> impl Strategy<Value = Http> {
    let number = || option::of(any_number());
    (any_time(), any::<u64>(), any_number(), number(), number(), number()).prop_map(
        |(at_ms, window_ms, requests, per_second, p95_ms, error_percent)| Http {
            at_ms,
            window_ms,
            requests,
            per_second,
            p95_ms,
            error_percent,
        },
    )
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let parts = (option::of(any_http()), option::of(any_pool()), option::of(any_pool()));
    (any_time(), prop_oneof![1_000_u64..60_000, any::<u64>()], vec(any_task(), 0..12), parts).prop_map(
        |(taken_at_ms, interval_ms, tasks, (http, connections, cache))| Reading {
            taken_at_ms,
            interval_ms,
            tasks,
            http,
            connections,
            cache,
        },
    )
}

fn any_observed() -> impl Strategy<Value = Observed> {
    let mode = select(vec![Mode::Replicated, Mode::Replicated, Mode::Replicated, Mode::Global, Mode::Job]);
    let rollout = select(vec![Rollout::Idle, Rollout::Idle, Rollout::Updating, Rollout::RollingBack, Rollout::Paused]);
    let counts = (any_count(), option::weighted(0.1, any_count()), option::weighted(0.2, any_count()));
    (counts, mode, rollout, option::weighted(0.9, any_reading())).prop_map(
        |((replicas, before_redeploy, room), mode, rollout, reading)| Observed {
            replicas,
            mode,
            rollout,
            before_redeploy,
            room,
            reading,
        },
    )
}

fn any_history() -> impl Strategy<Value = History> {
    let step = (any_count(), any_count(), any_time()).prop_map(|(from, to, at_ms)| Step { from, to, at_ms });
    let recommendation = (any_time(), any_count()).prop_map(|(at_ms, replicas)| Recommendation { at_ms, replicas });
    let manual = (any_time(), any_count()).prop_map(|(at_ms, replicas)| Manual { replicas, at_ms });
    let pause = option::weighted(0.1, any_time());
    let ups = (0_u32..6, 0_u32..6);
    let held = (option::weighted(0.1, manual), pause);
    (option::of(step), vec(recommendation, 0..5), held, ups, any_forecasts()).prop_map(
        |(last, recommendations, (manual, paused_until_ms), (ups, error_ups), forecasts)| History {
            last,
            recommendations,
            manual,
            paused_until_ms,
            ups,
            error_ups,
            forecasts,
        },
    )
}

fn any_forecasts() -> impl Strategy<Value = BTreeMap<Metric, Forecast>> {
    let model = select(vec![Model::Trend, Model::Day, Model::Week, Model::UsualDay, Model::UsualWeek]);
    let forecast = (any_time(), any_number(), any_number(), option::of(any_number()), model).prop_map(
        |(at_ms, expected, margin, skill, model)| Forecast { at_ms, lead_ms: 75_000, model, expected, margin, skill },
    );
    btree_map(select(Metric::ALL.to_vec()), forecast, 0..4)
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    select(Algorithm::ALL.to_vec())
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let rules = vec((select(Metric::ALL.to_vec()), any_rule()), 0..6);
    let steps = (option::of(1_u64..5), option::of(1_u64..5));
    let pace = (algorithms(), any::<bool>());
    (0_u64..5, 1_u64..10, pace, rules, steps, 0_u64..200_000, 0_u64..60_000).prop_map(
        |(min, more, (algorithm, forecast), rules, (step_up, step_down), cooldown_ms, up_window_ms)| Policy {
            bounds: Bounds::new(min, min + more).unwrap(),
            algorithm,
            forecast,
            metrics: rules.into_iter().collect(),
            cooldown_ms,
            up_window_ms,
            step_up,
            step_down,
            ..cpu(&[]).policy
        },
    )
}

fn any_rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (0.0..60.0, 1.0..40.0).prop_map(|(down, more)| Rule::band(down + more, down).unwrap()),
        (0.1..100.0).prop_map(|up| Rule::ceiling(up).unwrap()),
        (0.1..150.0).prop_map(|target| Rule::target(target).unwrap()),
        (0.1..100.0).prop_map(|share| Rule::per_replica(share).unwrap()),
    ]
}

/// A sample whose numbers or whose time cannot be right.
fn useless_sample() -> impl Strategy<Value = Sample> {
    let unsound = select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5, f64::MIN]);
    let stale = prop_oneof![0..NOW - 200_000, NOW + 10_001..u64::MAX];
    prop_oneof![
        (unsound, any_time()).prop_map(|(used, at_ms)| Sample { used, limit: 1.0, at_ms }),
        (0.0..1.0, stale).prop_map(|(used, at_ms)| Sample { used, limit: 1.0, at_ms }),
    ]
}

/// Numbers that cannot be true of a limit, and times of which nothing is fresh.
fn absurd_limit() -> impl Strategy<Value = f64> {
    select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, -0.0, 9.3e18, 1e300, f64::MAX])
}

fn absurd_use() -> impl Strategy<Value = f64> {
    select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -1e-9, f64::MIN])
}

fn absurd_time() -> impl Strategy<Value = u64> {
    prop_oneof![0..NOW - 200_000, NOW + 10_001..u64::MAX, Just(u64::MAX)]
}

/// One thing that is wrong with what was measured of a metric.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Use(f64),
    Limit(f64),
    Time(u64),
    Servers(u64),
    Gone,
}

fn any_wrong() -> impl Strategy<Value = Wrong> {
    prop_oneof![
        absurd_use().prop_map(Wrong::Use),
        absurd_limit().prop_map(Wrong::Limit),
        absurd_time().prop_map(Wrong::Time),
        select(vec![0, u64::MAX]).prop_map(Wrong::Servers),
        Just(Wrong::Gone),
    ]
}

/// Six replicas of which everything is measured, and everything is low.
fn idle(algorithm: Algorithm) -> Scene {
    let mut scene = cpu(&[5.0; 6]).memory(5.0).with(algorithm).http(3_000.0, Some(10.0), Some(0.0));
    for (metric, rule) in [
        (Metric::ResponseTime, Rule::band(1000.0, 200.0).unwrap()),
        (Metric::ErrorRate, Rule::ceiling(5.0).unwrap()),
        (Metric::Connections, Rule::band(80.0, 30.0).unwrap()),
        (Metric::Cache, Rule::band(80.0, 30.0).unwrap()),
        (Metric::Requests, Rule::per_replica(1_000.0).unwrap()),
    ] {
        scene = scene.judged(metric, rule);
    }
    let pool = crate::scene::pool(6.0, 600.0, 6);
    (scene.reading().connections, scene.reading().cache) = (Some(pool), Some(pool));
    scene
}

fn spoil_sample(sample: &mut Option<Sample>, wrong: Wrong) {
    match (sample.as_mut(), wrong) {
        (Some(sample), Wrong::Use(used)) => sample.used = used,
        (Some(sample), Wrong::Limit(limit)) => sample.limit = limit,
        (Some(sample), Wrong::Time(at_ms)) => sample.at_ms = at_ms,
        _ => *sample = None,
    }
}

fn spoil_pool(pool: &mut Option<Pool>, wrong: Wrong) {
    match (pool.as_mut(), wrong) {
        (Some(pool), Wrong::Use(used)) => pool.used = used,
        (Some(pool), Wrong::Limit(limit)) => pool.limit = limit,
        (Some(pool), Wrong::Time(at_ms)) => pool.at_ms = at_ms,
        (Some(pool), Wrong::Servers(servers)) => pool.servers = servers,
        _ => *pool = None,
    }
}

/// Makes something wrong of every replica's reading of a metric.
fn spoil(scene: &mut Scene, metric: Metric, wrong: Wrong) {
    let reading = scene.reading();
    let number = match wrong {
        Wrong::Use(number) | Wrong::Limit(number) => Some(number).filter(|number| *number != 0.0),
        _ => None,
    };
    match (metric, reading.http.as_mut(), wrong) {
        (Metric::Cpu, ..) => reading.tasks.iter_mut().for_each(|task| spoil_sample(&mut task.cpu, wrong)),
        (Metric::Memory, ..) => reading.tasks.iter_mut().for_each(|task| spoil_sample(&mut task.memory, wrong)),
        (Metric::Connections, ..) => spoil_pool(&mut reading.connections, wrong),
        (Metric::Cache, ..) => spoil_pool(&mut reading.cache, wrong),
        (_, Some(http), Wrong::Time(at_ms)) => http.at_ms = at_ms,
        (Metric::ResponseTime, Some(http), _) => http.p95_ms = number,
        (Metric::ErrorRate, Some(http), _) => http.error_percent = number,
        (Metric::Requests, Some(http), _) => http.per_second = number,
        (_, None, _) => {}
    }
}

/// A calm service: everything was measured just now, and nothing forbids an action.
fn calm(n: usize, load: f64, algorithm: Algorithm) -> Scene {
    cpu(&vec![load / n.max(1) as f64; n]).with(algorithm)
}

proptest! {
    #[test]
    fn the_result_is_within_the_bounds_or_the_present_count(
        policy in any_policy(), observed in any_observed(), history in any_history()
    ) {
        let decision = decide(&policy, &observed, &history, NOW);
        let within = (policy.bounds.min()..=policy.bounds.max()).contains(&decision.wanted);
        prop_assert!(within || decision.action == Action::Hold, "{decision:?}");
        let direction = match decision.action {
            Action::Hold => decision.wanted == decision.from,
            Action::Up => decision.wanted > decision.from,
            Action::Down => decision.wanted < decision.from,
        };
        prop_assert!(direction, "{decision:?}");
    }

    #[test]
    fn the_same_input_gives_the_same_output_also_through_json(
        policy in any_policy(), observed in any_observed(), history in any_history()
    ) {
        let mut policy = policy;
        policy.metrics.retain(|metric, rule| rule.fits(*metric));
        let first = format!("{:?}", decide(&policy, &observed, &history, NOW));
        prop_assert_eq!(&first, &format!("{:?}", decide(&policy, &observed, &history, NOW)));
        let policy: Policy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
        prop_assert_eq!(first, format!("{:?}", decide(&policy, &observed, &history, NOW)));
    }

    #[test]
    fn unsound_stale_or_absent_data_never_lowers(
        policy in any_policy(), observed in any_observed(), history in any_history(), bad in useless_sample()
    ) {
        let mut observed = observed;
        // Above the maximum, the bound speaks before any data does.
        observed.replicas %= policy.bounds.max() + 1;
        if let Some(reading) = observed.reading.as_mut() {
            reading.interval_ms = 5_000;
            for task in &mut reading.tasks {
                (task.cpu, task.memory) = (Some(bad), Some(bad));
            }
            reading.http = None;
            (reading.connections, reading.cache) = (None, None);
        }
        let decision = decide(&policy, &observed, &history, NOW);
        prop_assert!(decision.action != Action::Down, "{decision:?}");
    }

    #[test]
    fn one_metric_that_cannot_be_true_never_lowers_however_low_the_others_are(
        metric in select(Metric::ALL.to_vec()), wrong in any_wrong(), algorithm in algorithms()
    ) {
        let mut scene = idle(algorithm);
        prop_assert_eq!(scene.decide().action, Action::Down);
        spoil(&mut scene, metric, wrong);
        prop_assert!(scene.decide().action != Action::Down, "{:?}", scene.decide());
    }

    #[test]
    fn an_interval_that_cannot_be_true_makes_no_old_sample_fresh(
        interval_ms in 86_400_001..u64::MAX, age in 10_001..NOW, algorithm in algorithms()
    ) {
        let mut scene = idle(algorithm);
        let reading = scene.reading();
        (reading.interval_ms, reading.taken_at_ms) = (interval_ms, NOW - age);
        prop_assert_eq!(scene.decide().reason, Reason::StaleData);
    }

    #[test]
    fn at_any_time_there_is_a_decision_within_the_bounds(
        policy in any_policy(), observed in any_observed(), history in any_history(), now in any::<u64>()
    ) {
        let mut history = history;
        let decision = decide(&policy, &observed, &history, now);
        let within = (policy.bounds.min()..=policy.bounds.max()).contains(&decision.wanted);
        prop_assert!(within || decision.action == Action::Hold, "{decision:?}");
        prop_assert!(!explain::sentence(&decision).is_empty());
        history.note(&decision, &policy, now);
        history.applied(&decision, now);
        prop_assert!(decide(&policy, &observed, &history, now.wrapping_sub(1)).from == decision.from);
    }

    #[test]
    fn more_work_of_any_kind_never_gives_fewer_replicas(
        metric in select(Metric::ALL.to_vec()), level in 0.0..150.0_f64, more in 0.0..150.0_f64,
        algorithm in algorithms(), ups in 0_u32..3
    ) {
        let at = |level: f64| {
            let mut scene = idle(algorithm);
            scene.history.ups = ups;
            let reading = scene.reading();
            match metric {
                Metric::Cpu => reading.tasks.iter_mut().filter_map(|t| t.cpu.as_mut()).for_each(|s| s.used = s.limit * level / 100.0),
                Metric::Memory => reading.tasks.iter_mut().filter_map(|t| t.memory.as_mut()).for_each(|s| s.used = s.limit * level / 100.0),
                Metric::Connections => reading.connections.as_mut().unwrap().used = 6.0 * level,
                Metric::Cache => reading.cache.as_mut().unwrap().used = 6.0 * level,
                Metric::ResponseTime => reading.http.as_mut().unwrap().p95_ms = Some(level * 20.0),
                Metric::ErrorRate => reading.http.as_mut().unwrap().error_percent = Some(level.min(100.0)),
                Metric::Requests => reading.http.as_mut().unwrap().per_second = Some(level * 100.0),
            }
            scene.decide().wanted
        };
        prop_assert!(at(level) <= at(level + more), "{} {}", at(level), at(level + more));
    }

    #[test]
    fn more_load_never_gives_fewer_replicas(
        n in 1_usize..12, load in 0.0..1500.0, more in 0.0..500.0, algorithm in algorithms(),
        missing in 0_usize..3, newborn in 0_usize..3, ups in 0_u32..3
    ) {
        let at = |load| {
            let mut scene = calm(n, load, algorithm);
            scene.history.ups = ups;
            for task in scene.tasks().iter_mut().take(missing) {
                task.cpu = None;
            }
            for task in scene.tasks().iter_mut().rev().take(newborn) {
                task.since_ms = NOW;
            }
            scene.decide().wanted
        };
        prop_assert!(at(load) <= at(load + more));
    }

    #[test]
    fn a_forecast_on_top_never_gives_fewer_than_without_it(
        policy in any_policy(), observed in any_observed(), history in any_history()
    ) {
        let (with, without) = (Policy { forecast: true, ..policy.clone() }, Policy { forecast: false, ..policy });
        let (with, without) = (decide(&with, &observed, &history, NOW), decide(&without, &observed, &history, NOW));
        prop_assert!(with.wanted >= without.wanted, "{with:?} {without:?}");
    }

    #[test]
    fn nothing_that_is_learnt_makes_a_forecast_that_cannot_be_true(
        samples in vec((any_number(), prop_oneof![3 => (0_u64..400_000).prop_map(|gap| NOW + gap), 1 => any::<u64>()]), 0..60),
        lead_ms in any::<u64>()
    ) {
        let mut forecaster = Forecaster::default();
        for (work, at_ms) in samples {
            if let Some(forecast) = forecaster.learn(work, at_ms, lead_ms) {
                prop_assert!(work.is_finite() && work >= 0.0, "{work}");
                prop_assert!(forecast.expected >= 0.0 && forecast.margin >= 0.0, "{forecast:?}");
            }
        }
    }

    #[test]
    fn losing_samples_never_lowers(n in 1_usize..12, load in 0.0..1500.0, lost in 1_usize..12, algorithm in algorithms()) {
        let mut scene = calm(n, load, algorithm);
        let whole = scene.decide();
        for task in scene.tasks().iter_mut().take(lost) {
            task.cpu = None;
        }
        let partial = scene.decide();
        prop_assert!(partial.action != Action::Down || whole.action == Action::Down, "{whole:?} {partial:?}");
    }

    #[test]
    fn losing_replicas_from_the_list_never_lowers(
        n in 1_usize..12, load in 0.0..1500.0, lost in 1_usize..12, algorithm in algorithms()
    ) {
        let mut scene = calm(n, load, algorithm);
        let whole = scene.decide();
        scene.tasks().truncate(n.saturating_sub(lost));
        let partial = scene.decide();
        prop_assert!(partial.action != Action::Down || whole.action == Action::Down, "{whole:?} {partial:?}");
        prop_assert!(partial.action != Action::Down || partial.wanted >= whole.wanted, "{whole:?} {partial:?}");
    }

    #[test]
    fn constant_load_never_oscillates(
        start in 1_usize..12, load in 0.0..1200.0, up in 20.0_f64..95.0, gap in 1.0_f64..60.0, algorithm in algorithms()
    ) {
        let rule = Rule::band(up, (up - gap).max(0.0)).unwrap();
        let (mut n, mut history, mut now) = (start, History::default(), NOW);
        let mut actions = Vec::new();
        for _ in 0..200 {
            let mut scene = calm(n, load, algorithm).judged(Metric::Cpu, rule);
            let shift = now - NOW;
            scene.reading().taken_at_ms += shift;
            for task in scene.tasks() {
                task.since_ms += shift;
                task.cpu.as_mut().unwrap().at_ms += shift;
            }
            let decision: Decision = decide(&scene.policy, &scene.observed, &history, now);
            history.note(&decision, &scene.policy, now);
            if decision.action != Action::Hold {
                history.applied(&decision, now);
                actions.push(decision.action);
                n = usize::try_from(decision.wanted).unwrap();
            }
            now += 30_000;
        }
        let turns = actions.windows(2).filter(|pair| pair[0] != pair[1]).count();
        // Doubling may overshoot once; what follows must come to rest.
        let allowed = usize::from(algorithm == Algorithm::Exponential && actions.first() == Some(&Action::Up));
        prop_assert!(turns <= allowed, "{actions:?} from {start} to {n}");
        prop_assert!(actions.len() < 50, "{actions:?}");
    }
}
