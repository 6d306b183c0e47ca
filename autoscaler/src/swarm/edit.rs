//! Changes a service specification as text: the replica count and our own label, nothing
//! else. Every other value keeps its bytes, so that no field is lost, however new it is.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::{RawValue, to_raw_value};

use crate::labels::STATE;

/// Why a specification cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Not a replicated service.
    #[error("the service specification has no replica count")]
    NotReplicated,
    /// Not JSON as the engine writes it.
    #[error("the service specification is not understood")]
    Json(#[from] serde_json::Error),
}

/// The specification with another replica count and state label.
pub(super) fn rescale(spec: &str, replicas: u64, state: &str) -> Result<String, EditError> {
    let mut spec: Members = serde_json::from_str(spec)?;
    let mut mode = spec.object("Mode")?.ok_or(EditError::NotReplicated)?;
    let mut replicated = mode.object("Replicated")?.ok_or(EditError::NotReplicated)?;
    replicated.set("Replicas", to_raw_value(&replicas)?);
    mode.set("Replicated", to_raw_value(&replicated)?);
    spec.set("Mode", to_raw_value(&mode)?);
    let mut labels = spec.object("Labels")?.unwrap_or_default();
    labels.set(STATE, to_raw_value(state)?);
    spec.set("Labels", to_raw_value(&labels)?);
    Ok(serde_json::to_string(&spec)?)
}

/// A JSON object in its own order, its values untouched.
#[derive(Default)]
struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// The object under `key`; `None` when there is none or it is null.
    fn object(&self, key: &str) -> Result<Option<Self>, serde_json::Error> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map_or(Ok(None), |(_, value)| serde_json::from_str(value.get()))
    }

    fn set(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some(member) => member.1 = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_the_count_and_our_label_change() {
        let spec = r#"{"Name":"a","Labels":{"x":"<y>","z":"\u003c"},"TaskTemplate":{"Huge":18446744073709551616123,"Float":1.50e+3,"Nil":null},"Mode":{"Replicated":{"Replicas":2,"New":1.0}},"Unknown":[1, 2]}"#;
        let edited = rescale(spec, 3, "to=3").unwrap();
        let expected = spec
            .replace("\"Replicas\":2", "\"Replicas\":3")
            .replace(r#""z":"\u003c"}"#, r#""z":"\u003c","swarm.autoscaler.state":"to=3"}"#);
        assert_eq!(edited, expected);
    }

    #[test]
    fn a_service_without_labels_gets_a_map_of_them() {
        for labels in ["", r#""Labels":null,"#] {
            let spec = format!(r#"{{{labels}"Mode":{{"Replicated":{{}}}}}}"#);
            let edited: Value = serde_json::from_str(&rescale(&spec, 1, "s").unwrap()).unwrap();
            assert_eq!(edited["Labels"][STATE], "s");
            assert_eq!(edited["Mode"]["Replicated"]["Replicas"], 1);
        }
    }

    #[test]
    fn other_modes_are_refused() {
        for mode in [r#"{"Global":{}}"#, r#"{"ReplicatedJob":{"MaxConcurrent":1}}"#, "null"] {
            let spec = format!(r#"{{"Mode":{mode}}}"#);
            assert!(matches!(rescale(&spec, 1, "s"), Err(EditError::NotReplicated)), "{mode}");
        }
    }

    /// JSON text with numbers that no machine type holds.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(" , "))),
                prop::collection::vec(("[a-zA-Z]{1,8}", inner), 0..6).prop_map(|members| {
                    let members: Vec<_> = members.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_other_byte_survives(a in any_json(), b in any_json(), c in any_json(), n in any::<u64>(), m in any::<u64>()) {
            let spec = |n: u64, state: &str| {
                format!(r#"{{"A":{a},"Labels":{{"k":{b}{state}}},"Mode":{{"Replicated":{{"Replicas":{n},"C":{c}}}}},"Z":{b}}}"#)
            };
            let expected = spec(m, r#","swarm.autoscaler.state":"s""#);
            prop_assert_eq!(rescale(&spec(n, ""), m, "s").unwrap(), expected);
        }

        #[test]
        fn nonsense_is_an_error_and_no_panic(text in any::<String>()) {
            let _ = rescale(&text, 1, "s");
        }
    }
}
