//! A decision as one sentence for people: why the count is what it is, and what would
//! change it. Never longer than a line of a log.

use super::{Decision, Metric, Proposal, Reason, Rule, Vote};

/// The sentence.
#[must_use]
pub fn sentence(decision: &Decision) -> String {
    let n = decision.from;
    let wait = decision.wait_ms.map_or(String::new(), |ms| format!(" for another {} s", ms.div_ceil(1000)));
    let asked = || format!("the metrics ask for {} ({})", decision.recommended, cause(decision));
    match decision.reason {
        Reason::Steady => format!("stays at {n}: no threshold is crossed ({})", readings(decision)),
        Reason::AllLow => format!("from {n} to {}: every metric is low ({})", decision.wanted, readings(decision)),
        Reason::CpuHigh
        | Reason::MemoryHigh
        | Reason::ResponseTimeHigh
        | Reason::ErrorRateHigh
        | Reason::ConnectionsHigh
        | Reason::CacheHigh
        | Reason::RequestsHigh => format!("from {n} to {}: {}", decision.wanted, cause(decision)),
        Reason::Forecast => format!("from {n} to {}: more work is coming ({})", decision.wanted, outlook(decision)),
        Reason::ForecastForbidsDown => {
            format!("stays at {n}: every metric is low, but work is coming ({})", outlook(decision))
        }
        Reason::BelowMinimum => format!("from {n} to {}: the minimum", decision.wanted),
        Reason::AboveMaximum => format!("from {n} to {}: the maximum", decision.wanted),
        Reason::RestoredAfterRedeploy => format!(
            "from {n} to {}: a redeploy had put the file's number back, the count before it is restored",
            decision.wanted
        ),
        Reason::NotReplicated => "left alone: only replicated services can be scaled, not global ones or jobs".into(),
        Reason::Paused => format!("stays at {n}: paused by an operator{wait}"),
        Reason::SwitchedOff => "stays at 0: somebody switched it off; scale it to 1 or more to hand it back".into(),
        Reason::Updating => {
            format!("stays at {n} until a rolling update or rollback ends, which is under way or paused")
        }
        Reason::Manual => format!("stays at {n}: somebody set this count by hand, which is respected{wait}"),
        Reason::NoData => format!("stays at {n}: the collector has no reading of this service"),
        Reason::StaleData => {
            format!("stays at {n}: the newest reading is stale: too old, or of a time that cannot be true")
        }
        Reason::MetricMissing => format!("stays at {n}: not measured: {}", missing(decision)),
        Reason::ErrorsForbidDown => format!("stays at {n}: requests fail, which forbids a scale-down"),
        Reason::ErrorsNotLoad => format!("stays at {n}: errors survived three scale-ups, so they are not load"),
        Reason::WouldBounce => format!("stays at {n}: one fewer would at once be too few ({})", readings(decision)),
        Reason::AtMaximum => {
            format!("stays at {n}: only a higher maximum would let it grow, this one is reached ({})", cause(decision))
        }
        Reason::AtMinimum => {
            format!(
                "stays at {n}: only a lower minimum would let it shrink, this one is reached ({})",
                readings(decision)
            )
        }
        Reason::StabilizingDown => {
            format!("stays at {n}: {}, but a higher recommendation is too recent{wait}", asked())
        }
        Reason::StabilizingUp => format!("stays at {n}: {}, but a lower recommendation is too recent{wait}", asked()),
        Reason::Cooldown => format!("stays at {n}: {}, but the cooldown lasts{wait}", asked()),
        Reason::UpCooldown => format!("stays at {n}: {}, but the scale-up cooldown lasts{wait}", asked()),
        Reason::WaitingForReplicas => format!("stays at {n}: {}, but the last step's replicas are not ready", asked()),
        Reason::WaitingForSample => {
            format!("stays at {n}: {}, but there is no sample since the last step's replicas are ready", asked())
        }
        Reason::StepLimit => format!("stays at {n}: {}, but its step limit is 0", asked()),
        Reason::NoRoom => format!("stays at {n}: {}, but the nodes have no room for more", asked()),
    }
}

/// What asks for more, or everything that was read.
fn cause(decision: &Decision) -> String {
    if decision.recommended_reason == Reason::Forecast {
        return outlook(decision);
    }
    let ups: Vec<_> = decision.proposals.iter().filter(|(_, p)| p.vote == Vote::Up).map(reading).collect();
    if ups.is_empty() { readings(decision) } else { ups.join(", ") }
}

fn readings(decision: &Decision) -> String {
    let all: Vec<_> = decision.proposals.iter().map(reading).collect();
    if all.is_empty() { "nothing was read".into() } else { all.join(", ") }
}

fn outlook(decision: &Decision) -> String {
    let all = decision.outlooks.iter().filter(|(_, outlook)| outlook.acts).map(|(metric, o)| {
        let (name, seconds) = (metric.name(), o.forecast.lead_ms / 1000);
        format!("{name} in {seconds} s for {} replicas", o.floor)
    });
    all.collect::<Vec<_>>().join(", ")
}

fn missing(decision: &Decision) -> String {
    let absent = decision.proposals.iter().filter(|(_, p)| p.vote == Vote::Absent);
    absent.map(|(metric, _)| metric.name()).collect::<Vec<_>>().join(", ")
}

/// One metric's value and what it is compared with.
#[must_use]
pub fn reading((metric, proposal): (&Metric, &Proposal)) -> String {
    let (name, unit) = (metric.name(), metric.unit());
    let Some(value) = proposal.cautious.or(proposal.value) else {
        return format!("{name} not measured");
    };
    let rule = match proposal.rule {
        Rule::Band { up, down } => format!("up above {up}, down to {down}"),
        Rule::Ceiling { up } => format!("up above {up}"),
        Rule::Target { target } => format!("target {target}"),
        Rule::PerReplica { per_replica } => format!("{per_replica} each"),
    };
    format!("{name} {value:.1}{unit}, {rule}")
}
