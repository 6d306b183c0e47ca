//! The rules are plain arithmetic: nothing in them waits, asks for the time, reads, writes or logs.

use std::{fs, path::Path};

/// What has no place in there, as it would be written in code.
const BANNED: [&str; 12] = [
    "async ",
    ".await",
    "tokio",
    "reqwest",
    "axum",
    "tracing",
    "std::io",
    "std::fs",
    "std::env",
    "SystemTime",
    "Instant",
    "println!",
];

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn the_rules_are_pure() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scaling"));
    assert!(files.len() > 15, "{files:?}");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let found = BANNED.iter().find(|word| line.contains(**word));
            assert_eq!(found, None, "{}: {line}", path.display());
            let foreign = line.starts_with("use crate::") && !line.starts_with("use crate::scaling");
            assert!(!foreign, "{}: the rules know of nothing but themselves: {line}", path.display());
        }
    }
}

#[test]
fn no_service_is_known_by_name() {
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        for name in ["postgres", "redis", "nginx", "scalable-backend", "scalable_backend", "_api\""] {
            assert!(!text.contains(name), "{}: {name}", path.display());
        }
    }
}
