//! The deploy script's settings: what it reads, and what it refuses before anything is touched.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::stack::{root, run};

/// What the script says of an environment, a rule that is broken a line.
fn problems(variables: &[(&str, &str)]) -> Result<String> {
    let mut command = Command::new("bash");
    command.args(["-c", "source scripts/settings.sh; check_settings"]).current_dir(root()).env_clear();
    run(command.env("PATH", std::env::var("PATH")?).envs(variables.iter().copied()))
}

#[test]
fn a_bad_value_of_every_kind_is_named_with_what_is_allowed() -> Result<()> {
    ensure!(problems(&[])?.is_empty(), "{}", problems(&[])?);
    for (name, value, allowed) in [
        ("STACK_NAME", "Not A Name", "lower-case letters"),
        ("HTTP_PORT", "0", "a port from 1 to 65535"),
        ("HTTP_PORT", "65536", "a port from 1 to 65535"),
        ("COLLECTOR_PORT", "http", "a port from 1 to 65535"),
        ("NETWORK_SUBNET", "10.0.0.0", "an IPv4 network"),
        ("SCALING_ALGORITHM", "magic", "one of linear, exponential, target, predictive"),
        ("MIN_REPLICAS", "-1", "a whole number from 1 to 100"),
        ("MAX_REPLICAS", "1e3", "a whole number from 1 to 100"),
        ("CHECK_INTERVAL", "soon", "a number from 0.1 to 3600"),
        ("CHECK_INTERVAL", "0", "a number from 0.1 to 3600"),
        ("CPU_SCALE_UP_THRESHOLD", "70%", "a number from 1 to 100"),
        ("API_MEMORY_LIMIT", "lots", "a size like 128M or 1G"),
        ("RUNBOOK_URL", "docs/run book.md", "an address or a path"),
        ("SCRAPE_INTERVAL", "0.5", "a whole number from 1 to 60"),
        ("READ_SOCKET", "/var/run/../docker.sock:rw", "an absolute path"),
        ("COOLDOWN_PERIOD", "$(touch /tmp/harm)", "a number from 0 to 86400"),
    ] {
        let text = problems(&[(name, value)])?;
        ensure!(text.contains(&format!("{name}={value}: allowed is")) || text.contains("allowed are"), "{text}");
        ensure!(text.contains(allowed), "{name}={value}: {text}");
    }
    Ok(())
}

#[test]
fn a_value_is_never_run() -> Result<()> {
    let harm = std::env::temp_dir().join(format!("harm-of-a-value-{}", std::process::id()));
    for name in ["MIN_REPLICAS", "CHECK_INTERVAL", "COLLECT_INTERVAL", "CPU_WINDOW", "CACHE_TTL", "DB_POOL_SIZE"] {
        for value in ["$(touch HARM)", "system(\"touch HARM\")", "1); system(\"touch HARM\"); (1", "a[$(touch HARM)]"] {
            let value = value.replace("HARM", &harm.display().to_string());
            ensure!(problems(&[(name, &value)])?.contains("allowed is"), "{name}={value} is taken");
            ensure!(!harm.exists(), "{name}={value} was run");
        }
    }
    Ok(())
}

#[test]
fn values_that_do_not_go_together_are_named_together() -> Result<()> {
    for (variables, text) in [
        ([("MIN_REPLICAS", "6"), ("MAX_REPLICAS", "5")], "needed is MIN_REPLICAS <= MAX_REPLICAS"),
        (
            [("CPU_SCALE_DOWN_THRESHOLD", "70"), ("CPU_SCALE_UP_THRESHOLD", "70")],
            "needed is CPU_SCALE_DOWN_THRESHOLD <",
        ),
        ([("CACHE_TTL", "60"), ("CACHE_COOLDOWN_PERIOD", "60")], "needed is CACHE_TTL < CACHE_COOLDOWN_PERIOD"),
        ([("HTTP_PORT", "8080"), ("AUTOSCALER_PORT", "8080")], "port 8080 is given twice"),
        ([("COLLECT_INTERVAL", "10"), ("CPU_WINDOW", "15")], "at least twice COLLECT_INTERVAL"),
        ([("JWT_SECRET", "short"), ("HTTP_PORT", "x")], "JWT_SECRET has 5 characters"),
    ] {
        let found = problems(&variables)?;
        ensure!(found.contains(text), "{variables:?}: {found}");
    }
    // All at once, and no secret among them.
    let found = problems(&[("HTTP_PORT", "x"), ("MAX_REPLICAS", "y"), ("JWT_SECRET", "tell-nobody")])?;
    ensure!(found.contains("HTTP_PORT=x") && found.contains("MAX_REPLICAS=y"), "{found}");
    ensure!(!found.contains("tell-nobody"), "{found}");
    Ok(())
}

