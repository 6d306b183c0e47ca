//! Documents with something wrong in them, for tests of those who read them.

use proptest::prelude::*;
use serde_json::{Value, json};

/// What nobody expects in the place of a value.
pub(crate) fn any_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        proptest::sample::select(vec![
            json!(null),
            json!(true),
            json!({}),
            json!([]),
            json!([[]]),
            json!(""),
            json!("2"),
            json!("NaN"),
            json!(0),
            json!(-1),
            json!(-0.0),
            json!(1.5),
            json!(1e300),
            json!(-1e300),
            json!(5e-324),
            json!(u64::MAX),
            json!(i64::MIN),
            json!("2026-02-30T25:00:00Z"),
        ]),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
    ]
}

/// The document with up to four of its values replaced, removed, or given twice.
pub(crate) fn spoiled(document: Value) -> impl Strategy<Value = Value> {
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), proptest::option::of(any_leaf())), 1..5);
    changes.prop_map(move |changes| {
        let mut document = document.clone();
        for (index, leaf) in changes {
            let paths = paths(&document, "");
            change(&mut document, &paths[index.index(paths.len())], leaf);
        }
        document
    })
}

/// The document with the value at `path` replaced, or without it.
pub(crate) fn change(document: &mut Value, path: &str, leaf: Option<Value>) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    match (document.pointer_mut(parent), leaf) {
        (Some(Value::Object(members)), Some(leaf)) => {
            members.insert(key.to_owned(), leaf);
        }
        (Some(Value::Object(members)), None) => {
            members.shift_remove(key);
        }
        (Some(Value::Array(items)), Some(leaf)) => items[key.parse::<usize>().unwrap()] = leaf,
        (Some(Value::Array(items)), None) => items.push(items[key.parse::<usize>().unwrap()].clone()),
        _ => unreachable!("{path} is in the document"),
    }
}

/// JSON pointers to all members and items. Keys hold no slash.
fn paths(value: &Value, here: &str) -> Vec<String> {
    let below = |key: String, value: &Value| {
        let path = format!("{here}/{key}");
        let deeper = paths(value, &path);
        std::iter::once(path).chain(deeper).collect::<Vec<_>>()
    };
    match value {
        Value::Object(members) => members.iter().flat_map(|(key, value)| below(key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().flat_map(|(i, value)| below(i.to_string(), value)).collect(),
        _ => Vec::new(),
    }
}
