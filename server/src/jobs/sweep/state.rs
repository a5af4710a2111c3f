//! What a sweep knows and works with.

use std::sync::Arc;

use jiff::Timestamp;
use shared::{api::view::SweepReport, ids::SourceId, retention::Provider};

use super::refusals::Refusals;
use crate::{
    app::App,
    db::{self, backup_sets::BackupSet, sources::Source},
    jobs::{error::JobError, job::Context},
    s3::ObjectStore,
    scope::TenantScope,
};

/// Whether there is time for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    GoOn,
    /// A commit of the source waits: it goes first.
    GiveWay,
}

/// A sweep of one source.
pub(in crate::jobs) struct Sweep<'a> {
    pub(super) app: &'a App,
    pub(super) scope: &'a TenantScope,
    pub(super) source: Source,
    pub(super) set: BackupSet,
    pub(super) provider: Provider,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) began_at: Timestamp,
    pub(super) report: SweepReport,
    /// What was not done: it is tried again soon.
    pub(super) failed: u64,
    /// Objects that were not found and are not believed to be gone yet.
    pub(super) suspected: u64,
    /// What was not done, for the report.
    pub(super) refusals: Refusals,
}

impl<'a> Sweep<'a> {
    /// Reads what a sweep needs. `None` when the source is gone.
    pub(super) async fn read(context: Context<'a>, id: SourceId) -> Result<Option<Self>, JobError> {
        let Context { app, scope, .. } = context;
        let tx = app.db.tenant(scope).await?;
        let missing = |what: &str| JobError::Internal(format!("source {id}: its {what} is gone"));
        let Some(source) = db::sources::find(&tx, id).await? else {
            return Ok(None);
        };
        let set = db::backup_sets::find(&tx, source.backup_set_id)
            .await?
            .ok_or_else(|| missing("backup set"))?;
        let account = db::storage_accounts::find(&tx, set.storage_account_id)
            .await?
            .ok_or_else(|| missing("storage account"))?;
        Ok(Some(Self {
            app,
            scope,
            source,
            set,
            provider: crate::use_cases::system::protection::provider(&account),
            store: app.store(scope, &account)?,
            began_at: app.clock.now(),
            report: SweepReport::default(),
            failed: 0,
            suspected: 0,
            refusals: Refusals::default(),
        }))
    }

    /// Notes what was not done.
    pub(super) fn refuse(&mut self, sentence: String) {
        tracing::warn!(source = %self.source.id, sentence, "a sweep refused or failed in part");
        self.refusals.note(sentence);
    }

    /// Notes what was not done to one object.
    pub(super) fn refuse_object(&mut self, key: &str, why: String) {
        tracing::warn!(source = %self.source.id, key, why, "a sweep failed at an object");
        self.refusals.note_object(key, why);
    }
}
