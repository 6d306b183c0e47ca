//! The stress test's front for PowerShell, which may not be there to run it: its syntax by a grammar of the
//! language, and its promises by their names.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::stack::root;
use tree_sitter::{Node, Parser};

const SCRIPT: &str = "stress-test-simple.ps1";

/// Every place that the grammar does not understand.
fn mistakes(text: &str) -> Result<Vec<String>> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into())?;
    let tree = parser.parse(text, None).context("the text is not parsed at all")?;
    let mut found = Vec::new();
    collect(tree.root_node(), text, &mut found);
    Ok(found)
}

fn collect(node: Node<'_>, text: &str, found: &mut Vec<String>) {
    if node.is_error() || node.is_missing() {
        let near: String = text[node.byte_range()].chars().take(60).collect();
        found.push(format!("line {}: {near}", node.start_position().row + 1));
    }
    let mut cursor = node.walk();
    node.children(&mut cursor).for_each(|child| collect(child, text, found));
}

#[test]
fn its_syntax_is_right() -> Result<()> {
    let text = std::fs::read_to_string(root().join(SCRIPT))?;
    let found = mistakes(&text)?;
    ensure!(found.is_empty(), "{SCRIPT}: {found:?}");
    // Each of these would be seen.
    for (right, wrong) in [("exit 2 }", "exit 2"), ("@('--users'", "@('--users"), ("param(", "param")] {
        let broken = text.replacen(right, wrong, 1);
        ensure!(broken != text && !mistakes(&broken)?.is_empty(), "{wrong} instead of {right} is not seen");
    }
    Ok(())
}

#[test]
fn it_takes_the_guides_parameters_and_gives_the_program_options_that_it_knows() -> Result<()> {
    let text = std::fs::read_to_string(root().join(SCRIPT))?;
    for parameter in ["[int]$MaxConcurrentUsers", "[double]$TestDurationMinutes", "[string]$BaseUrl"] {
        ensure!(text.contains(parameter), "no {parameter}");
    }
    let help = Command::new(root().join("scripts/stress-test.sh")).arg("--help").output()?;
    let help = String::from_utf8(help.stdout)?;
    let options = text.split('\'').filter(|word| word.starts_with("--"));
    let options: Vec<_> = options.collect();
    ensure!(options == ["--users", "--minutes", "--host"], "{options:?}");
    ensure!(options.iter().all(|option| help.contains(option)), "{help}");
    Ok(())
}
