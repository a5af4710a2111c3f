//! The steps from nothing to the first locked backup.

use leptos::prelude::*;
use shared::api::view::{TenantOverview, TenantSummary};

use crate::{
    components::{Icon, Sign},
    tenant::{Tenant, use_tenant},
};

/// One step.
struct Step {
    title: &'static str,
    text: &'static str,
    done: bool,
    link: Option<(String, &'static str)>,
}

/// The ordered steps, with the next one open. Nothing once the first snapshot is complete.
#[component]
pub fn SetUpGuide(summary: TenantSummary, overview: TenantOverview) -> impl IntoView {
    let steps = steps_of(use_tenant(), &summary, &overview);
    let done = steps.iter().filter(|step| step.done).count();
    let total = steps.len();
    if done == total {
        return ().into_any();
    }
    let next = steps.iter().position(|step| !step.done);
    view! {
        <section class="card guide" aria-labelledby="set-up">
            <div class="section-head">
                <h2 id="set-up">"Set-up"</h2>
                <p class="muted">{format!("{done} of {total} steps done")}</p>
            </div>
            <ol class="steps">
                {steps
                    .into_iter()
                    .enumerate()
                    .map(|(index, step)| {
                        let is_next = next == Some(index);
                        let class = match (step.done, is_next) {
                            (true, _) => "step done",
                            (false, true) => "step next",
                            (false, false) => "step",
                        };
                        view! {
                            <li class=class aria-current=is_next.then_some("step")>
                                <span class="step-mark" aria-hidden="true">
                                    {if step.done {
                                        view! { <Icon sign=Sign::Check /> }.into_any()
                                    } else {
                                        (index + 1).to_string().into_any()
                                    }}
                                </span>
                                <div>
                                    <p class="step-title">
                                        {step.title}
                                        <span class="visually-hidden">
                                            {if step.done { " (done)" } else { " (to do)" }}
                                        </span>
                                    </p>
                                    {is_next
                                        .then(|| {
                                            view! {
                                                <p>{step.text}</p>
                                                {step
                                                    .link
                                                    .map(|(href, label)| {
                                                        view! {
                                                            <p>
                                                                <a class="button primary" href=href>
                                                                    {label}
                                                                </a>
                                                            </p>
                                                        }
                                                    })}
                                            }
                                        })}
                                </div>
                            </li>
                        }
                    })
                    .collect_view()}
            </ol>
        </section>
    }
    .into_any()
}

fn steps_of(tenant: Tenant, summary: &TenantSummary, overview: &TenantOverview) -> Vec<Step> {
    let set = overview.backup_set_id;
    let to = |page: &str, label| Some((tenant.path(page), label));
    vec![
        Step {
            title: "Add a storage account",
            text: "Where the buckets are: an S3 endpoint that knows Object Lock, and keys that may create and \
                   read buckets there. The secret key is sealed and never shown again.",
            done: overview.storage_accounts > 0,
            link: to("/storage-accounts/new", "Add a storage account"),
        },
        Step {
            title: "Make a recovery kit",
            text: "On a machine you trust, not on one that is backed up, run: holdfast-agent keygen --out kit.txt. Keep \
                   the kit offline, printed or in a safe: without it nothing can be restored, and nobody can \
                   make it again. Its public key goes into the backup set, the next step.",
            done: set.is_some(),
            link: to("/backup-sets/new", "I have the kit, go on"),
        },
        Step {
            title: "Create a backup set",
            text: "A bucket and how long its backups are locked.",
            done: set.is_some(),
            link: to("/backup-sets/new", "Create a backup set"),
        },
        Step {
            title: "Enroll an endpoint",
            text: "Install holdfast-agent on the machine to back up, then paste one command there. It carries \
                   the recovery key's fingerprint, so that nobody can swap the key unseen.",
            done: overview.agents > 0,
            link: set.and_then(|set| to(&format!("/backup-sets/{set}#enroll"), "Get the command")),
        },
        Step {
            title: "Choose what to back up",
            text: "Folders of the machine, and when.",
            done: !overview.sources.is_empty(),
            link: to("/sources/new", "Add a source"),
        },
        Step {
            title: "First backup",
            text: "Press “Back up now” at the source below, or wait for its schedule. It is done when S3 has \
                   confirmed every lock.",
            done: summary.snapshots > 0,
            link: None,
        },
    ]
}
