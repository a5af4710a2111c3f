//! The fields of the bucket.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use shared::{api::view::StorageAccountView, input, limits::Limit};

use crate::components::{Choice, Field, FormField, Radios, SelectOption};

const STORAGE_ACCOUNT: Field = Field::choice("storage_account_id", "Storage account").required();

const CREATE_BUCKET: Field = Field::choice("create_bucket", "Make or use").initial("true");

const WAYS: [Choice; 2] = [
    Choice::new("true", "Create the bucket").hint("With versioning and Object Lock switched on."),
    Choice::new("false", "Use a bucket that exists")
        .hint("It is checked for versioning and Object Lock, and refused without them."),
];

const BUCKET: Field = Field::line("bucket", "Bucket name")
    .hint("3 to 63 lower-case letters, digits and hyphens. A bucket of its own is best.")
    .required()
    .mono()
    .at_most(Limit::Bucket)
    .rule(|text| input::bucket(text).map(drop));

const PREFIX: Field = Field::line("prefix", "Prefix (optional)")
    .hint("What every key begins with. Leave it empty, or end it with a slash, such as holdfast/")
    .mono()
    .rule(|text| input::prefix(text).map(drop));

/// The fields.
#[component]
pub fn BucketFields(accounts: Vec<StorageAccountView>) -> impl IntoView {
    // The form for a storage account leads here with the one that it made.
    let made = use_query_map().with_untracked(|query| query.get("storage_account_id"));
    let options = accounts
        .into_iter()
        .map(|account| SelectOption::new(account.id, format!("{} ({})", account.name, account.endpoint)))
        .collect::<Vec<_>>();
    view! {
        <fieldset>
            <legend>"Bucket"</legend>
            <FormField field=STORAGE_ACCOUNT initial=made.unwrap_or_default() options />
            <Radios field=CREATE_BUCKET choices=&WAYS />
            <FormField field=BUCKET />
            <FormField field=PREFIX />
        </fieldset>
    }
    .into_any()
}
