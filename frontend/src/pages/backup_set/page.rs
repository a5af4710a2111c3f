//! A backup set: its policy, how its sources are protected, what its bucket holds, and how to enroll a machine for it.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::{
    api::view::{BackupSetPage as Page, SourceProtection},
    ids::BackupSetId,
};

use super::{bucket::Bucket, enroll::Enroll, facts::Facts};
use crate::{
    components::{BucketCheck, Crumbs, Loaded, Protection, Silence},
    error::ConsoleError,
    functions::{
        backup_set::{InspectBucket, load_backup_set},
        enrollment::CreateEnrollmentToken,
    },
    reach::fetched,
    refused::{FormState, use_form},
    tenant::{id_in_address, no_tenant, use_tenant},
};

/// The page.
#[component]
pub fn BackupSetPage() -> impl IntoView {
    let id = id_in_address::<BackupSetId>("set");
    let tenant = use_tenant();
    let data = Resource::new(
        move || (tenant.id.get(), id.get(), tenant.live.turns()),
        |(tenant, set, _)| {
            fetched(move || async move {
                let set = set.ok_or_else(|| ConsoleError::NotFound("backup set".to_owned()))?;
                load_backup_set(tenant.ok_or_else(no_tenant)?, set).await
            })
        },
    );
    let inspect = use_form::<InspectBucket>();
    let enroll = use_form::<CreateEnrollmentToken>();
    Effect::new(move || {
        if let Some(Ok(_)) = inspect.action.value().get() {
            tenant.live.turn();
        }
    });
    view! { <Loaded data content=move |page| view! { <Content page inspect enroll /> }.into_any() /> }
        .into_any()
}

#[component]
fn Content(
    page: Page,
    inspect: FormState<InspectBucket>,
    enroll: FormState<CreateEnrollmentToken>,
) -> impl IntoView {
    let tenant = use_tenant();
    let set = page.backup_set;
    let id = set.id;
    let inspection = set.inspection.clone();
    view! {
        <Title text=set.name.clone() />
        <Crumbs above=vec![(tenant.path("/storage"), "Storage".to_owned())] here=set.name.clone() />
        <h1>{set.name.clone()}</h1>
        <Facts set />
        <Silence silence=page.silence />
        <Sources sources=page.sources />
        <BucketCheck check=page.check />
        <Bucket set=id inspection inspect />
        <Enroll set=id enroll />
    }
    .into_any()
}

#[component]
fn Sources(sources: Vec<SourceProtection>) -> impl IntoView {
    (!sources.is_empty()).then(|| {
        let cards = sources.into_iter().map(|source| {
            let heading = format!("protection-{}", source.source.id);
            let labelled_by = heading.clone();
            view! {
                <article class="card" aria-labelledby=labelled_by>
                    <h3 id=heading>{format!("{} on {}", source.source.name, source.source.hostname)}</h3>
                    <Protection protection=source.protection />
                </article>
            }
        });
        view! {
            <section aria-labelledby="protection">
                <h2 id="protection">"Protection"</h2>
                <p class="muted">
                    "Between backups the server sweeps each source: locks that would fall short are extended, and what no "
                    "snapshot needs is deleted once its lock has ended."
                </p>
                {cards.collect_view()}
            </section>
        }
    })
}
