//! Work that goes on without anybody asking: the job queue and the periodic rounds.
//!
//! One dispatcher claims jobs and starts each as a task. No tenant, no storage account and no endpoint can have all of the
//! slots ([`dispatch`]), tenants and accounts take turns, and a job that is at work for longer than its kind may is stopped
//! and goes on later ([`job`]).

mod check;
mod commit;
mod dispatch;
mod error;
mod job;
mod rounds;
mod sweep;

#[cfg(test)]
pub(crate) use dispatch::CEILINGS;
pub use error::JobError;
pub use rounds::{forget_ended_commits, once as round};

use crate::app::App;

/// Starts the dispatcher and the periodic rounds. They end when the runtime does: a job that is cut off is claimed
/// again when its lease has run out.
pub fn start(app: &App) {
    tokio::spawn(dispatch::dispatch(app.clone()));
    tokio::spawn(rounds::schedule(app.clone()));
    tokio::spawn(rounds::tidy(app.clone()));
}
