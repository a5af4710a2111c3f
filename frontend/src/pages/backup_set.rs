//! A backup set: its policy, what its bucket holds, and how to enroll an endpoint for it.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::{
    api::view::{BackupSetView, BucketInspection, EnrollmentTokenView, SourceView},
    ids::BackupSetId,
};

use super::tenant::WithTenant;
use crate::{
    components::{
        Ago, At, BucketCheck, Bytes, Command, Count, Crumbs, Day, FormError, Icon, ModeBadge, Protection,
        Sign, Silence, SubmitButton, problem_page,
    },
    error::ConsoleError,
    format,
    functions::{
        backup_set::InspectBucket,
        enrollment::{CreateEnrollmentToken, take_enrollment_token},
    },
    refused::{FormState, use_form},
    tenant::{id_in_address, use_tenant},
};

/// The page.
#[component]
pub fn BackupSetPage() -> impl IntoView {
    let id = id_in_address::<BackupSetId>("set");
    let tenant = use_tenant();
    let inspect = use_form::<InspectBucket>();
    let enroll = use_form::<CreateEnrollmentToken>();
    Effect::new(move || {
        if let Some(Ok(_)) = inspect.action.value().get() {
            tenant.live.turn();
        }
    });
    view! {
        <WithTenant content=move |page| {
            let set = page.backup_sets.into_iter().find(|set| Some(set.id) == id.get());
            let sources = page.sources.into_iter().filter(|source| Some(source.backup_set_id) == id.get());
            let sources: Vec<_> = sources.collect();
            match set {
                Some(set) => view! { <Content set sources inspect enroll /> }.into_any(),
                None => problem_page(ConsoleError::NotFound("backup set".to_owned())),
            }
        } />
    }
    .into_any()
}

#[component]
fn Content(
    set: BackupSetView,
    sources: Vec<SourceView>,
    inspect: FormState<InspectBucket>,
    enroll: FormState<CreateEnrollmentToken>,
) -> impl IntoView {
    let tenant = use_tenant();
    let id = set.id;
    view! {
        <Title text=set.name.clone() />
        <Crumbs above=vec![(tenant.path("/storage"), "Storage".to_owned())] here=set.name.clone() />
        <h1>{set.name.clone()}</h1>
        <dl class="facts card">
            <div>
                <dt>"Locked for"</dt>
                <dd>{format::counted(u64::from(set.retention_days), "day", "days")}</dd>
            </div>
            <div>
                <dt>"Mode"</dt>
                <dd>
                    <ModeBadge mode=set.mode />
                </dd>
            </div>
            <div>
                <dt>"Longer for the first of each period"</dt>
                <dd>
                    {format::tiers(&set.policy)}
                    {(!set.policy.tiers.is_empty())
                        .then(|| view! { <span class="muted">{format!(" ({})", set.policy.time_zone)}</span> })}
                </dd>
            </div>
            <div>
                <dt>"Never lapse"</dt>
                <dd>
                    {match set.policy.keep_last {
                        1 => "the newest snapshot of each source".to_owned(),
                        more => format!("the newest {} snapshots of each source", format::count(u64::from(more))),
                    }}
                </dd>
            </div>
            <div>
                <dt>"Look-ahead"</dt>
                <dd>{format::lock_ahead(set.policy.lock_ahead)}</dd>
            </div>
            <div>
                <dt>"Late runs are covered for"</dt>
                <dd>{format::counted(u64::from(set.policy.grace_hours), "hour", "hours")}</dd>
            </div>
            <div>
                <dt>"Bucket"</dt>
                <dd class="mono">{format!("{}/{}", set.bucket, set.prefix)}</dd>
            </div>
            <div>
                <dt>"Storage account"</dt>
                <dd>{set.storage_account_name.clone()}</dd>
            </div>
            <div>
                <dt>"Created"</dt>
                <dd>
                    <Day at=set.created_at />
                </dd>
            </div>
            <div class="wide">
                <dt>"Recovery key's fingerprint"</dt>
                <dd>
                    <span class="mono fingerprint">{set.recovery_fingerprint.clone()}</span>
                    <span class="hint">"Must equal the one that is printed in the recovery kit."</span>
                </dd>
            </div>
        </dl>
        <Silence silence=set.silence />
        <Sources sources />
        <BucketCheck check=set.check />
        <Bucket set=id inspection=set.inspection inspect />
        <Enroll set=id enroll />
    }
    .into_any()
}

