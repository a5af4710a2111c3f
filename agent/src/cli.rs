//! What the binary shows: a progress bar for people, JSON lines for programs.

use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use agent::{
    escape::{escaped, escaped_json},
    progress::{Event, Observer, Speed},
};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde::Serialize;
use shared::{
    api::agent::{RunPhase, SnapshotSummary},
    words::{bytes, count, counted},
};

/// Who shows what happens.
pub fn observer(json: bool) -> Arc<dyn Observer> {
    if json {
        Arc::new(JsonLines)
    } else {
        Arc::new(Bar::new())
    }
}

/// One JSON object a line, on standard output.
pub struct JsonLines;

impl Observer for JsonLines {
    fn event(&self, event: &Event) {
        print(&json(event));
    }
}

/// A bar on a terminal, plain lines elsewhere, on standard error.
pub struct Bar {
    bar: ProgressBar,
    warnings: Mutex<u64>,
}

/// Of a path, so much of the end is shown.
const SHOWN_LETTERS: usize = 40;
/// Warnings are shown one by one up to this many.
const SHOWN_WARNINGS: u64 = 20;

impl Bar {
    /// A bar that appears with the first figures.
    pub fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes:>10} of {total_bytes:10} {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            warnings: Mutex::new(0),
        }
    }

    fn say(&self, line: &str) {
        let line = escaped(line.as_bytes());
        if self.bar.is_hidden() {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        } else {
            self.bar.println(line);
        }
    }
}

impl Observer for Bar {
    fn event(&self, event: &Event) {
        match event {
            Event::RunStarted { source_name, .. } => self.say(&format!("backing up {source_name}")),
            Event::Progress {
                progress,
                speed,
                current,
            } => {
                self.bar
                    .set_length(progress.bytes_total.unwrap_or(0).max(progress.bytes_done));
                self.bar.set_position(progress.bytes_done);
                let doing = match progress.phase {
                    RunPhase::Transfer => format!(
                        "{}, {}, {} sent  {}",
                        throughput(*speed),
                        counted(progress.files_done, "file or folder", "files and folders"),
                        bytes(progress.bytes_sent),
                        end_of(current),
                    ),
                    RunPhase::Finish => "writing index and manifest".to_owned(),
                    RunPhase::Confirm => "waiting until every lock is confirmed".to_owned(),
                };
                self.bar.set_message(doing);
            }
            Event::Warning { path, message } => {
                let count = {
                    let mut warnings = self
                        .warnings
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    *warnings += 1;
                    *warnings
                };
                if count <= SHOWN_WARNINGS {
                    self.say(&format!("warning: {path}: {message}"));
                } else if count == SHOWN_WARNINGS + 1 {
                    self.say("more warnings follow; `holdfast-agent show --warnings` lists them");
                }
            }
            // Listed by `show --warnings`.
            Event::Note { .. } => {}
            Event::Snapshot(snapshot) => {
                self.bar.finish_and_clear();
                self.say(&format!(
                    "snapshot {} (number {}): {}, {} of data, {} sent, locked until {}",
                    snapshot.snapshot_id,
                    snapshot.seq,
                    counted(snapshot.files, "file", "files"),
                    bytes(snapshot.bytes),
                    bytes(snapshot.bytes_sent),
                    snapshot.protected_until,
                ));
            }
            Event::RestoreStarted {
                restore_id,
                allowed_until,
            } => self.say(&format!(
                "restore {restore_id} begins; restores of this snapshot are allowed until {}, as many as are wanted",
                allowed_until.strftime("%Y-%m-%d %H:%M UTC")
            )),
            Event::Origin(origin) => self.say(&format!("this is {origin}")),
            Event::RestoreProgress { progress, speed } => {
                self.bar.set_length(progress.bytes_total);
                self.bar.set_position(progress.bytes_done);
                self.bar.set_message(format!(
                    "{}, {} of {}",
                    throughput(*speed),
                    count(progress.files_done),
                    counted(progress.files_total, "file or folder", "files and folders")
                ));
            }
            Event::Restored { progress, .. } => {
                self.bar.finish_and_clear();
                self.say(&format!(
                    "restored {}, {}",
                    counted(progress.files_done, "file or folder", "files and folders"),
                    bytes(progress.bytes_done)
                ));
            }
        }
    }
}

/// Speed, and the time that is left, as people read it.
fn throughput(speed: Speed) -> String {
    let rate = bytes(speed.bytes_per_second);
    match speed.seconds_left {
        Some(left) => format!("{rate}/s, {} left", HumanDuration(Duration::from_secs(left))),
        None => format!("{rate}/s"),
    }
}

/// The end of a path, of which a line has no room for more.
fn end_of(path: &str) -> String {
    let letters = path.chars().count();
    if letters <= SHOWN_LETTERS {
        return path.to_owned();
    }
    let end = path.chars().skip(letters - SHOWN_LETTERS);
    std::iter::once('…').chain(end).collect()
}

/// A line on standard output. What strangers put into it neither steers the terminal nor begins another line. A reader that
/// went away is not an error.
pub fn print(line: &str) {
    let _ = is_printed(line);
}

/// The same; gives whether anybody reads it.
pub fn is_printed(line: &str) -> bool {
    writeln!(std::io::stdout().lock(), "{}", escaped(line.as_bytes())).is_ok()
}

/// The line of JSON that [`print`] passes on as it is.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).map_or_else(|_| "{}".to_owned(), |json| escaped_json(&json))
}

/// Snapshots as a table.
pub fn print_snapshots(snapshots: &[SnapshotSummary]) {
    if snapshots.is_empty() {
        print("no snapshots yet");
    }
    for snapshot in snapshots {
        let state = if snapshot.complete {
            "locked until"
        } else {
            "locking, until"
        };
        print(&format!(
            "{}  {}  #{:<5} {}  {:>14} {:>12}  {state} {}",
            snapshot.id,
            snapshot.received_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            snapshot.seq,
            snapshot.source_name,
            counted(snapshot.totals.files, "file", "files"),
            bytes(snapshot.totals.bytes),
            snapshot.protected_until.strftime("%Y-%m-%d %H:%M:%S UTC"),
        ));
    }
}
