//! The form for a storage account.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::limits::Limit;

use crate::{
    components::{Crumbs, Field, FormError, FormProblem, SubmitButton},
    functions::storage_account::CreateStorageAccount,
    refused::{FormState, use_form},
    tenant::use_tenant,
};

/// The page.
#[component]
pub fn NewStorageAccountPage() -> impl IntoView {
    let tenant = use_tenant();
    let FormState {
        action: create,
        typed,
        error,
    } = use_form::<CreateStorageAccount>();
    provide_context(FormProblem(error));
    let id = tenant.id.get_untracked().map(|id| id.to_string());
    view! {
        <Title text="New storage account" />
        <Crumbs above=vec![(tenant.path("/storage"), "Storage".to_owned())] here="New storage account" />
        <h1>"New storage account"</h1>
        <p class="lead">
            "An S3 endpoint and keys that may create and read buckets there. They are tried before they are kept."
        </p>
        <div class="card narrow">
            <FormError error />
            <ActionForm action=create attr:class="form" attr:autocomplete="off">
                <input type="hidden" name="tenant" value=id />
                <Field id="name" label="Name">
                    <input
                        id="name"
                        name="name"
                        required
                        maxlength=Limit::Name.max().to_string()
                        value=typed.text("name", "")
                    />
                </Field>
                <Field
                    id="endpoint"
                    label="Endpoint"
                    hint="With https:// and without the bucket, such as https://s3.eu-central-1.amazonaws.com"
                >
                    <input
                        id="endpoint"
                        name="endpoint"
                        maxlength=Limit::Endpoint.max().to_string()
                        type="url"
                        class="mono"
                        required
                        spellcheck="false"
                        aria-describedby="endpoint-hint"
                        value=typed.text("endpoint", "")
                    />
                </Field>
                <Field
                    id="region"
                    label="Region"
                    hint="As the provider writes it. Where there is none, us-east-1 is usual."
                >
                    <input
                        id="region"
                        name="region"
                        maxlength=Limit::Region.max().to_string()
                        class="mono"
                        required
                        spellcheck="false"
                        aria-describedby="region-hint"
                        value=typed.text("region", "us-east-1")
                    />
                </Field>
                <Field id="access_key" label="Access key">
                    <input
                        id="access_key"
                        name="access_key"
                        maxlength=Limit::AccessKey.max().to_string()
                        class="mono"
                        required
                        spellcheck="false"
                        value=typed.text("access_key", "")
                    />
                </Field>
                <Field
                    id="secret_key"
                    label="Secret key"
                    hint="Sealed before it is stored, never shown again, and never given to an endpoint."
                >
                    <input
                        id="secret_key"
                        name="secret_key"
                        maxlength=Limit::SecretKey.max().to_string()
                        type="password"
                        class="mono"
                        required
                        autocomplete="new-password"
                        aria-describedby="secret_key-hint"
                    />
                </Field>
                <label class="check">
                    <input
                        type="checkbox"
                        name="path_style"
                        value="true"
                        checked=typed.is("path_style", "true", false)
                    />
                    <span>
                        "Path-style addresses"
                        <span class="hint">
                            "The bucket's name goes into the path instead of the host name. Most self-hosted stores want this."
                        </span>
                    </span>
                </label>
                <div class="form-end">
                    <SubmitButton
                        label="Add storage account"
                        busy="Trying the keys…"
                        pending=create.pending().into()
                    />
                    <a class="button quiet" href=tenant.path("")>
                        "Cancel"
                    </a>
                </div>
            </ActionForm>
        </div>
    }
    .into_any()
}