#[component]
fn Sources(sources: Vec<SourceView>) -> impl IntoView {
    (!sources.is_empty()).then(|| {
        let cards = sources.into_iter().map(|source| {
            let heading = format!("protection-{}", source.id);
            let labelled_by = heading.clone();
            view! {
                <article class="card" aria-labelledby=labelled_by>
                    <h3 id=heading>{format!("{} on {}", source.name, source.hostname)}</h3>
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

#[component]
fn Bucket(
    set: BackupSetId,
    inspection: Option<BucketInspection>,
    inspect: FormState<InspectBucket>,
) -> impl IntoView {
    let tenant = use_tenant();
    let FormState {
        action: inspect,
        error,
        ..
    } = inspect;
    view! {
        <section aria-labelledby="in-the-bucket">
            <div class="section-head">
                <h2 id="in-the-bucket">"In the bucket"</h2>
                <ActionForm action=inspect>
                    <input
                        type="hidden"
                        name="tenant"
                        value=tenant.id.get_untracked().map(|id| id.to_string())
                    />
                    <input type="hidden" name="set" value=set.to_string() />
                    <SubmitButton
                        label="Look into the bucket now"
                        busy="Looking…"
                        pending=inspect.pending().into()
                        class="button"
                    />
                </ActionForm>
            </div>
            <FormError error />
            {match inspection {
                Some(inspection) => view! { <Inspection inspection /> }.into_any(),
                None => {
                    view! {
                        <p class="muted">
                            "Nobody has looked yet. A look lists every version and compares it with the ledger."
                        </p>
                    }
                        .into_any()
                }
            }}
        </section>
    }
    .into_any()
}

#[component]
fn Inspection(inspection: BucketInspection) -> impl IntoView {
    let tone = |count: u64, tone: &'static str| if count > 0 { tone } else { "" };
    let markers = inspection.delete_markers;
    let examples = inspection.marker_examples;
    view! {
        <p class="muted">
            "Looked at " <At at=inspection.at />
        </p>
        <dl class="tally">
            <div>
                <dt>"Versions"</dt>
                <dd>
                    <Count value=inspection.versions />
                </dd>
            </div>
            <div>
                <dt>"Stored"</dt>
                <dd>
                    <Bytes size=inspection.bytes />
                </dd>
            </div>
            <div class=tone(markers, "warn")>
                <dt>"Delete markers"</dt>
                <dd>
                    <Count value=markers />
                </dd>
            </div>
            <div class=tone(inspection.unknown_versions, "warn")>
                <dt>"Unknown"</dt>
                <dd>
                    <Count value=inspection.unknown_versions />
                </dd>
            </div>
            <div class=tone(inspection.missing_versions, "bad")>
                <dt>"Missing"</dt>
                <dd>
                    <Count value=inspection.missing_versions />
                </dd>
            </div>
        </dl>
        {(markers > 0)
            .then(|| {
                view! {
                    <div class="notice warn">
                        <Icon sign=Sign::Warning />
                        <div>
                            <h3>"Somebody has deleted keys in this bucket"</h3>
                            <p>
                                "Holdfast never makes a delete marker. A marker only hides a key from a plain listing: "
                                "the locked versions beneath are unharmed, and backups and restores go on as before. "
                                "Find out who holds keys to this bucket."
                            </p>
                            <details>
                                <summary>"A few of the keys"</summary>
                                <ul class="mono keys">
                                    {examples.into_iter().map(|key| view! { <li>{key}</li> }).collect_view()}
                                </ul>
                            </details>
                        </div>
                    </div>
                }
            })}
        {(inspection.missing_versions > 0)
            .then(|| {
                view! {
                    <div class="notice bad">
                        <Icon sign=Sign::Failure />
                        <p>
                            "Versions that the ledger knows are no longer listed. Locked versions cannot vanish from a "
                            "store that keeps its word: check the bucket's mode and the provider, and run a backup now."
                        </p>
                    </div>
                }
            })}
        {(inspection.unknown_versions > 0)
            .then(|| {
                view! {
                    <div class="notice warn">
                        <Icon sign=Sign::Warning />
                        <p>
                            "Unknown versions were not signed by this server: somebody writes to this bucket with keys of "
                            "its own. They do not replace anything, readers take the versions that the ledger names."
                        </p>
                    </div>
                }
            })}
    }
    .into_any()
}

#[component]
fn Enroll(set: BackupSetId, enroll: FormState<CreateEnrollmentToken>) -> impl IntoView {
    let tenant = use_tenant();
    // A token that was made without hydration comes through here, once.
    let given = Resource::new(move || set, take_enrollment_token);
    let FormState {
        action: enroll,
        error,
        ..
    } = enroll;
    let made = move || enroll.value().get().and_then(Result::ok);
    view! {
        <section aria-labelledby="enroll">
            <h2 id="enroll">"Enroll an endpoint"</h2>
            <p>
                "On the machine to back up, holdfast-agent needs one command: paste all of its lines into a shell. It carries "
                "a token for one endpoint and one hour, on standard input, where no other user of the machine sees it, and "
                "the recovery key's fingerprint, so that nobody can swap the key unseen."
            </p>
            <FormError error />
            <ActionForm action=enroll>
                <input
                    type="hidden"
                    name="tenant"
                    value=tenant.id.get_untracked().map(|id| id.to_string())
                />
                <input type="hidden" name="set" value=set.to_string() />
                <SubmitButton
                    label="Enroll an endpoint"
                    busy="Making a token…"
                    pending=enroll.pending().into()
                    class="button"
                />
            </ActionForm>
            <div role="status">
                {move || made().map(|token| view! { <Token token /> })}
                <Suspense>
                    {move || Suspend::new(async move {
                        given.await.ok().flatten().map(|token| view! { <Token token /> })
                    })}
                </Suspense>
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Token(token: EnrollmentTokenView) -> impl IntoView {
    view! {
        <div class="token">
            <p>
                <strong>"Paste this on the endpoint now: it is shown once."</strong>
                " It ends "
                <Ago at=token.expires_at />
                "."
            </p>
            <Command label="Command that enrolls an endpoint" text=token.command />
        </div>
    }
    .into_any()
}
