//! From the engine's JSON to our own type. Knows only the fields that matter here; the
//! specification itself is kept as the text that came.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Placement, Previous, Service, SwarmError,
    nodes::{RawEndpoint, RawTemplate},
};
use crate::scaling::{Mode, Rollout};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawService {
    #[serde(rename = "ID")]
    id: String,
    version: RawVersion,
    spec: Box<RawValue>,
    previous_spec: Option<RawSpec>,
    update_status: Option<RawUpdate>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawVersion {
    index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawUpdate {
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawSpec {
    #[serde(default)]
    name: String,
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    mode: RawMode,
    #[serde(default)]
    task_template: RawTemplate,
    endpoint_spec: Option<RawEndpoint>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RawMode {
    replicated: Option<RawReplicated>,
    global: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawReplicated {
    // Swarm itself takes an absent count as one.
    replicas: Option<u64>,
}

impl RawMode {
    fn split(&self) -> (Mode, u64) {
        match (&self.replicated, &self.global) {
            (Some(replicated), _) => (Mode::Replicated, replicated.replicas.unwrap_or(1)),
            (None, Some(_)) => (Mode::Global, 0),
            (None, None) => (Mode::Job, 0),
        }
    }
}

/// One service.
pub(super) fn service(text: &str) -> Result<Service, SwarmError> {
    let garbage = |error: serde_json::Error| SwarmError::Garbage(error.to_string());
    let raw: RawService = serde_json::from_str(text).map_err(garbage)?;
    let spec: RawSpec = serde_json::from_str(raw.spec.get()).map_err(garbage)?;
    let (mode, replicas) = spec.mode.split();
    Ok(Service {
        id: raw.id,
        name: spec.name,
        version: raw.version.index,
        labels: spec.labels.unwrap_or_default(),
        mode,
        replicas,
        rollout: raw.update_status.and_then(|update| update.state).map_or(Rollout::Idle, |state| rollout(&state)),
        updated_at_ms: raw.updated_at.as_deref().and_then(unix_ms),
        previous: raw.previous_spec.map(|previous| Previous {
            replicas: previous.mode.split().1,
            labels: previous.labels.unwrap_or_default(),
        }),
        placement: Placement::new(spec.task_template, spec.endpoint_spec.as_ref()),
        spec: raw.spec.get().to_owned(),
    })
}

/// A list of services. One that is not understood is left out and said so: it must not
/// blind us for the others.
pub(super) fn services(text: &str) -> Result<Vec<Service>, SwarmError> {
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| SwarmError::Garbage(error.to_string()))?;
    let parsed = items.into_iter().filter_map(|item| match service(item.get()) {
        Ok(service) => Some(service),
        Err(error) => {
            tracing::warn!(%error, "a service is not understood and is left alone");
            None
        }
    });
    Ok(parsed.collect())
}

fn rollout(state: &str) -> Rollout {
    match state {
        "updating" => Rollout::Updating,
        "rollback_started" => Rollout::RollingBack,
        "paused" | "rollback_paused" => Rollout::Paused,
        _ => Rollout::Idle,
    }
}

fn unix_ms(text: &str) -> Option<u64> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(time.timestamp_millis()).ok()
}

impl Service {
    /// The specification, as the engine wrote it.
    pub(super) fn spec(&self) -> &str {
        &self.spec
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::{labels, settings::Defaults, spoiled::spoiled, state::State, swarm::nodes};

    const ONE: &str = r#"{"ID":"abc","Version":{"Index":21},"CreatedAt":"2026-01-01T00:00:00.1Z","UpdatedAt":"2026-01-01T00:00:01.5Z",
        "Spec":{"Name":"web","Labels":{"a":"b"},"TaskTemplate":{},"Mode":{"Replicated":{"Replicas":3}}},
        "PreviousSpec":{"Name":"web","Labels":null,"Mode":{"Replicated":{"Replicas":2}}},
        "Endpoint":{},"UpdateStatus":{"State":"updating","Message":"m"}}"#;

    #[test]
    fn a_service_is_read_with_what_it_was_before() {
        let service = service(ONE).unwrap();
        assert_eq!((service.id.as_str(), service.name.as_str(), service.version), ("abc", "web", 21));
        assert_eq!((service.mode, service.replicas, service.rollout), (Mode::Replicated, 3, Rollout::Updating));
        assert_eq!(service.updated_at_ms, Some(1_767_225_601_500));
        assert_eq!(service.previous.unwrap().replicas, 2);
    }

    #[test]
    fn global_services_and_jobs_are_told_apart() {
        let with = |mode: &str| service(&ONE.replace(r#"{"Replicated":{"Replicas":3}}"#, mode)).unwrap().mode;
        assert_eq!(with(r#"{"Global":{}}"#), Mode::Global);
        assert_eq!(with(r#"{"ReplicatedJob":{"MaxConcurrent":1}}"#), Mode::Job);
        assert_eq!(with(r#"{"GlobalJob":{}}"#), Mode::Job);
    }

    #[test]
    fn one_odd_service_does_not_hide_the_others() {
        assert_eq!(services(&format!("[{ONE},{{\"ID\":7}},{ONE}]")).unwrap().len(), 2);
        assert!(services("<html>").is_err());
    }
    #[test]
    fn every_word_for_an_update_is_known() {
        let with = |state: &str| service(&ONE.replace("updating", state)).unwrap().rollout;
        for (state, rollout) in [
            ("updating", Rollout::Updating),
            ("rollback_started", Rollout::RollingBack),
            ("paused", Rollout::Paused),
            ("rollback_paused", Rollout::Paused),
            ("completed", Rollout::Idle),
            ("rollback_completed", Rollout::Idle),
        ] {
            assert_eq!(with(state), rollout, "{state}");
        }
        assert_eq!(
            service(&ONE.replace(r#","UpdateStatus":{"State":"updating","Message":"m"}"#, "")).unwrap().rollout,
            Rollout::Idle
        );
    }

    fn one() -> Value {
        serde_json::from_str(ONE).unwrap()
    }

    fn node() -> Value {
        serde_json::json!([{"ID": "n", "Spec": {"Role": "manager", "Availability": "active", "Labels": {"a": "b"}},
            "Description": {"Hostname": "h", "Platform": {"OS": "linux", "Architecture": "x86_64"},
                            "Resources": {"NanoCPUs": 2, "MemoryBytes": 4}, "Engine": {"Labels": {"c": "d"}}},
            "Status": {"State": "ready"}}])
    }

    proptest! {
        #[test]
        fn a_service_with_anything_wrong_in_it_is_left_out_or_read(service in spoiled(one())) {
            let list = format!("[{service},{ONE}]");
            let found = services(&list).unwrap();
            prop_assert!((1..=2).contains(&found.len()));
            for service in found {
                let _ = labels::parse(&service.labels, &Defaults::default());
                let _ = State::read(&service.labels);
                let _ = super::super::edit::rescale(service.spec(), 3, "note");
            }
        }

        #[test]
        fn nodes_with_anything_wrong_in_them_are_no_panic(text in spoiled(node())) {
            let _ = nodes::nodes(&text.to_string());
        }
    }
}
