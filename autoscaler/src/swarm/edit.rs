//! Changes a service specification as text: the replica count and our own label, or the counter that
//! makes Swarm replace all tasks; nothing else. Every other byte stays as it came, so that no field is lost or rewritten, however
//! new it is: keys, numbers and escapes are never decoded and encoded again.

use std::{collections::HashMap, ops::Range};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::labels::STATE;

/// Why a specification cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Not a replicated service.
    #[error("the service specification has no replica count")]
    NotReplicated,
    /// Nothing says what its tasks are.
    #[error("the service specification has no task template")]
    NoTemplate,
    /// Not JSON as the engine writes it.
    #[error("the service specification is not understood")]
    Json(#[from] serde_json::Error),
}

/// The members on the way to what is changed. Each borrows from the text that it is part of.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec<'a> {
    #[serde(borrow)]
    mode: Option<Mode<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    labels: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WithTemplate<'a> {
    #[serde(borrow)]
    task_template: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Template<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    force_update: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mode<'a> {
    #[serde(borrow)]
    replicated: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Replicated<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    replicas: Option<&'a RawValue>,
}

/// A member that is there although it may be null: it has a place in the text.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The specification with another replica count and state label.
pub(super) fn rescale(spec: &str, replicas: u64, state: &str) -> Result<String, EditError> {
    let whole: &RawValue = serde_json::from_str(spec)?;
    let Spec { mode, labels } = serde_json::from_str(spec)?;
    let replicated = mode.and_then(|mode| mode.replicated).ok_or(EditError::NotReplicated)?;
    let count: Replicated<'_> = serde_json::from_str(replicated.get())?;
    let known: Option<HashMap<String, &RawValue>> =
        labels.map_or(Ok(None), |labels| serde_json::from_str(labels.get()))?;
    let note = serde_json::to_string(state)?;
    let label = match (labels, known) {
        (Some(labels), Some(known)) => Edit::member(spec, labels, STATE, known.get(STATE).copied(), &note),
        (null, _) => Edit::member(spec, whole, "Labels", null, &format!("{{\"{STATE}\":{note}}}")),
    };
    let count = Edit::member(spec, replicated, "Replicas", count.replicas, &replicas.to_string());
    let [first, second] = if count.at.start < label.at.start { [count, label] } else { [label, count] };
    let parts = [&spec[..first.at.start], &first.text, &spec[first.at.end..second.at.start], &second.text];
    Ok(parts.concat() + &spec[second.at.end..])
}

/// The specification with the counter raised whose change makes Swarm replace every task.
pub(super) fn force(spec: &str) -> Result<String, EditError> {
    let WithTemplate { task_template } = serde_json::from_str(spec)?;
    let template = task_template.ok_or(EditError::NoTemplate)?;
    let Template { force_update } = serde_json::from_str(template.get())?;
    let before: Option<u64> = force_update.map_or(Ok(None), |count| serde_json::from_str(count.get()))?;
    let next = before.unwrap_or(0).wrapping_add(1).to_string();
    let Edit { at, text } = Edit::member(spec, template, "ForceUpdate", force_update, &next);
    Ok([&spec[..at.start], &text, &spec[at.end..]].concat())
}

/// A piece of the text, and what stands there instead.
struct Edit {
    at: Range<usize>,
    text: String,
}

impl Edit {
    /// Gives `object` the member `key`: in the place of its present `value`, or as its last.
    fn member(text: &str, object: &RawValue, key: &str, value: Option<&RawValue>, new: &str) -> Self {
        if let Some(value) = value {
            return Self { at: place(text, value), text: new.to_owned() };
        }
        let end = place(text, object).end - 1;
        let is_empty = object.get().strip_prefix('{').is_some_and(|rest| rest.trim_start() == "}");
        let comma = if is_empty { "" } else { "," };
        Self { at: end..end, text: format!("{comma}\"{key}\":{new}") }
    }
}

