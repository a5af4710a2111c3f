//! What a try of a commit knows and works with.

use std::sync::Arc;

use jiff::Timestamp;
use shared::ids::RunId;

use crate::{
    app::App,
    db::{self, agents::Agent, backup_sets::BackupSet, runs::Run, sources::Source},
    jobs::{error::JobError, job::Context},
    s3::ObjectStore,
    scope::TenantScope,
    use_cases::{
        system::{protection, runs},
        views,
    },
};

/// HEADs and extensions that are under way together.
pub(super) const PARALLEL: usize = 16;

/// What becomes of a numbered snapshot that needs something which counts as gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It breaks: its commit record is not in the bucket.
    Breaks,
    /// Its record is there: it is complete, and damaged.
    IsDamage,
}

/// A try of a run's commit.
pub(in crate::jobs) struct Commit<'a> {
    pub(super) app: &'a App,
    pub(super) scope: &'a TenantScope,
    pub(super) run: Run,
    pub(super) source: Source,
    pub(super) set: BackupSet,
    pub(super) agent: Agent,
    /// Tries of the job, with this one.
    pub(super) attempt: i32,
    /// Q.
    pub(super) lock_ahead_days: u32,
    pub(super) store: Arc<dyn ObjectStore>,
    /// When this try saw everything in the bucket.
    pub(super) present_at: Option<Timestamp>,
    /// What was not there.
    pub(super) absent: db::absence::Noted,
}

impl<'a> Commit<'a> {
    /// Reads what the commit of a run needs. `None` when the run is gone.
    pub(super) async fn read(context: Context<'a>, id: RunId) -> Result<Option<Self>, JobError> {
        let Context {
            app, scope, attempt, ..
        } = context;
        let tx = app.db.tenant(scope).await?;
        let missing = |what: &str| JobError::Internal(format!("run {id}: its {what} is gone"));
        let Some(run) = db::runs::find(&tx, id).await? else {
            return Ok(None);
        };
        let source = db::sources::find(&tx, run.source_id)
            .await?
            .ok_or_else(|| missing("source"))?;
        let set = db::backup_sets::find(&tx, source.backup_set_id)
            .await?
            .ok_or_else(|| missing("backup set"))?;
        let agent = db::agents::find(&tx, source.agent_id)
            .await?
            .ok_or_else(|| missing("agent"))?;
        let account = db::storage_accounts::find(&tx, set.storage_account_id).await?;
        let account = account.ok_or_else(|| missing("storage account"))?;
        let lock_ahead_days = protection::lock_ahead_days(&set, &account, &source)?;
        let store = app.store(scope, &account)?;
        Ok(Some(Self {
            app,
            scope,
            run,
            source,
            set,
            agent,
            attempt,
            lock_ahead_days,
            store,
            present_at: None,
            absent: db::absence::Noted::default(),
        }))
    }

    /// Tells the browsers that watch.
    pub(super) fn announce(&self) {
        runs::announce(
            self.app,
            self.scope,
            views::run(&self.run, &self.source, &self.agent.hostname),
        );
    }
}
