//! What the README shows of the program's commands is what they print.

use std::{path::Path, process::Command};

#[path = "../../examples/trace.rs"]
#[allow(dead_code, reason = "its other half is a program")]
mod made_up;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Each `$ autoscaler …` of the README, and the lines below it up to the next command.
fn sessions(readme: &str) -> Vec<(String, String)> {
    let blocks = readme.split("```").skip(1).step_by(2);
    let sessions = blocks.flat_map(|block| block.split("\n$ ").skip(1)).filter_map(|session| {
        let (command, output) = session.split_once('\n')?;
        Some((command.to_owned(), output.trim_end().to_owned()))
    });
    sessions.filter(|(command, _)| command.contains("autoscaler ") && !command.contains("docker")).collect()
}

#[test]
fn every_command_prints_what_the_readme_shows() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let sessions = sessions(&readme);
    for word in ["autoscaler decide <", "autoscaler simulate --trace"] {
        assert!(sessions.iter().any(|(command, _)| command.contains(word)), "README.md lacks `$ {word}`: {sessions:?}");
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_autoscaler")).parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    for (command, shown) in sessions {
        let output =
            Command::new("bash").args(["-c", &command]).env("PATH", &path).current_dir(root()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(printed.trim_end(), shown, "README.md shows something else for `{command}`");
    }
}

#[test]
fn the_trace_in_the_repository_is_the_one_that_its_program_makes() {
    let kept = std::fs::read_to_string(root().join("autoscaler/examples/three-days.csv")).unwrap();
    assert_eq!(kept, made_up::csv(3, 1));
    assert_eq!(made_up::csv(14, 1).lines().count(), 1 + 20_160);
}
