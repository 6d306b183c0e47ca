//! As much of the engine's API as the test needs to set its scene, and the broom.

use std::{
    collections::{BTreeSet, HashMap},
    process::Command,
    time::Duration,
};

use reqwest::Client;
use serde_json::{Value, value::RawValue};

pub(crate) const SOCKET: &str = "/var/run/docker.sock";

/// For tasks to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Docker(Client);

impl Docker {
    pub(crate) fn new() -> Self {
        Self(Client::builder().unix_socket(SOCKET).timeout(Duration::from_secs(30)).build().unwrap())
    }

    async fn get(&self, path: &str) -> String {
        let response = self.0.get(format!("http://docker/{path}")).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        text
    }

    /// Creates a thing and gives its id.
    pub(crate) async fn create(&self, kind: &str, body: &Value) -> String {
        let response = self.0.post(format!("http://docker/{kind}/create")).json(body).send().await.unwrap();
        let (status, answer) = (response.status(), response.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{kind}: {answer}");
        let id = answer["ID"].as_str().or(answer["Id"].as_str());
        id.unwrap().to_owned()
    }

    /// The specification of a service, word for word.
    pub(crate) async fn spec(&self, id: &str) -> String {
        let text = self.get(&format!("services/{id}")).await;
        let service: HashMap<&str, &RawValue> = serde_json::from_str(&text).unwrap();
        service["Spec"].get().to_owned()
    }

    /// The containers of the service, once so many of them run.
    pub(crate) async fn running(&self, id: &str, count: usize) -> BTreeSet<String> {
        let filter = format!("tasks?filters={{\"service\":[\"{id}\"]}}");
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let tasks: Value = serde_json::from_str(&self.get(&filter).await).unwrap();
                let running = tasks.as_array().unwrap().iter().filter(|task| task["Status"]["State"] == "running");
                let ids: BTreeSet<_> = running
                    .filter_map(|t| t["Status"]["ContainerStatus"]["ContainerID"].as_str())
                    .map(str::to_owned)
                    .collect();
                if ids.len() == count {
                    return ids;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("service {id} does not reach {count} running tasks"))
    }
}

/// Removes what was made, also when the test fails.
#[derive(Default)]
pub(crate) struct Leftovers(Vec<(&'static str, String)>);

impl Leftovers {
    pub(crate) fn add(&mut self, kind: &'static str, id: &str) {
        self.0.push((kind, id.to_owned()));
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        for (kind, id) in self.0.iter().rev() {
            // A network or secret stays in use for a moment after its service is gone.
            for _ in 0..30 {
                let gone = Command::new("docker").args([kind, "rm", id]).output();
                if gone.is_ok_and(|output| output.status.success()) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        }
    }
}

/// Paths of members that are in `asked` and not in `found`, in lists too.
pub(crate) fn keys_missing(asked: &Value, found: &Value) -> Vec<String> {
    if let (Some(asked), Some(found)) = (asked.as_array(), found.as_array()) {
        assert_eq!(asked.len(), found.len(), "{asked:?}");
        return asked.iter().zip(found).flat_map(|(asked, found)| keys_missing(asked, found)).collect();
    }
    let Some(members) = asked.as_object() else { return Vec::new() };
    let below = |(key, value): (&String, &Value)| match found.get(key) {
        Some(there) => keys_missing(value, there).into_iter().map(|path| format!("{key}.{path}")).collect(),
        None => vec![key.clone()],
    };
    members.iter().flat_map(below).collect()
}
