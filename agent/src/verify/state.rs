//! Verifying what the agent keeps between its runs. All of it but the keys can be lost at the price of time: what is
//! found here says why the next backup will read everything again, or send something again.

use std::path::Path;

use shared::{
    api::agent::{Part, ReadsRequest},
    ids::SourceId,
    object::ObjectHash,
    words::counted,
};

use super::report::Report;
use crate::snapshot::{Defect, Finding, Subject};
use crate::{
    backup::Resume,
    cache::{Cache, CacheError, Head},
    client::{Client, ClientError},
    state::{State, StateError},
};

/// Why the state could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum StateCheckError {
    /// Nothing is enrolled there, or a backup is under way.
    #[error(transparent)]
    State(#[from] StateError),
    /// The server.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A source's cache that reads, and the snapshot that it is of.
type Known = (SourceId, String, Head);

/// Verifies a state folder by itself; with a client, also whether it fits the newest snapshots.
///
/// # Errors
/// See [`StateCheckError`]. Damage is no error.
pub async fn verify_state(state: &State, client: Option<&Client>) -> Result<Report, StateCheckError> {
    let lock = state.lock()?;
    let mut report = Report::default();
    if let Err(error) = state.signing_key() {
        report.damaged(&state.signing_key_path(), &error);
    }
    let mut known: Vec<Known> = Vec::new();
    for source in state.sources()? {
        known.extend(verify_source(state, source, &mut report)?);
    }
    drop(lock);
    for (source, path, head) in known {
        report.snapshots += 1;
        let what = if head.instance_id != state.config().instance_id {
            Some("another agent's state wrote it: a copy went its own way".to_owned())
        } else if let Some(client) = client
            && !is_newest(client, source, head.manifest).await?
        {
            Some(format!(
                "it is of snapshot {}, which is not the newest one of the source",
                head.seq
            ))
        } else {
            None
        };
        if let Some(what) = what {
            report.find(path, Defect::Stale { what });
        }
    }
    Ok(report)
}

fn verify_source(state: &State, source: SourceId, report: &mut Report) -> Result<Option<Known>, StateError> {
    let path = state.secret_path(source)?;
    if !path.exists() {
        report.find(escaped(&path), Defect::Missing);
        return Ok(None);
    }
    let secret = match state.source_secret(source) {
        Ok(secret) => Some(secret),
        Err(error) => {
            report.damaged(&path, &error);
            None
        }
    };
    let journal = state.journal_path(source)?;
    if let Some(secret) = secret {
        match Resume::leftover(&journal, &secret.chunk_key()) {
            Ok(leftover) if leftover.is_damaged => {
                let error = format!(
                    "a part of it; {} known from the rest",
                    counted(
                        leftover.packs.len() as u64,
                        "pack of a run that broke off is",
                        "packs of a run that broke off are"
                    )
                );
                report.find(escaped(&journal), Defect::Malformed { error });
            }
            Ok(_) => {}
            Err(error) => report.damaged(&journal, &error),
        }
    }
    report.objects += 2;
    let path = state.cache_path(source)?;
    match head(&path) {
        Ok(Some(head)) => return Ok(Some((source, escaped(&path), head))),
        // Of a source whose first run did not complete.
        Ok(None) if path.exists() => {}
        Ok(None) => report.find(escaped(&path), Defect::Missing),
        Err(error) => report.damaged(&path, &error),
    }
    Ok(None)
}

/// Reads a cache; gives the snapshot that it is of.
fn head(path: &Path) -> Result<Option<Head>, CacheError> {
    let Some(cache) = Cache::open_existing(path)? else {
        return Ok(None);
    };
    let run = cache.begin()?;
    run.check()?;
    run.head()
}

/// The server signs reads of the newest manifest, and of no other.
async fn is_newest(client: &Client, source: SourceId, manifest: ObjectHash) -> Result<bool, ClientError> {
    let part = Part::of(manifest, &(0..1));
    let request = ReadsRequest { parts: vec![part] };
    match client.source_reads(source, &request).await {
        Ok(reads) => Ok(reads.iter().any(|read| read.part == part)),
        Err(ClientError::Refused { status: 404, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Report {
    fn find(&mut self, path: String, defect: Defect) {
        self.findings.push(Finding::new(Subject::State { path }, defect));
    }

    fn damaged(&mut self, path: &Path, error: &dyn std::error::Error) {
        let error = error.to_string();
        self.find(escaped(path), Defect::Malformed { error });
    }
}

fn escaped(path: &Path) -> String {
    path.display().to_string()
}
