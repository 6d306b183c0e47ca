//! What the documents promise about settings is what the scripts and the stack do.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use tests::stack::{root, run};

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(Path::new(path))).with_context(|| format!("cannot read {path}"))
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

/// The number behind a setting's name in a file of settings, one a line.
fn number_in(path: &str, name: &str) -> Result<u64> {
    let file = read(path)?;
    let value = file.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
    Ok(value.with_context(|| format!("{path} lacks {name}"))?.trim().parse()?)
}

#[test]
fn all_pools_fit_into_what_postgres_gives_out_and_the_readme_has_the_sum() -> Result<()> {
    let settings = settings()?;
    let of = |name: &str| -> Result<u64> { Ok(settings.get(name).with_context(|| format!("no {name}"))?.parse()?) };
    let (replicas, pool) = (of("MAX_REPLICAS")?, of("DB_POOL_SIZE")?);
    let reserved = number_in("postgres/postgresql.conf", "superuser_reserved_connections")?;
    let usable = of("POSTGRES_MAX_CONNECTIONS")? - reserved;
    let most = (replicas + 1) * pool + 3;
    ensure!(most <= usable, "{most} connections do not fit into {usable}");
    let sum = format!("({replicas} + 1) × {pool} + 3 = {most} of {usable}");
    ensure!(read("README.md")?.contains(&sum), "README.md lacks {sum}");
    Ok(())
}

#[test]
fn pools_that_do_not_fit_are_refused() -> Result<()> {
    let problems = |pool: &str| {
        let script = "source scripts/settings.sh; check_settings";
        run(Command::new("bash").args(["-c", script]).current_dir(root()).env("DB_POOL_SIZE", pool))
    };
    ensure!(problems("8")?.is_empty(), "{}", problems("8")?);
    let text = problems("9")?;
    ensure!(text.contains("may open 102 connections") && text.contains("leaves 97"), "{text}");
    Ok(())
}

#[test]
fn the_stack_by_itself_has_the_defaults_of_the_deploy_script() -> Result<()> {
    let stack = [read("stack.yml")?, read("stack.monitoring.yml")?].concat();
    for (name, default) in settings()? {
        let start = format!("${{{name}:-");
        for (at, _) in stack.match_indices(&start) {
            let found = stack[at + start.len()..].split('}').next().unwrap_or_default();
            ensure!(found == default, "stack.yml has {name}={found}, the deploy script {default}");
        }
    }
    Ok(())
}
