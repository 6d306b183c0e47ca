//! What the documents promise about settings is what the scripts and the stack do.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, ensure};

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(tests::stack::root().join(Path::new(path))).with_context(|| format!("cannot read {path}"))
}

/// Name and default of each setting that the deploy script checks.
fn settings() -> Result<BTreeMap<String, String>> {
    let script = read("scripts/settings.sh")?;
    let table = script.split("SETTINGS='").nth(1).and_then(|rest| rest.split('\'').next()).context("no table")?;
    let rows = table.lines().filter_map(|line| {
        let mut fields = line.split('|');
        Some((fields.next().filter(|name| !name.is_empty())?.to_owned(), fields.next()?.to_owned()))
    });
    Ok(rows.collect())
}

#[test]
fn the_readme_and_the_example_file_name_every_setting_with_its_default() -> Result<()> {
    let (readme, example) = (read("README.md")?, read(".env.example")?);
    let settings = settings()?;
    ensure!(settings.len() > 20, "{settings:?}");
    for (name, default) in &settings {
        ensure!(readme.contains(&format!("| `{name}` | `{default}` |")), "README.md lacks {name} with {default}");
        ensure!(example.lines().any(|line| line == format!("{name}={default}")), ".env.example lacks {name}={default}");
    }
    for line in readme.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = line.split('`').next().unwrap_or_default();
        let is_setting = name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        ensure!(!is_setting || settings.contains_key(name), "README.md names {name}, which nothing reads");
    }
    Ok(())
}

#[test]
fn the_stack_by_itself_has_the_defaults_of_the_deploy_script() -> Result<()> {
    let stack = read("stack.yml")?;
    for (name, default) in settings()? {
        let start = format!("${{{name}:-");
        for (at, _) in stack.match_indices(&start) {
            let found = stack[at + start.len()..].split('}').next().unwrap_or_default();
            ensure!(found == default, "stack.yml has {name}={found}, the deploy script {default}");
        }
    }
    Ok(())
}
