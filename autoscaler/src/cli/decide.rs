//! `autoscaler decide`: one question on standard input, the decision on standard output.
//!
//! ```
//! let question = r#"{
//!     "policy": {"bounds": {"min": 2, "max": 10}, "metrics": {"requests": {"per_replica": 100}}, "algorithm": "target"},
//!     "observed": {"replicas": 2, "reading": {"taken_at_ms": 60000, "interval_ms": 5000,
//!         "http": {"at_ms": 60000, "requests": 13500, "per_second": 450}}},
//!     "now_ms": 61000
//! }"#;
//! let answer: serde_json::Value = serde_json::from_str(&autoscaler::cli::decide::answer(question)?)?;
//! assert_eq!((answer["action"].as_str(), answer["wanted"].as_u64()), (Some("up"), Some(5)));
//! # Ok::<(), serde_json::Error>(())
//! ```

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Error, json};

use crate::scaling::{Decision, History, Observed, Policy, decide, explain};

/// Everything that a decision depends on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// What an operator asks for.
    policy: Policy,
    /// What is known about the service.
    observed: Observed,
    /// What was done and recommended before.
    #[serde(default)]
    history: History,
    /// The present, in Unix milliseconds.
    now_ms: u64,
}

/// The decision.
#[derive(Debug, Serialize, JsonSchema)]
struct Answer {
    #[serde(flatten)]
    decision: Decision,
    /// The decision as one sentence.
    why: String,
}

/// The answer to a question, both as JSON.
pub fn answer(question: &str) -> Result<String, Error> {
    let Question { policy, observed, history, now_ms } = serde_json::from_str(question)?;
    let decision = decide(&policy, &observed, &history, now_ms);
    let why = explain::sentence(&decision);
    serde_json::to_string_pretty(&Answer { decision, why })
}

/// The JSON Schemas of question and answer.
pub fn schema() -> Result<String, Error> {
    serde_json::to_string_pretty(&json!({"question": schema_for!(Question), "answer": schema_for!(Answer)}))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_schema_names_every_field_with_its_meaning() {
        let schema: Value = serde_json::from_str(&schema().unwrap()).unwrap();
        let question = &schema["question"];
        assert_eq!(question["required"], json!(["policy", "observed", "now_ms"]));
        let defs = question["$defs"].as_object().unwrap();
        for (name, field) in [
            ("Policy", "cooldown_ms"),
            ("Observed", "before_redeploy"),
            ("Reading", "tasks"),
            ("Task", "cpu"),
            ("History", "recommendations"),
        ] {
            let text = defs[name]["properties"][field].to_string();
            assert!(text.contains("description"), "{name}.{field}: {text}");
        }
        assert!(schema["answer"]["properties"]["why"].is_object());
    }

    #[test]
    fn the_answer_has_every_field_of_its_schema_and_no_other() {
        let question =
            r#"{"policy": {"bounds": {"min": 1, "max": 2}, "metrics": {}}, "observed": {"replicas": 1}, "now_ms": 0}"#;
        let answer: Value = serde_json::from_str(&answer(question).unwrap()).unwrap();
        let schema: Value = serde_json::from_str(&schema().unwrap()).unwrap();
        let names =
            |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names(&answer), names(&schema["answer"]["properties"]));
        assert_eq!((answer["reason"].as_str(), answer["why"].as_str().is_some()), (Some("no_data"), true));
    }

    #[test]
    fn a_question_that_is_not_understood_says_where() {
        let error = answer("{\n \"policy\": {\"bounds\": {\"min\": 3, \"max\": 2}, \"metrics\": {}}}").unwrap_err();
        assert!(error.to_string().contains("bounds 3 to 2") && error.line() == 2, "{error}");
        let error = answer(r#"{"polcy": 1}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `polcy`"), "{error}");
    }
}
