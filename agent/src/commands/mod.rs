//! The commands that need more than a line.

pub mod bucket;
pub mod preview;
pub mod recover;
pub mod restore;
pub mod show;
pub mod verify;

use std::process::ExitCode;

/// Everything is there but what the output names: some of it is damaged, or could not be written.
pub const INCOMPLETE: u8 = 3;

/// The exit code of a command that did all it could.
pub fn exit(complete: bool) -> ExitCode {
    if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    }
}
