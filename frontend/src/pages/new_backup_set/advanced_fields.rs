//! The rest of the policy. What stays as it is has its usual value, also without JavaScript.

use leptos::prelude::*;
use shared::{input, retention::Policy};

use crate::components::{Field, FieldMessage, FieldState, FormField};

const fn tier(name: &'static str, label: &'static str) -> Field {
    Field::number(name, label, 1, Policy::MAX_RETENTION_DAYS)
        .unit("days")
        .described_by("tiers-hint")
        .rule(|text| input::tier_days(text).map(drop))
}

const TIERS: [Field; 5] = [
    tier("tier_hour", "First of each hour"),
    tier("tier_day", "First of each day"),
    tier("tier_week", "First of each week"),
    tier("tier_month", "First of each month"),
    tier("tier_year", "First of each year"),
];

/// What the server says of all tiers together.
const ALL_TIERS: Field = Field::line("tiers", "Keep some backups longer");

const TIME_ZONE: Field = Field::line("time_zone", "Time zone of these periods")
    .hint("An IANA name, such as Europe/Berlin.")
    .initial("UTC")
    .literal()
    .rule(|text| input::time_zone(text).map(drop));

const KEEP_LAST: Field = Field::number(
    "keep_last",
    "Newest backups of each source that never lapse",
    1,
    1_000,
)
.hint("They stay locked however long a machine is silent.")
.initial("1")
.rule(|text| input::keep_last(text).map(drop));

const LOCK_AHEAD: Field = Field::line("lock_ahead_days", "Look-ahead")
    .hint(
        "How many days locks reach beyond what is needed, so that they are extended rarely. Write auto to balance the calls \
         against the storage.",
    )
    .initial("auto")
    .literal()
    .rule(|text| input::lock_ahead(text).map(drop));

const GRACE: Field = Field::number("grace_hours", "Cover runs that are late by", 1, 24 * 90)
    .hint("What the next backup will share stays locked although it comes so much later than planned.")
    .unit("hours")
    .initial("24")
    .rule(|text| input::grace_hours(text).map(drop));

/// The fields.
#[component]
pub fn AdvancedFields() -> impl IntoView {
    let all_tiers = FieldState::of(ALL_TIERS);
    view! {
        <details class="advanced">
            <summary>"Advanced"</summary>
            <fieldset>
                <legend>"Keep some backups longer"</legend>
                <p class="hint" id="tiers-hint">
                    "The first complete backup of each period is locked for so many days instead. Leave empty what you do not "
                    "need."
                </p>
                <FieldMessage state=all_tiers />
                {TIERS.map(|field| view! { <FormField field /> }).into_iter().collect_view()}
                <FormField field=TIME_ZONE />
            </fieldset>
            <FormField field=KEEP_LAST />
            <FormField field=LOCK_AHEAD />
            <FormField field=GRACE />
        </details>
    }
    .into_any()
}
