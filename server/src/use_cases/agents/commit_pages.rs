//! Receiving the change that a run will commit, page by page. A page that was answered is durable: an agent or a server that
//! comes back goes on with the next one.
//!
//! What is refused here is refused early; the commit job looks at all of it again under the source's row.

use std::collections::HashMap;

use shared::{
    api::{
        agent::CommitRequest,
        commit::{CommitPage, PAGES_PER_RUN, StoredPage},
    },
    ids::{RunId, SourceId},
    object::{ObjectHash, ObjectKind},
    retention::ObjectState,
    words::{count, counted},
};

use super::caller::{must_run, own_run};
use crate::{
    app::App,
    db::{self, TenantTx, commit_pages::PageRow, ledger::LedgerObject},
    error::ApiError,
    scope::Caller,
};

/// Refuses a run that takes no pages. Asked before the body is read; no row is locked.
///
/// # Errors
/// `NotFound` when the run is not the caller's, `Conflict` when it is not under way.
pub async fn must_take_pages(app: &App, caller: &Caller, run: RunId) -> Result<(), ApiError> {
    let tx = app.db.tenant(&caller.scope).await?;
    let run = db::runs::find(&tx, run).await?.ok_or(ApiError::NotFound("run"))?;
    let source = db::sources::find(&tx, run.source_id).await?;
    if source.is_none_or(|source| source.agent_id != caller.agent.id) {
        return Err(ApiError::NotFound("run"));
    }
    must_run(&run, app.clock.now())
}

/// Keeps a page. The same page again is no error.
///
/// # Errors
/// `Conflict` when the run is over, another page has the number, or one before it is missing; `Invalid` when the page breaks
/// the rules or names what was never signed for the source.
pub async fn receive(
    app: &App,
    caller: &Caller,
    run: RunId,
    number: u32,
    page: CommitPage,
) -> Result<(), ApiError> {
    let refused = |message: String| ApiError::invalid("commit_page", message);
    page.check().map_err(|error| refused(format!("{error}.")))?;
    if number >= PAGES_PER_RUN {
        return Err(refused(format!("A run has {PAGES_PER_RUN} pages at most.")));
    }
    let tx = app.db.tenant(&caller.scope).await?;
    let (run, source) = own_run(&tx, caller, run).await?;
    must_run(&run, app.clock.now())?;
    let before = db::commit_pages::list(&tx, run.id).await?;
    if let Some(known) = before.iter().find(|known| known.number == number) {
        if known.digest == repository::hash(&page.to_bytes()) {
            return Ok(());
        }
        return Err(ApiError::conflict(
            "commit_page_differs",
            format!("Page {number} of this run was sent before with another content. Start another run."),
        ));
    }
    must_follow(before.last(), number, &page)?;
    must_be_known(&tx, source.id, &page).await?;
    db::commit_pages::add(&tx, run.id, number, &page).await?;
    Ok(tx.commit().await?)
}

/// Pages come one after the other, so that what is there is always a beginning, and nothing is named twice.
fn must_follow(before: Option<&PageRow>, number: u32, page: &CommitPage) -> Result<(), ApiError> {
    let next = before.map_or(0, |before| before.number + 1);
    if number != next {
        return Err(ApiError::conflict(
            "commit_page_missing",
            format!("Page {number} of this run can not be kept before page {next}."),
        ));
    }
    let first = page.hashes().first().copied();
    let in_order = before.is_none_or(|before| {
        Some((before.section, before.last)) < first.map(|first| (page.section(), first))
    });
    if in_order {
        return Ok(());
    }
    Err(ApiError::invalid(
        "commit_page",
        "The pages of a run name what was added, what was dropped, then packs that are used in part, each ascending by hash and nothing twice.",
    ))
}

/// Every entry is an object of the source, of the size and kind that was signed for; only what a snapshot needs is dropped.
async fn must_be_known(tx: &TenantTx, source: SourceId, page: &CommitPage) -> Result<(), ApiError> {
    let hashes = page.hashes();
    let rows: HashMap<ObjectHash, LedgerObject> = db::ledger::find(tx, source, &hashes)
        .await?
        .into_iter()
        .map(|row| (row.object.hash, row))
        .collect();
    let unknown = match page {
        CommitPage::Added(entries) => entries.iter().find_map(|object| {
            let known = rows
                .get(&object.hash)
                .is_some_and(|row| row.object == *object && row.state != ObjectState::Deleting);
            (!known).then_some(object.hash)
        }),
        CommitPage::Dropped(entries) => entries.iter().find_map(|hash| {
            let needed = rows.get(hash).is_some_and(|row| {
                row.state == ObjectState::Live
                    && row.dropped.is_none()
                    && !matches!(row.object.kind, ObjectKind::Manifest | ObjectKind::Commit)
            });
            (!needed).then_some(*hash)
        }),
        CommitPage::Liveness(entries) => entries.iter().find_map(|pack| {
            let known = rows
                .get(&pack.hash)
                .is_some_and(|row| row.object.kind == ObjectKind::Pack);
            (!known).then_some(pack.hash)
        }),
    };
    match unknown {
        None => Ok(()),
        Some(hash) => Err(ApiError::invalid(
            "commit_page_object",
            match page {
                CommitPage::Added(_) => {
                    format!("{hash}: was never signed for this source, or as something else.")
                }
                CommitPage::Dropped(_) => format!("{hash}: the snapshot before does not need it."),
                CommitPage::Liveness(_) => format!("{hash}: is no pack of this source."),
            },
        )),
    }
}

/// The pages that are there: an agent that was interrupted goes on after them.
///
/// # Errors
/// `NotFound` when the run is not the caller's.
pub async fn list(app: &App, caller: &Caller, run: RunId) -> Result<Vec<StoredPage>, ApiError> {
    let tx = app.db.tenant(&caller.scope).await?;
    let (run, _) = own_run(&tx, caller, run).await?;
    let pages = db::commit_pages::list(&tx, run.id).await?;
    Ok(pages
        .iter()
        .map(|page| StoredPage {
            number: page.number,
            digest: page.digest,
        })
        .collect())
}

/// Refuses a commit whose pages are not all there, or are others.
///
/// # Errors
/// `Conflict`: the agent sends what is missing and asks again, or begins another run.
pub async fn must_be_whole(tx: &TenantTx, run: RunId, request: &CommitRequest) -> Result<(), ApiError> {
    if !request.counted_liveness && request.change.liveness > 0 {
        return Err(ApiError::invalid(
            "counted_liveness",
            "counted_liveness: the pages name packs in part use that were not counted.",
        ));
    }
    let there = db::commit_pages::totals(tx, run).await?;
    if there == request.change {
        return Ok(());
    }
    Err(ApiError::conflict(
        "commit_pages",
        format!(
            "The commit names {} with {} added and {} dropped. {} with {} and {} are here, or they are others.",
            counted(u64::from(request.change.pages), "page", "pages"),
            counted(request.change.added, "object", "objects"),
            count(request.change.dropped),
            counted(u64::from(there.pages), "page", "pages"),
            count(there.added),
            count(there.dropped)
        ),
    ))
}