/// What is left in the environment after a file of settings was read.
fn read(file: &str, variables: &[(&str, &str)]) -> Result<String> {
    let path = std::env::temp_dir().join(format!("settings-{}-{}", std::process::id(), file.len()));
    std::fs::write(&path, file)?;
    let mut command = Command::new("bash");
    command.args(["-c", "source scripts/settings.sh; read_env_file \"$1\"; env", "bash"]).arg(&path);
    command.current_dir(root()).env_clear().env("PATH", std::env::var("PATH")?).envs(variables.iter().copied());
    let result = run(&mut command);
    std::fs::remove_file(&path)?;
    result
}

/// The user guide's own file, to the letter.
const GUIDE: &str = "\
# Scaling thresholds
SCALE_UP_THRESHOLD=80
SCALE_DOWN_THRESHOLD=30
CPU_SCALE_UP_THRESHOLD=70
MEMORY_SCALE_UP_THRESHOLD=80

# Replica limits
MIN_REPLICAS=2
MAX_REPLICAS=10

# Timing
CHECK_INTERVAL=30
COOLDOWN_PERIOD=120

# Algorithm selection
SCALING_ALGORITHM=linear  # linear, exponential, predictive
";

#[test]
fn the_guides_env_file_is_read_and_what_is_exported_wins() -> Result<()> {
    let found = read(GUIDE, &[("MAX_REPLICAS", "7")])?;
    for line in ["SCALE_UP_THRESHOLD=80", "CHECK_INTERVAL=30", "SCALING_ALGORITHM=linear", "MAX_REPLICAS=7"] {
        ensure!(found.lines().any(|found| found == line), "no {line}: {found}");
    }
    let pairs = GUIDE
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name, value.split(' ').next().unwrap_or_default()));
    ensure!(problems(&pairs.collect::<Vec<_>>())?.is_empty());
    Ok(())
}

#[test]
fn a_file_of_settings_is_text_and_never_run() -> Result<()> {
    let harm = std::env::temp_dir().join(format!("harm-{}", std::process::id()));
    let file = format!(
        "export A='one # two'\r\nB=\"x y\" # note\nC=$(touch {harm})\nD=`touch {harm}`\nE=a=b==\n  F = spaced\ntouch {harm}\nG=last",
        harm = harm.display()
    );
    let found = read(&file, &[])?;
    ensure!(!harm.exists(), "a line of the file was run");
    let has = |line: &str| found.lines().any(|found| found == line);
    for line in ["A=one # two", "B=x y", "E=a=b==", "G=last"] {
        ensure!(has(line), "no {line}: {found}");
    }
    ensure!(has(&format!("C=$(touch {})", harm.display())), "{found}");
    for line in ["line 6: expected NAME=value", "line 7: expected NAME=value"] {
        ensure!(found.contains(line), "no {line}: {found}");
    }
    Ok(())
}

#[test]
fn the_deploy_script_says_all_that_is_wrong_and_stops() -> Result<()> {
    let mut command = Command::new("./deploy-autoscaling.sh");
    command.current_dir(root()).env("HTTP_PORT", "eighty").env("MIN_REPLICAS", "0");
    let output = command.output()?;
    let error = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output:?}", output = output.status);
    ensure!(error.starts_with("error: the settings are not usable, nothing was changed:\n"), "{error}");
    ensure!(error.contains("HTTP_PORT=eighty") && error.contains("MIN_REPLICAS=0"), "{error}");
    let help = run(Command::new("./deploy-autoscaling.sh").arg("--help").current_dir(root()))?;
    for option in ["--build", "--status", "--rotate", "--down", "--volumes", "--yes", "--help"] {
        ensure!(help.contains(option), "--help lacks {option}");
    }
    let wrong = run(Command::new("./deploy-autoscaling.sh").arg("--destroy").current_dir(root())).err();
    ensure!(wrong.context("it took an unknown option")?.to_string().contains("unknown option --destroy"));
    Ok(())
}
