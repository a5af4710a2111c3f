//! A backup set's policy and place.

use leptos::prelude::*;
use shared::api::view::BackupSetView;

use crate::{
    components::{Day, ModeBadge},
    format,
};

/// The policy, the bucket and the recovery key's fingerprint.
#[component]
pub fn Facts(set: BackupSetView) -> impl IntoView {
    view! {
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
    }
    .into_any()
}
