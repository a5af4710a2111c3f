//! `holdfast rebuild-ledger`: a backup set's ledger from the bucket alone (promise P7), and what differs from the one that
//! the database has.
//!
//! 1. Commit records say which snapshots count: those that this server's key has signed, or another key that the operator
//!    names. Each leads to its manifest, whose header and list say which objects the snapshot needs. No recovery key is needed
//!    for any of it, and no content is opened.
//! 2. A HEAD of each object's version shows size, MD5 and lock.
//! 3. That is compared with the database. With `--apply` the difference is written, one source at a time, behind the same
//!    fence as grooming. Nothing is ever deleted, neither rows nor versions, and no promise gets shorter: what only the database
//!    knows, such as a promotion or that a snapshot has expired, stays.
//!
//! A source is what its prefix says, its agent what its manifests say. Those that the database does not know are made, unclaimed.

mod apply;
mod compare;
mod ledger;
mod report;
mod scan;
mod versions;

pub use report::{Finding, Kind, Report, SourceReport, Written, table};

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use repository::commit::CommitVerifyingKey;
use shared::{
    ids::{BackupSetId, SourceId},
    object::{ObjectHash, ObjectRef},
};

use self::{
    compare::Comparison,
    ledger::Ledger,
    scan::{Found, Trust},
    versions::FoundVersion,
};
use crate::{
    app::App,
    db::{self, backup_sets::BackupSet},
    error::ApiError,
    s3::S3Error,
    scope::TenantScope,
    source_listing::SetLocation,
};

/// HEADs that are under way together.
const PARALLEL: usize = 32;
/// Objects that are gone through together.
const PART: usize = 1_000;

/// How the bucket is read, and what is done with the result.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Write the difference into the ledger.
    pub apply: bool,
    /// Keys for commit records that count besides this server's own: of a server whose master key is lost.
    pub commit_keys: Vec<CommitVerifyingKey>,
    /// Records count that no accepted key has signed, if their manifest is whole, sealed to the set's recovery key, fits, and is
    /// signed by the agent's key where the database knows that.
    pub any_commit_key: bool,
    /// Read every object and compare its hash, instead of taking size, MD5 and lock for enough.
    pub read_all: bool,
}

/// Finds the backup set in whichever tenant has it; the only one there is when none is named.
///
/// # Errors
/// `Invalid` with the sets that there are.
pub async fn find_set(app: &App, wanted: Option<BackupSetId>) -> Result<(TenantScope, BackupSet), ApiError> {
    let mut found = Vec::new();
    for scope in TenantScope::all(&app.db).await? {
        let tx = app.db.tenant(&scope).await?;
        let sets = db::backup_sets::all(&tx).await?;
        found.extend(sets.into_iter().map(|set| (scope, set)));
    }
    let names: Vec<String> = found
        .iter()
        .map(|(_, set)| format!("{} ({})", set.id, set.name))
        .collect();
    let mut matching: Vec<_> = found
        .into_iter()
        .filter(|(_, set)| wanted.is_none_or(|wanted| set.id == wanted))
        .collect();
    match (matching.pop(), matching.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(ApiError::invalid(
            "backup_set",
            format!(
                "Name one backup set with --backup-set. There are: {}.",
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            ),
        )),
    }
}

/// Rebuilds one backup set's ledger, or tells what would be written.
///
/// # Errors
/// When the bucket or the database cannot be asked.
pub async fn backup_set(
    app: &App,
    scope: &TenantScope,
    set: &BackupSet,
    options: &Options,
) -> Result<Report, ApiError> {
    let tx = app.db.tenant(scope).await?;
    let account = db::storage_accounts::find(&tx, set.storage_account_id)
        .await?
        .ok_or(ApiError::NotFound("storage account"))?;
    let known = db::sources::all(&tx).await?;
    drop(tx);
    let store = app.store(scope, &account)?;
    let location = SetLocation {
        store: store.as_ref(),
        bucket: &set.bucket,
        prefix: &set.prefix,
    };
    let own = app.commit_key.verifying_key();
    let mut commit_keys = vec![own];
    commit_keys.extend(&options.commit_keys);
    let trust = Trust {
        commit_keys: &commit_keys,
        any_commit_key: options.any_commit_key,
        signer: None,
        recovery: set.recovery_key.fingerprint(),
    };
    let mut sources: BTreeSet<SourceId> = location.sources().await?.into_iter().collect();
    let of_set = known.iter().filter(|source| source.backup_set_id == set.id);
    sources.extend(of_set.map(|source| source.id));
    let mut report = Report {
        at: app.clock.now(),
        tenant: scope.tenant(),
        backup_set: set.id,
        bucket: set.bucket.clone(),
        prefix: set.prefix.clone(),
        commit_key: own.to_string(),
        apply: options.apply,
        sources: Vec::new(),
    };
    for id in sources {
        // The ledger first: what a commit adds meanwhile is then in the bucket, and `apply` sees that the mark has moved.
        let before = load(app, scope, id).await?;
        let trust = Trust {
            signer: before.agent.as_ref().map(|agent| agent.signing_key),
            ..trust
        };
        let expected = scan::Expected::of(&before);
        let found = scan::source(location, id, trust, &expected).await?;
        let agent = found.newest_header.as_ref().map(|header| header.agent_id);
        let ledger = before.with_agent(app, scope, agent).await?;
        let versions = versions(location, &found, &ledger, set, options.read_all).await?;
        let now = app.clock.now();
        let comparison = compare::compare(&found, &versions, &ledger, &set.prefix, set.policy.mode, now);
        let outcome = if options.apply {
            match apply::apply(app, scope, set, &found, &ledger, &comparison).await {
                Ok(written) => (Some(written), None),
                Err(ApiError::Conflict { message, .. }) => (None, Some(message)),
                Err(error) => return Err(error),
            }
        } else {
            (None, None)
        };
        report.sources.push(told(&found, comparison, outcome));
    }
    Ok(report)
}

