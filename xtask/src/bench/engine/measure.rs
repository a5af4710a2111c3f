//! One program's run, measured from outside.

use std::{collections::BTreeMap, fmt, fs, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::{clock, say, stack::Stack};

/// How often the program's memory and time are looked at. The kernel keeps the peak; only the last moments can be missed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a run took.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Wall clock.
    pub seconds: f64,
    /// What the program used of all cores together. Storage and server are not in it.
    pub cpu_seconds: f64,
    /// The program's largest resident memory.
    pub peak_bytes: u64,
    /// How much the S3 endpoint's data grew by.
    pub stored_bytes: u64,
    /// S3 calls, by operation.
    pub calls: BTreeMap<String, u64>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7.2} s  cpu {:>7.2} s  peak {:>10}  stored {:>10}  {:>6} calls",
            self.seconds,
            self.cpu_seconds,
            say::bytes(self.peak_bytes),
            say::bytes(self.stored_bytes),
            self.calls.values().sum::<u64>()
        )
    }
}

/// What `/proc` counts time in, on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Runs a program to its end. Anything but success is an error.
pub async fn run(stack: &mut Stack, mut command: Command) -> Result<Figures> {
    let (calls, stored) = (stack.s3_calls().await?, stack.s3_stored_bytes().await?);
    let errors = tempfile::tempfile()?;
    let begun = clock::start();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.try_clone()?)
        .kill_on_drop(true)
        .spawn()
        .context("cannot be started")?;
    let id = child.id().context("it has ended already")?;
    let (mut peak_bytes, mut cpu_seconds) = (0, 0.0_f64);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            () = tokio::time::sleep(LOOK_EVERY) => {
                peak_bytes = peak_bytes.max(peak(id));
                cpu_seconds = cpu_seconds.max(cpu(id));
            }
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    if !status.success() {
        bail!(
            "ended with {status}:\n{}",
            crate::sh::last_lines(&text_of(errors)?, 10)
        );
    }
    let before = calls;
    let mut calls = stack.s3_calls().await?;
    for (operation, count) in &mut calls {
        *count -= before.get(operation).copied().unwrap_or(0);
    }
    calls.retain(|_, count| *count > 0);
    Ok(Figures {
        seconds,
        cpu_seconds,
        peak_bytes,
        stored_bytes: stack.s3_stored_bytes().await?.saturating_sub(stored),
        calls,
    })
}

fn text_of(mut file: fs::File) -> Result<String> {
    use std::io::{Read as _, Seek as _};
    file.rewind()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `VmHWM` in bytes.
fn peak(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// User and system time in seconds.
fn cpu(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The program's name, in brackets, may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    f64::from(ticks) / TICKS_PER_SECOND
}