/// Where in `text` the value stands that was borrowed from it.
fn place(text: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + value.get().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_the_count_and_our_label_change() {
        let spec = r#"{ "Name":"a","Labels":{"\u0061&":"<y>" ,"z":"\u003c"},"TaskTemplate":{"Huge":18446744073709551616123,"Float":1.50e+3,"Nil":null},"Mode":{"Replicated":{"Replicas":2,"New":1.0}},"Unknown":[1, 2]}"#;
        let edited = rescale(spec, 3, "to=3").unwrap();
        let expected = spec
            .replace("\"Replicas\":2", "\"Replicas\":3")
            .replace(r#""z":"\u003c"}"#, r#""z":"\u003c","swarm.autoscaler.state":"to=3"}"#);
        assert_eq!(edited, expected);
    }

    #[test]
    fn our_own_label_is_changed_where_it_stands() {
        let spec =
            r#"{"Mode":{"Replicated":{"Replicas":2}},"Labels":{"a":"1","swarm.autoscaler.state" : "to=2","z":"2"}}"#;
        let expected = spec.replace("\"Replicas\":2", "\"Replicas\":30").replace("\"to=2\"", r#""to=3 \"quoted\"""#);
        assert_eq!(rescale(spec, 30, "to=3 \"quoted\"").unwrap(), expected);
    }

    #[test]
    fn a_service_without_labels_gets_a_map_of_them() {
        for labels in ["", r#""Labels":null,"#, r#""Labels":{ },"#] {
            let spec = format!(r#"{{{labels}"Mode":{{"Replicated":{{}}}}}}"#);
            let edited = rescale(&spec, 1, "s").unwrap();
            assert_eq!(edited.matches("Labels").count(), 1, "{edited}");
            let edited: Value = serde_json::from_str(&edited).unwrap();
            assert_eq!(edited["Labels"][STATE], "s");
            assert_eq!(edited["Mode"]["Replicated"]["Replicas"], 1);
        }
    }

    #[test]
    fn other_modes_are_refused() {
        for mode in [r#"{"Global":{}}"#, r#"{"ReplicatedJob":{"MaxConcurrent":1}}"#, r#"{"Replicated":null}"#, "null"] {
            let spec = format!(r#"{{"Mode":{mode}}}"#);
            assert!(matches!(rescale(&spec, 1, "s"), Err(EditError::NotReplicated)), "{mode}");
        }
    }

    #[test]
    fn a_forced_update_raises_its_counter_and_changes_nothing_else() {
        let spec = |count: &str| {
            format!(r#"{{"Name":"a","TaskTemplate":{{"Huge":18446744073709551616123 ,{count}"Z":null}},"Mode":{{}}}}"#)
        };
        for (before, after) in [("0", 1), ("null", 1), ("41", 42), ("18446744073709551615", 0)] {
            let forced = force(&spec(&format!("\"ForceUpdate\": {before},"))).unwrap();
            assert_eq!(forced, spec(&format!("\"ForceUpdate\": {after},")));
        }
        assert_eq!(force(&spec("")).unwrap(), spec("").replace("\"Z\":null", "\"Z\":null,\"ForceUpdate\":1"));
        assert!(matches!(force(r#"{"Mode":{}}"#), Err(EditError::NoTemplate)));
        for template in ["7", r#"{"ForceUpdate":"x"}"#] {
            assert!(
                matches!(force(&format!(r#"{{"TaskTemplate":{template}}}"#)), Err(EditError::Json(_))),
                "{template}"
            );
        }
    }

    /// A quoted key that another encoder would write in another way.
    fn any_key() -> impl Strategy<Value = String> {
        "\"[a-z<>&é]{1,6}(\\\\u00(3c|26|41)|\\\\/|\\\\n)?\""
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
                prop::collection::vec((any_key(), inner), 0..6).prop_map(|members| {
                    let members: Vec<_> = members.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_other_byte_survives(
            a in any_json(), b in any_json(), c in any_json(), key in any_key(), space in "[ \n\t]{0,3}",
            n in any::<u64>(), m in any::<u64>()
        ) {
            let spec = |n: u64, state: &str| {
                format!(
                    r#"{space}{{{key}:{a},"Labels":{{{key}{space}:{b}{space}{state}}},"Mode" :{{"Replicated":{{"Replicas":{n},"C":{c}}},"D":{b}}}{space},"Z":{c}}}{space}"#
                )
            };
            let expected = spec(m, r#","swarm.autoscaler.state":"s""#);
            prop_assert_eq!(rescale(&spec(n, ""), m, "s").unwrap(), expected);
        }

        #[test]
        fn nonsense_is_an_error_and_no_panic(text in any::<String>()) {
            let _ = rescale(&text, 1, "s");
            let _ = force(&text);
        }
    }
}
