//! A store that lies, goes away and loses a pack: no backup fails for the first two, and none builds on the third.
//!
//! In a bucket of its own, in GOVERNANCE mode, where an owner may delete what is locked, with an endpoint of its own and a proxy
//! in front of the store.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use shared::{
    api::{
        agent::RunState,
        view::{Health, RunView},
    },
    ids::{SnapshotId, SourceId},
    retention::LockMode,
};

use super::{
    backups::{self, back_up, made_by},
    bucket::{Attempt, Bucket},
    report::Report,
    set_up::StoryContext,
};
use crate::{
    api::granted,
    clock,
    demo::customer,
    files::fingerprint::TreeFingerprint,
    say,
    stack::{
        Stack, agent,
        proxy::{Fault, Proxy},
    },
};

/// The bucket.
const BUCKET: &str = "story-governance";
/// For how long the store accepts no connection.
const OUTAGE: Duration = Duration::from_secs(90);
/// And how soon after that a backup has succeeded.
const RECOVERED_WITHIN: Duration = Duration::from_secs(180);

/// Tells it. It leaves the rest of the story as it was.
pub async fn tell(stack: &mut Stack, report: &mut Report, context: &StoryContext) -> Option<()> {
    let folder = stack.plan.folder.join("source/workshop");
    let proxy = report
        .step("an unreliable store: another bucket, in GOVERNANCE mode", async {
            let proxy = Proxy::start(stack.plan.s3_port).await?;
            let figures = format!("{BUCKET}, through {}", proxy.address());
            Ok((proxy, figures))
        })
        .await?;
    let workshop = report
        .step("an endpoint backs up to it", async {
            let workshop = Workshop::set_up(stack, context, &proxy, &folder).await?;
            let run = workshop.back_up(context).await?;
            let page = made_by(&context.api, context, &run).await?;
            Ok((workshop, say::count(page.objects, "object", "objects")))
        })
        .await?;
    report
        .step("a false 404, eight times: the backup is complete", async {
            fs::write(folder.join("second"), noise(2))?;
            proxy.set(Fault::NotFound(8));
            let run = workshop.back_up(context).await?;
            let page = made_by(&context.api, context, &run).await?;
            let met = proxy.hits();
            proxy.set(Fault::None);
            if met == 0 {
                bail!("the store was not asked while it lied");
            }
            if page.snapshot.damage.is_some() {
                bail!("the snapshot is said to be damaged");
            }
            Ok(((), format!("{met} answers were false")))
        })
        .await?;
    report
        .step("a store that is away for 90 s: the backup is complete", async {
            fs::write(folder.join("third"), noise(3))?;
            proxy.set(Fault::Away);
            let run = workshop.start(context).await?;
            if !proxy.was_met().await? {
                bail!("the store was not asked while it was away");
            }
            tokio::time::sleep(OUTAGE).await;
            let met = proxy.hits();
            proxy.set(Fault::None);
            let back = clock::start();
            let run = context
                .api
                .ended(context.tenant, run.id, backups::RUN_TIMEOUT)
                .await?;
            made_by(&context.api, context, &run).await?;
            let took = back.elapsed();
            if took > RECOVERED_WITHIN {
                bail!("it took {} s after the store was back", took.as_secs());
            }
            Ok((
                (),
                format!(
                    "{met} requests met nobody; complete {} s after it was back",
                    took.as_secs()
                ),
            ))
        })
        .await?;
    report
        .step("a pack is deleted with bypass: nothing builds on it", async {
            let lost = delete_a_pack(stack).await?;
            fs::write(folder.join("fourth"), noise(4))?;
            let run = workshop.back_up(context).await?;
            let error = run.error.clone().unwrap_or_default();
            if run.state != RunState::Failed || !error.contains("gone from the bucket") {
                bail!("the run ended as {:?}: {error}", run.state);
            }
            let tenant = context.api.tenant(context.tenant).await?;
            let snapshots = context.api.snapshots(context.tenant).await?;
            let damaged = snapshots
                .iter()
                .filter(|snapshot| snapshot.damage.is_some())
                .count();
            if damaged == 0 || tenant.health != Health::Failing {
                bail!(
                    "{damaged} snapshots are said to be damaged, health {:?}",
                    tenant.health
                );
            }
            Ok(((), format!("{lost}; {damaged} snapshots are damaged, and say so")))
        })
        .await?;
    let restored = report
        .step("the next backup sends it again and restores whole", async {
            let run = workshop.back_up(context).await?;
            let page = made_by(&context.api, context, &run).await?;
            if page.snapshot.damage.is_some() {
                bail!("the new snapshot is said to be damaged");
            }
            workshop
                .restore_whole(stack, context, page.snapshot.id, "workshop")
                .await?;
            let figures = format!("sent {}", say::bytes(page.snapshot.totals.bytes_sent));
            Ok((page.snapshot.id, figures))
        })
        .await;
    let snapshot = restored?;
    report
        .step("a false 404 at a restore: everything is back", async {
            proxy.set(Fault::PackNotFound(2));
            workshop
                .restore_whole(stack, context, snapshot, "workshop-404")
                .await?;
            let met = proxy.hits();
            proxy.set(Fault::None);
            if met == 0 {
                bail!("no pack was asked for while the store lied");
            }
            Ok(((), format!("{met} answers were false")))
        })
        .await
}

