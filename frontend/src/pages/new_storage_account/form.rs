//! The fields of a storage account.

use leptos::prelude::*;
use shared::{input, limits::Limit};

use crate::{
    components::{Checkbox, Field, FormField, TenantForm},
    functions::storage_account::CreateStorageAccount,
    refused::use_form,
};

const NAME: Field = Field::line("name", "Name")
    .required()
    .at_most(Limit::Name)
    .rule(|text| input::name("name", text).map(drop));

const ENDPOINT: Field = Field::typed("url", "endpoint", "S3 endpoint")
    .hint("With https:// and without the bucket, such as https://s3.eu-central-1.amazonaws.com")
    .required()
    .mono()
    .at_most(Limit::Endpoint)
    .rule(|text| input::endpoint(text).map(drop));

const REGION: Field = Field::line("region", "Region")
    .hint("As the provider writes it. Where there is none, us-east-1 is usual.")
    .initial("us-east-1")
    .required()
    .mono()
    .at_most(Limit::Region)
    .rule(|text| input::region(text).map(drop));

const ACCESS_KEY: Field = Field::line("access_key", "Access key")
    .required()
    .mono()
    .at_most(Limit::AccessKey)
    .rule(|text| input::access_key(text).map(drop));

const SECRET_KEY: Field = Field::secret("secret_key", "Secret key")
    .hint("Sealed before it is stored, never shown again, and never given to a machine that is backed up.")
    .required()
    .mono()
    .at_most(Limit::SecretKey)
    .autocomplete("new-password")
    .rule(|text| input::secret_key(text).map(drop));

const PATH_STYLE: Field = Field::choice("path_style", "Path-style addresses").hint(
    "The bucket's name goes into the path instead of the host name. Most self-hosted stores want this.",
);

/// The form.
#[component]
pub fn StorageAccountForm() -> impl IntoView {
    let form = use_form::<CreateStorageAccount>();
    view! {
        <TenantForm form submit="Add storage account" busy="Trying the keys…">
            <FormField field=NAME />
            <FormField field=ENDPOINT />
            <FormField field=REGION />
            <FormField field=ACCESS_KEY />
            <FormField field=SECRET_KEY />
            <Checkbox field=PATH_STYLE />
        </TenantForm>
    }
    .into_any()
}
