//! Programs that run beside xtask and end with it, each stopped by its own process id.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::{clock, sh};

/// How long a program may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// A program that runs beside us. Dropping it stops it.
pub struct Managed {
    name: &'static str,
    child: Child,
    log: PathBuf,
    stop_with: Signal,
}

impl Managed {
    /// Starts a program with its output going to the end of `log`. It gets a process group of its own, so that
    /// Ctrl-C reaches xtask alone and everything stops in order.
    pub fn spawn(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("{}: cannot be written", log.display()))?;
        let child = command
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .with_context(|| {
                format!(
                    "{name} ({}) cannot be started",
                    Path::new(command.get_program()).display()
                )
            })?;
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
            stop_with: Signal::TERM,
        })
    }

    /// Chooses the signal that stops it gently.
    pub fn stop_with(mut self, signal: Signal) -> Self {
        self.stop_with = signal;
        self
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// An error when it is no longer running, with the end of its log.
    pub fn must_run(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.tail(15)),
        }
    }

    /// The end of its log.
    pub fn tail(&self, lines: usize) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        sh::last_lines(&String::from_utf8_lossy(&text), lines)
    }

    /// Whether its log holds a text.
    pub fn has_said(&self, text: &str) -> bool {
        fs::read(&self.log).is_ok_and(|log| String::from_utf8_lossy(&log).contains(text))
    }

    /// How many lines of its log begin so.
    pub fn count(&self, beginning: &str) -> usize {
        self.lines(beginning).len()
    }

    /// The rest of the last line of its log that begins so.
    pub fn last(&self, beginning: &str) -> Option<String> {
        self.lines(beginning).pop()
    }

    fn lines(&self, beginning: &str) -> Vec<String> {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        // The last line may not be whole yet.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .filter_map(|line| line.strip_prefix(beginning).map(str::to_owned))
            .collect()
    }

    /// Sends it a signal.
    pub fn tell(&self, sign: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("no process id")?;
        kill_process(pid, sign).with_context(|| format!("{} cannot be told anything", self.name))
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and kills it when it does not.
    pub fn stop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        if let Ok(pid) = i32::try_from(self.child.id())
            && let Some(pid) = Pid::from_raw(pid)
        {
            // It may end by itself just now; `wait` below settles that.
            let _ = kill_process(pid, self.stop_with);
        }
        let begun = clock::start();
        while begun.elapsed() < STOP_TIMEOUT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        eprintln!(
            "{} did not stop within {} s: killed",
            self.name,
            STOP_TIMEOUT.as_secs()
        );
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A process as it is remembered on disk: the start time tells it from a later one with the same number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    name: String,
    pid: i32,
    started: u64,
}

/// What a run in a data folder has started, so that the next run can end what a killed one left behind.
pub struct Ledger {
    file: PathBuf,
    entries: Vec<Remembered>,
}

impl Ledger {
    /// Opens the list of a data folder, after stopping what is still running from it. The caller holds the
    /// folder's lock, so whatever is listed belongs to a run that is over.
    pub fn take_over(folder: &Path) -> Result<Self> {
        let file = folder.join("processes.json");
        let left: Vec<Remembered> = fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        // The other way round than they were started, as at an orderly end.
        for process in left.iter().rev() {
            if started_at(process.pid) == Some(process.started) {
                println!(
                    "  stopping {} (process {}), left over from a run that was killed",
                    process.name, process.pid
                );
                stop_other(process);
            }
        }
        let ledger = Self {
            file,
            entries: Vec::new(),
        };
        ledger.save()?;
        Ok(ledger)
    }

    /// Adds a program.
    pub fn add(&mut self, process: &Managed) -> Result<()> {
        let pid = i32::try_from(process.id())?;
        if let Some(started) = started_at(pid) {
            self.entries.push(Remembered {
                name: process.name.to_owned(),
                pid,
                started,
            });
            self.save()?;
        }
        Ok(())
    }

    fn save(&self) -> Result<()> {
        fs::write(&self.file, serde_json::to_vec_pretty(&self.entries)?)
            .with_context(|| format!("{}: cannot be written", self.file.display()))
    }
}

fn stop_other(process: &Remembered) {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return;
    };
    for (sign, timeout) in [(Signal::INT, 10), (Signal::KILL, 5)] {
        let _ = kill_process(pid, sign);
        let begun = clock::start();
        while begun.elapsed() < Duration::from_secs(timeout) {
            if started_at(process.pid) != Some(process.started) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// When a process started, in the kernel's ticks; `None` when there is no such process, or it is a zombie.
fn started_at(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields are counted from its end.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Claims a data folder; the claim ends with the process, however it ends.
pub fn claim(folder: &Path) -> Result<File> {
    let path = folder.join("in-use");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!(
            "another demo is running on {}: stop it with Ctrl-C, or choose another folder with --data",
            folder.display()
        );
    }
    Ok(file)
}

/// The signals that ask xtask to end.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// From now on they no longer kill the process outright.
    pub fn install() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_program_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let sleeper = Managed::spawn("sleep", Command::new("sleep").arg("60"), &log).unwrap();
        let pid = i32::try_from(sleeper.id()).unwrap();
        assert!(started_at(pid).is_some());
        drop(sleeper);
        assert_eq!(started_at(pid), None);
    }

    #[test]
    fn what_a_killed_run_left_is_stopped_and_a_stranger_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut left = Managed::spawn("left", Command::new("sleep").arg("60"), &log).unwrap();
        let mut stranger = Managed::spawn("stranger", Command::new("sleep").arg("60"), &log).unwrap();
        let mut ledger = Ledger::take_over(folder.path()).unwrap();
        ledger.add(&left).unwrap();
        ledger.add(&stranger).unwrap();
        // The stranger has the number of a process that we once started, and is another one.
        ledger.entries[1].started -= 1;
        ledger.save().unwrap();

        Ledger::take_over(folder.path()).unwrap();
        assert!(left.ended().unwrap().is_some());
        assert!(stranger.ended().unwrap().is_none());
    }

    #[test]
    fn a_folder_is_claimed_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = claim(folder.path()).unwrap();
        assert!(
            claim(folder.path())
                .unwrap_err()
                .to_string()
                .contains("another demo is running")
        );
        drop(first);
        claim(folder.path()).unwrap();
    }
}