/// The second endpoint.
struct Workshop {
    /// Where its agent keeps its state.
    state: PathBuf,
    source: SourceId,
    /// What it backs up.
    folder: PathBuf,
}

impl Workshop {
    async fn set_up(stack: &mut Stack, context: &StoryContext, proxy: &Proxy, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("first"), noise(1))?;
        let mut new = customer::storage_account(stack);
        new.name = "Unreliable".to_owned();
        new.endpoint = proxy.address().to_owned();
        let account = granted(
            "storage account",
            context.api.new_storage_account(context.tenant, &new).await?,
        )?;
        let mut new = customer::backup_set("Workshop", account.id, BUCKET, &context.keys);
        new.mode = LockMode::Governance;
        let set = granted(
            "backup set",
            context.api.new_backup_set(context.tenant, &new).await?,
        )?;
        let state = stack.plan.folder.join("agent-workshop");
        let agent =
            customer::enroll_in(&context.api, stack, context.tenant, set.id, &context.keys, &state).await?;
        stack.start_agent_in(&state)?;
        let new = customer::source(agent, "Workshop", folder);
        let source = context.api.new_source(context.tenant, &new).await?.id;
        Ok(Self {
            state,
            source,
            folder: folder.to_owned(),
        })
    }

    /// Restores a snapshot below `restored/` and compares it with the folder.
    async fn restore_whole(
        &self,
        stack: &Stack,
        context: &StoryContext,
        snapshot: SnapshotId,
        to: &str,
    ) -> Result<()> {
        context.api.new_restore(context.tenant, snapshot).await?;
        let to = stack.plan.folder.join("restored").join(to);
        fs::create_dir_all(&to)?;
        let (program, kit) = (stack.agent_program(), stack.kit());
        let place = agent::restore(program, &self.state, snapshot, &to, &kit).await?;
        let restored = TreeFingerprint::of(&place(&self.folder))?;
        let differences = restored.differences(&TreeFingerprint::of(&self.folder)?);
        if !differences.is_empty() {
            bail!("{} entries differ, such as {}", differences.len(), differences[0]);
        }
        Ok(())
    }

    async fn start(&self, context: &StoryContext) -> Result<RunView> {
        context.api.start_run(context.tenant, self.source).await
    }

    async fn back_up(&self, context: &StoryContext) -> Result<RunView> {
        back_up(context, self.source).await
    }
}

/// Deletes the pack that was put first, past its lock, with the root keys. Gives its key.
async fn delete_a_pack(stack: &Stack) -> Result<String> {
    let bucket = Bucket::open(stack, BUCKET);
    let versions = bucket.versions().await?;
    let pack = versions.iter().find(|version| version.key.contains("/packs/"));
    let pack = pack.context("the bucket holds no pack")?;
    if let Attempt::Refused(code) = bucket.delete_version(pack, true).await? {
        bail!("deleting it was refused: {code}");
    }
    Ok(pack.key.rsplit('/').next().unwrap_or_default()[..12].to_owned())
}

/// Content that nothing else has, and that does not shrink.
fn noise(seed: u8) -> Vec<u8> {
    let mut content = vec![0; 200_000];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut content);
    content
}
