//! Every metric of every program: well formed, explained, and in the table of docs/metrics.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tests::{
    Stack, eventually,
    figures::{self, PROGRAMS, Shown},
    prometheus::tool,
    stack::root,
};

/// What `promtool check metrics` says of the names that are the guide's own, or follow them.
fn is_the_guides(finding: &str) -> bool {
    finding.starts_with("api_response_time_ms ")
}

/// A row of the table: the metric, and when it is shown; `None` for always.
struct Row {
    shown: Shown,
    when: Option<String>,
}

/// The tables of the document, by program.
fn tables() -> Result<BTreeMap<String, BTreeMap<String, Row>>> {
    let text = std::fs::read_to_string(root().join("docs/metrics.md")).context("docs/metrics.md")?;
    let mut all = BTreeMap::<String, BTreeMap<String, Row>>::new();
    let mut programs = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let named = |program: &&str| heading.starts_with(program) || heading.starts_with("Every program");
            programs = PROGRAMS.into_iter().filter(named).collect();
        }
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, labels, meaning] = cells[..] else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
        let (help, when) = match meaning.split_once(" *Only ") {
            Some((help, when)) => (help, Some(when.to_owned())),
            None => (meaning, None),
        };
        let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty() && label != "–").collect::<BTreeSet<_>>();
        let shown = Shown { kind: kind.to_owned(), help: help.to_owned(), labels };
        for program in &programs {
            let row = Row { shown: shown.clone(), when: when.clone() };
            all.entry((*program).to_owned()).or_default().insert(name.to_owned(), row);
        }
    }
    Ok(all)
}

#[tokio::test]
async fn every_page_is_clean_and_the_table_in_the_documents_is_what_is_on_it() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let tables = tables()?;
    // So that the api's replicas have answered something.
    stack.sign_in("metrics").await?;
    for program in PROGRAMS {
        let table = tables.get(program).with_context(|| format!("docs/metrics.md has no table of the {program}"))?;
        let page = eventually(&format!("everything on the page of the {program}"), Duration::from_secs(30), || async {
            let page = figures::page(&stack, program).await?;
            let found = figures::read(&page);
            for (name, row) in table {
                ensure!(row.when.is_some() || found.contains_key(name), "{name} is in the table and not there");
            }
            Ok(page)
        })
        .await?;
        for (name, shown) in figures::read(&page) {
            let row =
                table.get(&name).with_context(|| format!("{program}: docs/metrics.md lacks {name}: {shown:?}"))?;
            // A heading without samples has no labels.
            let no_samples = row.when.is_some() && shown.labels.is_empty();
            let expected = Shown {
                labels: if no_samples { BTreeSet::new() } else { row.shown.labels.clone() },
                ..row.shown.clone()
            };
            ensure!(shown == expected, "{program} {name}: is {shown:?}, the table has {expected:?}");
            ensure!(!shown.help.is_empty() && !shown.kind.is_empty(), "{program} {name}: {shown:?}");
        }
        // Exit code 3 is "sound, but with findings".
        let findings = tool(&["bash", "-c", "promtool check metrics || [ $? = 3 ]"], &page)?;
        let findings: Vec<_> = findings.lines().filter(|line| !is_the_guides(line)).collect();
        ensure!(findings.is_empty(), "{program}: {findings:?}");
    }
    Ok(())
}