fn told(found: &Found, comparison: Comparison, outcome: (Option<Written>, Option<String>)) -> SourceReport {
    let header = found.newest_header.as_ref();
    SourceReport {
        source: found.id,
        agent: header.map(|header| header.agent_id),
        signer: header.map(|header| header.signer.to_hex()),
        snapshots: found.snapshots.len() as u64,
        objects: found.spans.len() as u64,
        bytes: found.spans.values().map(|span| span.object.size_bytes).sum(),
        findings: comparison.findings,
        written: outcome.0,
        refused: outcome.1,
    }
}

async fn load(app: &App, scope: &TenantScope, id: SourceId) -> Result<Ledger, ApiError> {
    let tx = app.db.tenant(scope).await?;
    let source = db::sources::find(&tx, id).await?;
    let agent = match &source {
        Some(source) => db::agents::find(&tx, source.agent_id).await?,
        None => None,
    };
    let mut snapshots = db::snapshots::of_source(&tx, id).await?;
    if let Some(source) = &source {
        // One whose locks are being extended.
        let newest = snapshots.last().map_or(0, |newest| newest.seq);
        if source.newest_seq > newest {
            snapshots.extend(db::snapshots::by_seq(&tx, id, source.newest_seq).await?);
        }
    }
    // A record may have reached the bucket though its answer did not come.
    snapshots.extend(db::snapshots::broken(&tx, id).await?);
    let rows = db::ledger::all(&tx, id).await?;
    Ok(Ledger {
        source,
        agent,
        rows: rows.into_iter().map(|row| (row.object.hash, row)).collect(),
        snapshots: snapshots.into_iter().map(|row| (row.seq, row)).collect(),
        spares: db::groom::spares(&tx, id, None, None).await?,
        mark: db::rebuild::mark(&tx, id).await?,
    })
}

impl Ledger {
    /// With the agent that the manifests tell, where the database has no source to tell it.
    async fn with_agent(
        mut self,
        app: &App,
        scope: &TenantScope,
        told: Option<shared::ids::AgentId>,
    ) -> Result<Self, ApiError> {
        if let (None, Some(id)) = (&self.agent, told) {
            let tx = app.db.tenant(scope).await?;
            self.agent = db::agents::find(&tx, id).await?;
        }
        Ok(self)
    }
}

/// The version of everything that a list names or the ledger has.
async fn versions(
    location: SetLocation<'_>,
    found: &Found,
    ledger: &Ledger,
    set: &BackupSet,
    read_all: bool,
) -> Result<HashMap<ObjectHash, Option<FoundVersion>>, S3Error> {
    let named = found.spans.iter().map(|(hash, span)| {
        let key = span.key(&set.prefix, found.id);
        (key, span.object, ledger.rows.get(hash))
    });
    let unnamed = ledger
        .stored()
        .filter(|row| !found.spans.contains_key(&row.object.hash))
        .map(|row| (row.key(&set.prefix, found.id), row.object, Some(row)));
    let wanted: Vec<(String, ObjectRef, Option<&db::ledger::LedgerObject>)> = named.chain(unnamed).collect();
    let mut versions = HashMap::with_capacity(wanted.len());
    // Part by part: a future for each of a million objects would be a gigabyte.
    for part in wanted.chunks(PART) {
        let finds = part.iter().map(|(key, object, known)| async move {
            let listing = &found.listing;
            let version =
                versions::find(location, key, object, listing, *known, set.policy.mode, read_all).await?;
            Ok::<_, S3Error>((object.hash, version))
        });
        let finds = stream::iter(finds.collect::<Vec<_>>()).buffer_unordered(PARALLEL);
        versions.extend(finds.try_collect::<Vec<_>>().await?);
    }
    Ok(versions)
}
