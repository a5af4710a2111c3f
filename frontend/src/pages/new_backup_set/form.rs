//! The form: a bucket, and how long its backups are locked.

use leptos::prelude::*;
use shared::{api::view::StorageAccountView, input, limits::Limit};

use super::{
    advanced_fields::AdvancedFields, bucket_fields::BucketFields, recovery_fields::RecoveryFields,
    retention_fields::RetentionFields,
};
use crate::{
    components::{Field, FormField, TenantForm},
    functions::backup_set::CreateBackupSet,
    refused::FormState,
};

const NAME: Field = Field::line("name", "Name")
    .required()
    .at_most(Limit::Name)
    .rule(|text| input::name("name", text).map(drop));

/// The form.
#[component]
pub fn BackupSetForm(accounts: Vec<StorageAccountView>, form: FormState<CreateBackupSet>) -> impl IntoView {
    let typed = form.typed;
    view! {
        <TenantForm form submit="Create backup set" busy="Checking the bucket…">
            <FormField field=NAME />
            <BucketFields accounts />
            <RetentionFields typed />
            <AdvancedFields />
            <RecoveryFields />
        </TenantForm>
    }
    .into_any()
}
