//! Containers for one test, through the engine's own command line, removed at its end.

use std::{path::PathBuf, process::Command};

/// One container, removed with its anonymous volumes when the test ends, however it ends.
pub(crate) struct Container {
    pub(crate) id: String,
    /// Files that it reads, removed with it.
    files: Option<PathBuf>,
}

/// A network, removed after its containers: declare it before them.
pub(crate) struct Network {
    pub(crate) name: String,
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().map_err(|error| error.to_string())?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A name that no other run uses.
pub(crate) fn unique(prefix: &str) -> String {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{prefix}-{}-{nanos:x}", std::process::id())
}

impl Container {
    /// Starts one in the background; `arguments` are those of `docker run`.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        let mut all = vec!["run", "-d", "--label", "scalable-backend.test=collector"];
        all.extend(arguments);
        Self { id: docker(&all).unwrap(), files: None }
    }

    /// The same with secrets as Swarm would mount them.
    pub(crate) fn run_with_secrets(secrets: &[(&str, &str)], arguments: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(unique("collector-secrets"));
        std::fs::create_dir(&directory).unwrap();
        for (name, value) in secrets {
            std::fs::write(directory.join(name), value).unwrap();
        }
        let mount = format!("{}:/run/secrets:ro", directory.display());
        let mut all = vec!["-v", &mount, "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp"];
        all.extend(arguments);
        let mut container = Self::run(&all);
        container.files = Some(directory);
        container
    }

    /// Its address on the only network it is on.
    pub(crate) fn address(&self) -> String {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&["inspect", "-f", format, &self.id]).unwrap()
    }

    /// Runs a command in it.
    pub(crate) fn exec(&self, command: &[&str]) -> Result<String, String> {
        docker(&[&["exec", &self.id], command].concat())
    }

    /// `pause`, `unpause`, `restart`.
    pub(crate) fn act(&self, verb: &str) {
        docker(&[verb, &self.id]).unwrap();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "-f", "-v", &self.id]);
        if let Some(files) = &self.files {
            let _ = std::fs::remove_dir_all(files);
        }
    }
}

impl Network {
    pub(crate) fn new() -> Self {
        let name = unique("collector-test");
        docker(&["network", "create", "--label", "scalable-backend.test=collector", &name]).unwrap();
        Self { name }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = docker(&["network", "rm", &self.name]);
    }
}
