//! Other programs, run to their end. They die with the task that waits for them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader},
    process::Command,
};

/// Looks a program up on PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

/// Whether a file may be run.
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Runs a program on this terminal; anything but success is an error.
pub async fn run(command: &mut Command) -> Result<()> {
    let name = name_of(command);
    let status = command
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("`{name}` cannot be started"))?;
    if !status.success() {
        bail!("`{name}` ended with {status}");
    }
    Ok(())
}

/// Runs a program and takes what it prints; its complaint becomes the error.
pub async fn output(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    finish(command, "").await
}

/// The same, with this on its standard input.
pub async fn output_of(command: &mut Command, input: &str) -> Result<String> {
    command.stdin(Stdio::piped());
    finish(command, input).await
}

async fn finish(command: &mut Command, input: &str) -> Result<String> {
    let name = name_of(command);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("`{name}` cannot be started"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{name}` ended with {}: {}",
            output.status,
            last_lines(&complaint, 12).trim()
        );
    }
    Ok(text)
}

/// Like [`output`], but gives up after a while.
pub async fn output_within(timeout: Duration, command: &mut Command) -> Result<String> {
    let name = name_of(command);
    match tokio::time::timeout(timeout, output(command)).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("`{name}` had not ended after {} s", timeout.as_secs()),
    }
}

/// Runs a program, shows what it prints as it comes, and keeps it. Says whether it succeeded.
pub async fn run_and_keep(command: &mut Command) -> Result<(bool, String)> {
    let name = name_of(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("`{name}` cannot be started"))?;
    let stdout = child.stdout.take().context("no standard output")?;
    let stderr = child.stderr.take().context("no standard error")?;
    let (out, err, status) = tokio::join!(
        echo(stdout, std::io::stdout()),
        echo(stderr, std::io::stderr()),
        child.wait()
    );
    let mut text = out?;
    text.push_str(&err?);
    Ok((status?.success(), text))
}

async fn echo(from: impl AsyncRead + Unpin, mut to: impl std::io::Write) -> Result<String> {
    let mut lines = BufReader::new(from);
    let mut kept = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Ok(kept);
        }
        to.write_all(&line)?;
        to.flush()?;
        kept.push_str(&String::from_utf8_lossy(&line));
    }
}

/// The end of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn name_of(command: &Command) -> String {
    let command = command.as_std();
    let mut name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args().take(6) {
        name.push(' ');
        name.push_str(&argument.to_string_lossy());
    }
    name
}
