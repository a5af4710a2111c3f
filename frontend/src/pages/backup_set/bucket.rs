//! What a backup set's bucket holds, as the last look into it found it.

use leptos::prelude::*;
use shared::{api::view::BucketInspection, ids::BackupSetId};

use crate::{
    components::{At, ButtonForm, Bytes, Count, FormError, Icon, Sign},
    functions::backup_set::InspectBucket,
    refused::FormState,
    tenant::use_tenant,
};

/// The last look, and the button for another.
#[component]
pub fn Bucket(
    set: BackupSetId,
    inspection: Option<BucketInspection>,
    inspect: FormState<InspectBucket>,
) -> impl IntoView {
    let tenant = use_tenant();
    let error = inspect.error;
    view! {
        <section aria-labelledby="in-the-bucket">
            <div class="section-head">
                <h2 id="in-the-bucket">"In the bucket"</h2>
                <ButtonForm
                    form=inspect
                    values=vec![tenant.hidden(), ("set", set.to_string())]
                    label="Look into the bucket now"
                    busy="Looking…"
                />
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
