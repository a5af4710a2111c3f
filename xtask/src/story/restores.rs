//! The endpoint's folders are wiped, and everything comes back as it was.

use std::{fs, time::Duration};

use anyhow::bail;
use shared::api::view::RestoreState;

use super::{backups::Restorable, paths::StoryPaths, report::Report, set_up::StoryContext};
use crate::{
    clock,
    files::fingerprint::TreeFingerprint,
    say,
    stack::{Stack, agent},
};

/// The attacker has the endpoint, too.
pub async fn wipe(report: &mut Report, paths: &StoryPaths) -> Option<()> {
    report
        .step("attack: the source folders are wiped", async {
            let mut files = 0;
            for folder in [&paths.source, &paths.crash_source] {
                if folder.exists() {
                    files += TreeFingerprint::of(folder)?.totals().files;
                    fs::remove_dir_all(folder)?;
                }
            }
            Ok(((), format!("{} files gone", say::number(files))))
        })
        .await
}

/// Restores a snapshot on the endpoint and compares it with the copy kept aside.
pub async fn tell(
    stack: &Stack,
    report: &mut Report,
    context: &StoryContext,
    paths: &StoryPaths,
    wanted: &Restorable,
) -> Option<()> {
    report
        .step(&wanted.name, async {
            let restore = context.api.new_restore(context.tenant, wanted.snapshot).await?;
            let to = paths.restored.join(wanted.snapshot.to_string());
            fs::create_dir_all(&to)?;
            let begun = clock::start();
            let place = agent::restore(
                stack.agent_program(),
                &stack.agent_state(),
                wanted.snapshot,
                &to,
                &stack.kit(),
            )
            .await?;
            let took = begun.elapsed();
            let restored = TreeFingerprint::of(&place(&wanted.folder))?;
            let copy = TreeFingerprint::of(&wanted.copy)?;
            let differences = restored.differences(&copy);
            if !differences.is_empty() {
                bail!(
                    "{} of {} entries differ, such as\n{}",
                    differences.len(),
                    copy.totals().files + copy.totals().folders + copy.totals().links,
                    differences[..differences.len().min(8)].join("\n")
                );
            }
            let state = clock::poll(Duration::from_secs(10), Duration::from_millis(100), async || {
                let restores = context.api.restores_under(context.tenant, restore.id).await?;
                let newest = restores.first().map(|restore| restore.state);
                Ok((newest == Some(RestoreState::Succeeded)).then_some(()))
            })
            .await?;
            if state.is_none() {
                let restores = context.api.restores_under(context.tenant, restore.id).await?;
                bail!(
                    "everything is back, but the server shows the restore as {:?}",
                    restores.first().map(|restore| restore.state)
                );
            }
            let totals = restored.totals();
            let figures = format!(
                "{} files, {} folders, {} links, {} equal in contents, mode, owner, time, xattrs ({})",
                say::number(totals.files),
                totals.folders,
                totals.links,
                say::bytes(totals.bytes),
                say::duration(took)
            );
            Ok(((), figures))
        })
        .await
}
