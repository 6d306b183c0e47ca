//! What stops a deployment, before anything is touched: one clear sentence each.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::{
    Stack,
    stack::{docker, root, run},
};

/// The message of a deployment that does not come about.
fn refusal(command: &mut Command) -> Result<String> {
    let error = run(command).err().with_context(|| format!("{command:?} succeeded"))?;
    Ok(format!("{error:#}"))
}

/// The deploy script on a machine of its own: a container with these options, where it can do no harm.
fn elsewhere(options: &[&str]) -> Result<String> {
    let here = std::fs::canonicalize(root())?;
    let mount = format!("{}:/repository:ro", here.display());
    let common = ["run", "--rm", "--label", "scalable-backend.test=e2e", "--network", "none", "-v", &mount];
    let command = ["debian:trixie-slim", "/repository/deploy-autoscaling.sh"];
    refusal(Command::new("docker").args(common).args(options).args(command))
}

/// Options that bring this machine's engine and its command line into a container.
fn engine() -> Result<[String; 4]> {
    let program = run(Command::new("sh").args(["-c", "readlink -f \"$(command -v docker)\""]))?;
    let [volume, again] = [(); 2].map(|()| "-v".to_owned());
    Ok([volume, format!("{program}:/usr/bin/docker:ro"), again, "/var/run/docker.sock:/var/run/docker.sock".to_owned()])
}

#[test]
fn a_bad_setting_is_refused_before_anything_is_touched() -> Result<()> {
    let stack = Stack::deployed()?;
    let version = || docker(&["service", "inspect", "-f", "{{.Version.Index}}", &stack.service("api")]);
    let before = version()?;
    let mut command = Command::new("./deploy-autoscaling.sh");
    let text = refusal(command.current_dir(root()).env("SCALING_ALGORITHM", "magic"))?;
    ensure!(text.contains("SCALING_ALGORITHM=magic: allowed is one of linear"), "{text}");
    ensure!(before == version()?);
    Ok(())
}

#[test]
fn a_busy_port_is_refused_by_name_before_anything_is_made() -> Result<()> {
    let stack = Stack::deployed()?;
    // A second stack on the first one's ports.
    let other = format!("{}x", stack.name);
    let mut command = Command::new("./deploy-autoscaling.sh");
    let text = refusal(command.current_dir(root()).env("STACK_NAME", &other))?;
    ensure!(text.contains("is in use on this machine") && text.contains("HTTP_PORT="), "{text}");
    ensure!(docker(&["secret", "ls", "-q", "--filter", &format!("name={other}")])?.is_empty(), "it made secrets");
    Ok(())
}

#[test]
fn a_user_without_the_right_is_told_which_one() -> Result<()> {
    let engine = engine()?;
    let mut options: Vec<_> = engine.iter().map(String::as_str).collect();
    options.extend(["--user", "65534:65534"]);
    let text = elsewhere(&options)?;
    ensure!(text.contains("error: this user may not talk to the Docker engine: run with sudo, or join"), "{text}");
    let text = elsewhere(&["--user", "65534:65534"])?;
    ensure!(text.contains("error: Docker is not installed, and installing it needs root"), "{text}");
    Ok(())
}

#[test]
fn a_full_disk_is_told_with_its_place_and_the_way_out() -> Result<()> {
    let engine = engine()?;
    let place = docker(&["info", "--format", "{{.DockerRootDir}}"])?;
    let small = format!("{place}:size=64m");
    let mut options: Vec<_> = engine.iter().map(String::as_str).collect();
    options.extend(["--tmpfs", &small]);
    let text = elsewhere(&options)?;
    ensure!(
        text.contains(&format!("error: only 64 MiB are free under {place}: images and data need 2048 MiB")),
        "{text}"
    );
    ensure!(text.contains("docker system prune"), "{text}");
    Ok(())
}
