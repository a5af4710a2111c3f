//! A source whose files are gone, as those of a disk that is not mounted: the backup of nothing displaces nothing.

use std::fs;

use anyhow::bail;
use shared::{api::view::Health, retention::Soundness};

use super::{
    backups::{back_up, made_by},
    report::Report,
    set_up::StoryContext,
};
use crate::{demo::customer, stack::Stack};

/// Tells it. It leaves the source with its files back and a sound snapshot.
pub async fn tell(stack: &Stack, report: &mut Report, context: &StoryContext) -> Option<()> {
    let folder = stack.plan.folder.join("source/disk");
    let file = folder.join("ledger.db");
    let source = report
        .step("a source of one file is backed up", async {
            fs::create_dir_all(&folder)?;
            fs::write(&file, "all that there is")?;
            let new = customer::source(context.agent, "Disk", &folder);
            let source = context.api.new_source(context.tenant, &new).await?.id;
            let run = back_up(context, source).await?;
            let page = made_by(&context.api, context, &run).await?;
            if page.snapshot.soundness != Soundness::Sound {
                bail!("it is {:?}", page.snapshot.soundness);
            }
            Ok((source, format!("snapshot {}", page.snapshot.seq)))
        })
        .await?;
    report
        .step(
            "its file vanishes: the backup of nothing asks for a decision",
            async {
                fs::remove_file(&file)?;
                let run = back_up(context, source).await?;
                let page = made_by(&context.api, context, &run).await?;
                let words: Vec<_> = page.snapshot.anomalies.iter().map(ToString::to_string).collect();
                let words = words.join("; ");
                if page.snapshot.soundness != Soundness::Undecided || page.review.is_none() {
                    bail!("it is {:?}: {words}", page.snapshot.soundness);
                }
                let tenant = context.api.tenant(context.tenant).await?;
                if tenant.health == Health::Protected
                    || !tenant.reasons.iter().any(|reason| reason.contains(&words))
                {
                    bail!("the tenant is {:?}: {:?}", tenant.health, tenant.reasons);
                }
                Ok(((), words))
            },
        )
        .await?;
    report
        .step("the file is back: the next backup settles it", async {
            fs::write(&file, "all that there is")?;
            let run = back_up(context, source).await?;
            let page = made_by(&context.api, context, &run).await?;
            let tenant = context.api.tenant(context.tenant).await?;
            if page.snapshot.soundness != Soundness::Sound
                || tenant.reasons.iter().any(|reason| reason.contains("far less"))
            {
                bail!("it is {:?}: {:?}", page.snapshot.soundness, tenant.reasons);
            }
            Ok(((), format!("snapshot {} is sound", page.snapshot.seq)))
        })
        .await
}
