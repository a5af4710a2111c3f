//! Taking over the packs of runs that broke off: the journal says what they hold, the server says which of them the
//! bucket holds under a lock that suffices. Those are used as if this run had sent them; the rest is sent again.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use repository::chunk::ChunkKey;
use shared::{
    api::agent::{UploadRequest, UploadTicket, UploadsRequest},
    ids::RunId,
    object::ObjectHash,
};

use super::{
    resume::{Leftover, Noted, Resume},
    upload::UploadError,
};
use crate::{
    cache::PackInfo,
    client::{Client, ClientError},
};

/// Packs that one question names: the server looks each of them up in the bucket before it answers.
const ASKED_AT_ONCE: usize = 64;

/// What earlier runs of the source left behind, as far as it reads.
pub(super) fn leftover(journal: &Path, key: &ChunkKey) -> Leftover {
    let leftover = Resume::leftover(journal, key).unwrap_or_else(|error| {
        tracing::warn!(%error, "what an earlier run has sent cannot be read; it is sent again");
        Leftover::default()
    });
    if leftover.is_damaged {
        tracing::warn!("what an earlier run has sent does not read as a whole; the rest is sent again");
    }
    leftover
}

/// Which of the packs that earlier runs left behind are worth asking for: not those that the parent has already, whose
/// commit was durable after all, and not those that are not to be reused.
pub(super) fn candidates(
    leftover: Leftover,
    parents: &HashMap<u64, PackInfo>,
    unwanted: &[ObjectHash],
) -> Vec<Noted> {
    let known: HashSet<&ObjectHash> = parents
        .values()
        .map(|info| &info.object.hash)
        .chain(unwanted)
        .collect();
    let mut packs = leftover.packs;
    packs.retain(|noted| !known.contains(&noted.layout.object.hash));
    packs
}

/// Asks which of these packs are there, and gives those. An address that the server signs for one that is not is let
/// lapse: its bytes are gone.
pub(super) async fn adopt(
    client: &Client,
    run_id: RunId,
    candidates: Vec<Noted>,
) -> Result<Vec<Noted>, UploadError> {
    let asked = candidates.len();
    let mut adopted = Vec::new();
    let mut todo: Vec<Vec<Noted>> = Vec::new();
    let mut rest = candidates.into_iter().peekable();
    while rest.peek().is_some() {
        todo.push(rest.by_ref().take(ASKED_AT_ONCE).collect());
    }
    while let Some(packs) = todo.pop() {
        match ask(client, run_id, &packs).await {
            Ok(are_stored) => {
                let found = packs.into_iter().zip(are_stored);
                adopted.extend(found.filter(|(_, is_stored)| *is_stored).map(|(noted, _)| noted));
            }
            Err(error) if !is_about_one(&error) => return Err(error),
            Err(error) if packs.len() == 1 => {
                let pack = packs[0].layout.object.hash;
                tracing::debug!(%pack, %error, "a pack of an earlier run is not taken over");
            }
            // One of them is in the way of the others.
            Err(_) => todo.extend(packs.into_iter().map(|noted| vec![noted])),
        }
    }
    tracing::info!(
        asked,
        taken_over = adopted.len(),
        "packs of a run that broke off are in the bucket"
    );
    Ok(adopted)
}

/// Whether the server refuses one of the packs, and not the run: it is being deleted, or known with another content.
fn is_about_one(error: &UploadError) -> bool {
    matches!(
        error,
        UploadError::Client(ClientError::Refused { code, .. }) if code == "deleting" || code == "object"
    )
}

async fn ask(client: &Client, run_id: RunId, packs: &[Noted]) -> Result<Vec<bool>, UploadError> {
    let objects = packs.iter().map(|noted| UploadRequest {
        object: noted.layout.object,
        content_md5: STANDARD.encode(noted.content_md5),
    });
    let request = UploadsRequest {
        objects: objects.collect(),
    };
    let tickets = client.uploads(run_id, &request).await?;
    if tickets.len() != packs.len() {
        return Err(UploadError::Tickets {
            got: tickets.len(),
            asked: packs.len(),
        });
    }
    let is_stored = |ticket: &UploadTicket| matches!(ticket, UploadTicket::Stored);
    Ok(tickets.iter().map(is_stored).collect())
}
