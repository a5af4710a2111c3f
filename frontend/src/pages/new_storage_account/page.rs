//! The page for a new storage account.

use leptos::prelude::*;
use leptos_meta::Title;

use super::form::StorageAccountForm;
use crate::{components::Crumbs, tenant::use_tenant};

/// The page.
#[component]
pub fn NewStorageAccountPage() -> impl IntoView {
    let tenant = use_tenant();
    view! {
        <Title text="New storage account" />
        <Crumbs above=vec![(tenant.path("/storage"), "Storage".to_owned())] here="New storage account" />
        <h1>"New storage account"</h1>
        <p class="lead">
            "An S3 endpoint and keys that may create and read buckets there. They are tried before they are kept."
        </p>
        <StorageAccountForm />
    }
    .into_any()
}
