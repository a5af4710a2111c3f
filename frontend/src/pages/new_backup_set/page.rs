//! The page for a new backup set.

use leptos::prelude::*;
use leptos_meta::Title;

use super::form::BackupSetForm;
use crate::{
    components::{Crumbs, Empty, Loaded},
    functions::{backup_set::CreateBackupSet, tenant::load_storage},
    refused::use_form,
    tenant::use_tenant,
};

/// The page.
#[component]
pub fn NewBackupSetPage() -> impl IntoView {
    let tenant = use_tenant();
    let data = tenant.fetch_once(load_storage);
    let form = use_form::<CreateBackupSet>();
    view! {
        <Title text="New backup set" />
        <Crumbs above=vec![(tenant.path("/storage"), "Storage".to_owned())] here="New backup set" />
        <h1>"New backup set"</h1>
        <p class="lead">"A bucket, and the policy of how long the backups in it are locked."</p>
        <Loaded data content=move |page| {
            if page.storage_accounts.is_empty() {
                view! { <NoStorageAccount /> }.into_any()
            } else {
                view! { <BackupSetForm accounts=page.storage_accounts form /> }.into_any()
            }
        } />
    }
    .into_any()
}

#[component]
fn NoStorageAccount() -> impl IntoView {
    let tenant = use_tenant();
    view! {
        <Empty title="A storage account comes first">
            <p>
                <a class="button primary" href=tenant.path("/storage-accounts/new")>
                    "Add a storage account"
                </a>
            </p>
        </Empty>
    }
    .into_any()
}
