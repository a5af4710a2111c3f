//! A tenant's backup sets and storage accounts.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::view::TenantStorage;

use super::table::{BackupSetTable, StorageAccountTable};
use crate::{
    components::{Empty, Icon, Loaded, Sign},
    functions::tenant::load_storage,
    tenant::use_tenant,
};

/// The page.
#[component]
pub fn TenantStoragePage() -> impl IntoView {
    let data = use_tenant().fetch(load_storage);
    view! {
        <Title text="Storage" />
        <h1>"Storage"</h1>
        <Loaded data content=|page| view! { <Content page /> }.into_any() />
    }
    .into_any()
}

#[component]
fn Content(page: TenantStorage) -> impl IntoView {
    let tenant = use_tenant();
    let has_account = !page.storage_accounts.is_empty();
    let sets = if page.backup_sets.is_empty() {
        view! {
            <Empty title="No backup set yet">
                <p>"A backup set is a bucket and the policy of how long its backups are locked."</p>
            </Empty>
        }
        .into_any()
    } else {
        view! { <BackupSetTable sets=page.backup_sets /> }.into_any()
    };
    let accounts = if has_account {
        view! { <StorageAccountTable accounts=page.storage_accounts /> }.into_any()
    } else {
        view! {
            <Empty title="No storage account yet">
                <p>"A storage account is an S3 endpoint and its keys. It comes first."</p>
            </Empty>
        }
        .into_any()
    };
    view! {
        <section aria-labelledby="backup-sets">
            <div class="section-head">
                <h2 id="backup-sets">"Backup sets"</h2>
                {has_account
                    .then(|| {
                        view! {
                            <a class="button small" href=tenant.path("/backup-sets/new")>
                                <Icon sign=Sign::Plus />
                                "New backup set"
                            </a>
                        }
                    })}
            </div>
            {sets}
        </section>
        <section aria-labelledby="storage-accounts">
            <div class="section-head">
                <h2 id="storage-accounts">"Storage accounts"</h2>
                <a class="button small" href=tenant.path("/storage-accounts/new")>
                    <Icon sign=Sign::Plus />
                    "New storage account"
                </a>
            </div>
            {accounts}
        </section>
    }
    .into_any()
}
