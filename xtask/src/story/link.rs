//! A source whose path goes through a link: what is restored in place comes back where the link leads, or nothing is begun.

use std::{fs, os::unix::fs::symlink};

use anyhow::{Result, bail};

use super::{
    backups::{back_up, made_by},
    report::Report,
    set_up::StoryContext,
};
use crate::{
    demo::customer,
    files::{self, fingerprint::TreeFingerprint},
    say,
    stack::{Stack, agent},
};

/// Tells it. It leaves the rest of the story as it was.
pub async fn tell(stack: &Stack, report: &mut Report, context: &StoryContext) -> Option<()> {
    report
        .step("a link in the path: restored in place", async {
            Ok(((), in_place(stack, context).await?))
        })
        .await
}

async fn in_place(stack: &Stack, context: &StoryContext) -> Result<String> {
    let base = stack.plan.folder.join("source/linked");
    let (real, link) = (base.join("real/docs"), base.join("link"));
    fs::create_dir_all(real.join("below"))?;
    fs::write(real.join("first"), "first")?;
    fs::write(real.join("below/second"), "second")?;
    symlink("real", &link)?;
    let copy = stack.plan.folder.join("linked-copy");
    files::copy_aside(&real, &copy).await?;
    let new = customer::source(context.agent, "Linked", &link.join("docs"));
    let source = context.api.new_source(context.tenant, &new).await?.id;
    let run = back_up(context, source).await?;
    let snapshot = made_by(&context.api, context, &run).await?.snapshot.id;
    let (program, state, kit) = (stack.agent_program(), stack.agent_state(), stack.kit());

    // The link leads elsewhere: nothing is begun, and the link is named.
    fs::remove_dir_all(&real)?;
    fs::create_dir(base.join("other"))?;
    fs::remove_file(&link)?;
    symlink("other", &link)?;
    context.api.new_restore(context.tenant, snapshot).await?;
    let refused = agent::restore_in_place(program, &state, snapshot, &kit).await;
    let Err(refused) = refused.map_err(|error| format!("{error:#}")) else {
        bail!("a link that leads elsewhere was followed");
    };
    if !refused.contains(&format!("{} is a link here", link.display())) {
        bail!("the link is not named: {refused}");
    }
    if real.exists() || fs::read_dir(base.join("other"))?.count() > 0 {
        bail!("something was restored");
    }

    // It leads where it led.
    fs::remove_file(&link)?;
    symlink("real", &link)?;
    context.api.new_restore(context.tenant, snapshot).await?;
    agent::restore_in_place(program, &state, snapshot, &kit).await?;
    let restored = TreeFingerprint::of(&real)?;
    let differences = restored.differences(&TreeFingerprint::of(&copy)?);
    if !differences.is_empty() {
        bail!("{} entries differ, such as {}", differences.len(), differences[0]);
    }
    if fs::read_link(&link)?.as_os_str() != "real" {
        bail!("the link is not what it was");
    }
    let files = say::count(restored.totals().files, "file", "files");
    Ok(format!(
        "{files} where the link leads; refused while it led elsewhere"
    ))
}
