//! What alerts, their tests, the runbook and the dashboards promise each other.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use tests::{dashboards, stack::root};

fn files(folder: &str) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root().join(folder))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a name")?.to_owned();
        all.push((name, std::fs::read_to_string(&path)?));
    }
    ensure!(!all.is_empty(), "{folder} is empty");
    Ok(all)
}

/// Name and text of every alert.
fn alerts() -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for (_, text) in files("monitoring/rules")? {
        for rule in text.split("- alert: ").skip(1) {
            all.push((rule.lines().next().unwrap_or_default().to_owned(), rule.to_owned()));
        }
    }
    Ok(all)
}

#[test]
fn each_alert_has_a_severity_a_sentence_and_its_place_in_the_runbook() -> Result<()> {
    let runbook = std::fs::read_to_string(root().join("docs/runbook.md"))?;
    let alerts = alerts()?;
    ensure!(alerts.len() >= 20, "{} alerts", alerts.len());
    for (name, rule) in alerts {
        let has = |text: &str| rule.lines().any(|line| line.trim() == text);
        ensure!(has("labels: { severity: critical }") || has("labels: { severity: warning }"), "{name}: {rule}");
        ensure!(rule.contains("summary: "), "{name}: {rule}");
        // The anchor of a heading is its text in lower case.
        ensure!(has(&format!("runbook_url: \"@RUNBOOK@#{}\"", name.to_lowercase())), "{name}: {rule}");
        ensure!(runbook.lines().any(|line| line == format!("### {name}")), "the runbook lacks {name}");
    }
    Ok(())
}

#[test]
fn each_alert_is_tested_firing_and_silent() -> Result<()> {
    let tests: String = files("monitoring/tests")?.into_iter().map(|(_, text)| text).collect();
    for (name, _) in alerts()? {
        ensure!(tests.contains(&format!("alertname: {name}\n        exp_alerts:\n")), "{name} never fires in a test");
        ensure!(tests.contains(&format!("alertname: {name}, exp_alerts: [] }}")), "{name} is never silent in a test");
    }
    Ok(())
}

#[test]
fn the_dashboards_can_be_imported_and_lie_side_by_side() -> Result<()> {
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (file, board) in dashboards::all()? {
        ensure!(board["title"].is_string() && board["schemaVersion"].is_u64(), "{file}: no title or version");
        ensure!(ids.insert(board["uid"].as_str().context("no uid")?.to_owned()), "{file}: its uid is taken");
        ensure!(board["templating"]["list"][0]["type"] == "datasource", "{file}: the data source cannot be chosen");
        let mut cells = BTreeSet::new();
        for panel in board["panels"].as_array().context("no panels")? {
            let title = panel["title"].as_str().context("no title")?;
            ensure!(panel["description"].is_string(), "{file}, {title}: no description");
            ensure!(panel["datasource"]["uid"] == "${datasource}", "{file}, {title}: another data source");
            ensure!(names.insert(format!("{file} {} {title}", panel["type"])), "{file}: {title} twice");
            let side = |name: &str| panel["gridPos"][name].as_u64().with_context(|| format!("{file}, {title}: {name}"));
            let (x, y, w, h) = (side("x")?, side("y")?, side("w")?, side("h")?);
            ensure!(x + w <= 24, "{file}, {title}: beyond the right edge");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                ensure!(cells.insert(cell), "{file}, {title}: on top of another");
            }
        }
    }
    ensure!(ids.len() == 4, "{ids:?}");
    let alerts: BTreeSet<_> = alerts()?.into_iter().map(|(name, _)| name).collect();
    for (alert, _) in dashboards::ALERTS_WITHOUT_DATA {
        ensure!(alerts.contains(*alert), "{alert} is excused and does not exist");
    }
    let known: BTreeSet<_> = dashboards::queries()?.into_iter().map(|(place, _)| place).collect();
    for (panel, _) in dashboards::PANELS_WITHOUT_DATA {
        ensure!(known.contains(*panel), "{panel} is excused and does not exist");
    }
    Ok(())
}
