//! Every command of docs/runbook.md, run on the stack in the order of the document.
//!
//! A block of the kind `console` holds commands behind `$ `, each with what it prints. That is compared
//! line by line: each line of the document has to be found, in its order; `…` stands for anything, and
//! any number for any other. Names and ports are those of the stack under test.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tests::{
    Stack, eventually,
    stack::{Port, root, run},
};

/// A command and the lines that it prints.
#[derive(Debug, Default)]
struct Step {
    command: String,
    prints: Vec<String>,
}

/// The blocks of the document, each a shell of its own.
fn blocks(text: &str) -> Vec<Vec<Step>> {
    let mut blocks = Vec::new();
    let mut current: Option<Vec<Step>> = None;
    for line in text.lines() {
        match (&mut current, line) {
            (None, "```console") => current = Some(Vec::new()),
            (Some(_), "```") => blocks.extend(current.take()),
            (Some(steps), _) => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), prints: Vec::new() }),
                // A command goes on after a backslash.
                (None, Some(step)) if step.command.ends_with('\\') => step.command += &format!("\n{line}"),
                (None, Some(step)) => step.prints.push(line.to_owned()),
                (None, None) => {}
            },
            (None, _) => {}
        }
    }
    blocks
}

/// The document's names and ports in those of the stack under test.
fn translated(stack: &Stack, text: &str) -> String {
    let local = |port| stack.url(port, "").replace("127.0.0.1", "localhost");
    text.replace("scalable-backend", &stack.name)
        .replace("http://localhost:8080", &local(Port::Autoscaler))
        .replace("http://localhost:8090", &local(Port::Collector))
        .replace("http://localhost:9090", &local(Port::CollectorHealth))
        .replace("http://localhost:9092", &local(Port::Prometheus))
        .replace("http://localhost/", &format!("{}/", local(Port::Http)))
}

/// Text without what differs from run to run: numbers, and how far apart columns are.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.trim().chars() {
        match c {
            '0'..='9' => {
                if !plain.ends_with('#') {
                    plain.push('#');
                }
            }
            c if c.is_whitespace() => {
                if !plain.ends_with(' ') {
                    plain.push(' ');
                }
            }
            c => plain.push(c),
        }
    }
    plain.replace("#.#", "#")
}

/// Whether `…` in the expected line can stand for what is missing.
fn fits(expected: &str, found: &str) -> bool {
    let (expected, found) = (plain(expected), plain(found));
    let parts: Vec<_> = expected.split('…').collect();
    let mut rest = found.as_str();
    for (n, part) in parts.iter().enumerate() {
        let at = match n {
            0 => rest.starts_with(part).then_some(0),
            _ if n + 1 == parts.len() && !part.is_empty() => rest.ends_with(part).then(|| rest.len() - part.len()),
            _ => rest.find(part),
        };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || parts.last().is_some_and(|last| last.is_empty())
}

fn prints_as_told(stack: &Stack, step: &Step, output: &str) -> Result<()> {
    let mut lines = output.lines();
    for expected in step.prints.iter().map(|line| translated(stack, line)) {
        let is_there = expected.trim() == "…" || lines.any(|line| fits(&expected, line));
        ensure!(is_there, "$ {}\n{output}\n--- lacks, from here on: {expected}", step.command);
    }
    Ok(())
}

#[tokio::test]
async fn every_command_of_the_runbook_runs_and_prints_what_it_says() -> Result<()> {
    let stack = Stack::at_rest().await?;
    eventually("every source answers", Duration::from_secs(30), || async {
        let health = stack.get_json(Port::CollectorHealth, "/health").await?;
        ensure!(health["status"] == "ok", "{health}");
        Ok(())
    })
    .await?;
    let text = std::fs::read_to_string(root().join("docs/runbook.md"))?;
    let blocks = blocks(&text);
    ensure!(blocks.len() > 20, "{} blocks", blocks.len());
    // All of it is run, whatever one block says: the end takes back what the beginning did.
    let mut wrong = Vec::new();
    for steps in blocks {
        let started = Instant::now();
        if let Err(error) = run_block(&stack, &steps) {
            wrong.push(format!("{error:#}"));
        }
        eprintln!("{:5.1} s  {}", started.elapsed().as_secs_f64(), steps.first().map_or("", |step| &step.command));
    }
    Stack::at_rest().await?;
    ensure!(wrong.is_empty(), "{} of the runbook's blocks:\n{}", wrong.len(), wrong.join("\n\n"));
    Ok(())
}

/// In one shell: a later command may use what an earlier one has set.
fn run_block(stack: &Stack, steps: &[Step]) -> Result<()> {
    const MARK: &str = "@@ end of a command";
    let mut script = String::from("set -e -o pipefail\n");
    for step in steps {
        script += &format!("{{ {}\n}} 2>&1\necho; echo '{MARK}'\n", translated(stack, &step.command));
    }
    let output = run(Command::new("timeout").args(["600", "bash", "-c", &script]).current_dir(root()))?;
    for (step, output) in steps.iter().zip(output.split(MARK)) {
        prints_as_told(stack, step, output)?;
    }
    Ok(())
}

#[test]
fn what_is_printed_is_compared_but_for_numbers_gaps_and_dots() {
    for (expected, found) in [
        ("api  2/2", "api 10/3 "),
        ("up … s", "up for 1.5 s"),
        ("…: ok", "all: ok"),
        ("a…", "a"),
        ("{\"age\":7,…}", "{\"age\":12,\"x\":[]}"),
    ] {
        assert!(fits(expected, found), "{expected} should fit {found}");
    }
    for (expected, found) in [("api 2/2", "api 2"), ("a … c", "a b"), ("…: ok", "all: ok?"), ("ok", "not ok")] {
        assert!(!fits(expected, found), "{expected} should not fit {found}");
    }
}
