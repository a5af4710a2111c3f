//! The form for a backup set: a bucket, and how long its backups are locked.

use jiff::SignedDuration;
use leptos::{html, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use repository::{kit::holds_secret_words, recovery::RecoveryPublicKey};
use shared::{
    api::view::StorageAccountView,
    limits::Limit,
    retention::{LockMode, Policy, protected_until},
};

use super::tenant::tenant_once;
use crate::{
    clock::{local, use_clock, use_hydrated},
    components::{
        Command, Crumbs, Empty, Field, FormError, FormProblem, Icon, Loading, Sign, SubmitButton,
        problem_page,
    },
    functions::backup_set::CreateBackupSet,
    refused::{FormState, Typed, use_form},
    tenant::use_tenant,
};

/// The page.
#[component]
pub fn NewBackupSetPage() -> impl IntoView {
    let tenant = use_tenant();
    let page = tenant_once();
    let form = use_form::<CreateBackupSet>();
    view! {
        <Title text="New backup set" />
        <Crumbs above=vec![(tenant.path("/storage"), "Storage".to_owned())] here="New backup set" />
        <h1>"New backup set"</h1>
        <p class="lead">"A bucket, and the policy of how long the backups in it are locked."</p>
        <Transition fallback=|| view! { <Loading /> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) if page.storage_accounts.is_empty() => {
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
                    Ok(page) => view! { <Form accounts=page.storage_accounts form /> }.into_any(),
                    Err(error) => problem_page(error),
                }
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Form(accounts: Vec<StorageAccountView>, form: FormState<CreateBackupSet>) -> impl IntoView {
    let tenant = use_tenant();
    let FormState {
        action: create,
        typed,
        error,
    } = form;
    provide_context(FormProblem(error));
    let id = tenant.id.get_untracked().map(|id| id.to_string());
    view! {
        <div class="card narrow">
            <FormError error />
            <ActionForm action=create attr:class="form" attr:autocomplete="off">
                <input type="hidden" name="tenant" value=id />
                <Field id="name" label="Name">
                    <input id="name" name="name" required maxlength=Limit::Name.max().to_string() value=typed.text("name", "") />
                </Field>
                <BucketFields accounts typed />
                <RetentionFields typed />
                <AdvancedFields typed />
                <RecoveryFields typed />
                <div class="form-end">
                    <SubmitButton
                        label="Create backup set"
                        busy="Checking the bucket…"
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

#[component]
fn BucketFields(accounts: Vec<StorageAccountView>, typed: Typed) -> impl IntoView {
    let existing = typed.is("create_bucket", "false", false);
    // The form for a storage account leads here with the one that it made.
    let made = use_query_map().with_untracked(|query| query.get("storage_account_id"));
    let chosen = typed.get("storage_account_id").or(made);
    let options = accounts
        .into_iter()
        .map(|account| {
            let id = account.id.to_string();
            let selected = chosen.as_ref() == Some(&id);
            view! {
                <option value=id selected=selected>
                    {format!("{} ({})", account.name, account.endpoint)}
                </option>
            }
        })
        .collect_view();
    view! {
        <fieldset>
            <legend>"Bucket"</legend>
            <Field id="storage_account_id" label="Storage account">
                <select id="storage_account_id" name="storage_account_id" required>
                    {options}
                </select>
            </Field>
            <div class="choices">
                <label class="check">
                    <input type="radio" name="create_bucket" value="true" checked=!existing />
                    <span>
                        "Create the bucket"
                        <span class="hint">"With versioning and Object Lock switched on."</span>
                    </span>
                </label>
                <label class="check">
                    <input type="radio" name="create_bucket" value="false" checked=existing />
                    <span>
                        "Use a bucket that exists"
                        <span class="hint">
                            "It is checked for versioning and Object Lock, and refused without them."
                        </span>
                    </span>
                </label>
            </div>
            <Field
                id="bucket"
                label="Bucket name"
                hint="3 to 63 lower-case letters, digits and hyphens. A bucket of its own is best."
            >
                <input
                    id="bucket"
                    name="bucket"
                    class="mono"
                    required
                    spellcheck="false"
                    autocapitalize="none"
                    aria-describedby="bucket-hint"
                    value=typed.text("bucket", "")
                />
            </Field>
            <Field
                id="prefix"
                label="Prefix (optional)"
                hint="What every key begins with. Leave it empty, or end it with a slash, such as holdfast/"
            >
                <input
                    id="prefix"
                    name="prefix"
                    class="mono"
                    spellcheck="false"
                    autocapitalize="none"
                    aria-describedby="prefix-hint"
                    value=typed.text("prefix", "")
                />
            </Field>
        </fieldset>
    }
    .into_any()
}

#[component]
fn RetentionFields(typed: Typed) -> impl IntoView {
    let governance = typed.is("mode", "governance", false);
    let (days, set_days) = signal(typed.text("retention_days", "90"));
    let (bypassable, set_bypassable) = signal(governance);
    view! {
        <fieldset class="retention">
            <legend>"Retention"</legend>
            <label class="check strong">
                <input
                    type="checkbox"
                    name="immutable_retention"
                    value="true"
                    required
                    checked=typed.is("immutable_retention", "true", false)
                    aria-describedby="immutable-hint"
                />
                <span>"Immutable retention policy"</span>
            </label>
            <p class="hint" id="immutable-hint">
                "Each backup is locked in the bucket when it completes. Until its date nobody can delete it: not an "
                "intruder, not the provider's support, not the account's root user, and not you. It is also paid for "
                "until then. A retention that was given cannot be taken back, so choose a number that you will want "
                "to pay for."
            </p>
            <Field id="retention_days" label="Lock each backup for">
                <div class="with-unit">
                    <input
                        id="retention_days"
                        name="retention_days"
                        type="number"
                        inputmode="numeric"
                        min="1"
                        max=Policy::MAX_RETENTION_DAYS.to_string()
                        required
                        aria-describedby="lock-date"
                        value=days.get_untracked()
                        on:input=move |event| set_days.set(event_target_value(&event))
                    />
                    <span>"days"</span>
                </div>
            </Field>
            <LockDate days />
            <div class="choices" role="radiogroup" aria-label="Lock mode">
                <label class="check">
                    <input
                        type="radio"
                        name="mode"
                        value="compliance"
                        checked=!governance
                        on:change=move |_| set_bypassable.set(false)
                    />
                    <span>
                        "COMPLIANCE"
                        <span class="hint">
                            "Nobody can delete or shorten before the date. This is what immutable means."
                        </span>
                    </span>
                </label>
                <label class="check">
                    <input
                        type="radio"
                        name="mode"
                        value="governance"
                        checked=governance
                        on:change=move |_| set_bypassable.set(true)
                    />
                    <span>
                        "GOVERNANCE"
                        <span class="hint">
                            "Not immutable: whoever holds the right to bypass it can delete every backup. For trials."
                        </span>
                    </span>
                </label>
            </div>
            <div role="status">
                {move || {
                    bypassable
                        .get()
                        .then(|| {
                            view! {
                                <div class="notice warn">
                                    <Icon sign=Sign::Warning />
                                    <p>
                                        "With GOVERNANCE an intruder who has the account's keys can delete the backups. "
                                        "Use it only to try things out."
                                    </p>
                                </div>
                            }
                        })
                }}
            </div>
        </fieldset>
    }
    .into_any()
}

/// The rest of the policy. What stays as it is has its usual value, also without JavaScript.
#[component]
fn AdvancedFields(typed: Typed) -> impl IntoView {
    let tier = |field: &'static str, label: &'static str| {
        view! {
            <Field id=field label>
                <div class="with-unit">
                    <input
                        id=field
                        name=field
                        type="number"
                        inputmode="numeric"
                        min="1"
                        max=Policy::MAX_RETENTION_DAYS.to_string()
                        aria-describedby="tiers-hint"
                        value=typed.text(field, "")
                    />
                    <span>"days"</span>
                </div>
            </Field>
        }
    };
    view! {
        <details class="advanced">
            <summary>"Advanced"</summary>
            <fieldset>
                <legend>"Keep some backups longer"</legend>
                <p class="hint" id="tiers-hint">
                    "The first complete backup of each period is locked for so many days instead. Leave empty what you do not "
                    "need."
                </p>
                {tier("tier_hour", "First of each hour")}
                {tier("tier_day", "First of each day")}
                {tier("tier_week", "First of each week")}
                {tier("tier_month", "First of each month")}
                {tier("tier_year", "First of each year")}
                <Field
                    id="time_zone"
                    label="Time zone of these periods"
                    hint="An IANA name, such as Europe/Berlin."
                >
                    <input
                        id="time_zone"
                        name="time_zone"
                        spellcheck="false"
                        aria-describedby="time_zone-hint"
                        value=typed.text("time_zone", "UTC")
                    />
                </Field>
            </fieldset>
            <Field
                id="keep_last"
                label="Newest backups of each source that never lapse"
                hint="They stay locked however long an endpoint is silent."
            >
                <input
                    id="keep_last"
                    name="keep_last"
                    type="number"
                    inputmode="numeric"
                    min="1"
                    max="1000"
                    aria-describedby="keep_last-hint"
                    value=typed.text("keep_last", "1")
                />
            </Field>
            <Field
                id="lock_ahead_days"
                label="Look-ahead"
                hint="How many days locks reach beyond what is needed, so that they are extended rarely. Write auto to balance the calls against the storage."
            >
                <input
                    id="lock_ahead_days"
                    name="lock_ahead_days"
                    autocapitalize="none"
                    aria-describedby="lock_ahead_days-hint"
                    value=typed.text("lock_ahead_days", "auto")
                />
            </Field>
            <Field
                id="grace_hours"
                label="Cover runs that are late by"
                hint="What the next backup will share stays locked although it comes so much later than planned."
            >
                <div class="with-unit">
                    <input
                        id="grace_hours"
                        name="grace_hours"
                        type="number"
                        inputmode="numeric"
                        min="1"
                        max="2160"
                        aria-describedby="grace_hours-hint"
                        value=typed.text("grace_hours", "24")
                    />
                    <span>"hours"</span>
                </div>
            </Field>
        </details>
    }
    .into_any()
}

/// Until when a backup that is taken today would be locked. The date is there once the page has a clock.
#[component]
fn LockDate(days: ReadSignal<String>) -> impl IntoView {
    let hydrated = use_hydrated();
    let clock = use_clock();
    let date = move || {
        let now = clock.now().filter(|_| hydrated.get())?;
        let days = days.with(|days| days.trim().parse().ok())?;
        let policy = Policy::new(days, LockMode::Compliance).ok()?;
        // Years beyond what a calendar holds are the server's to refuse.
        now.checked_add(SignedDuration::from_hours(24 * i64::from(days)))
            .ok()?;
        let until = protected_until(&policy, now);
        local(until).split_once(',').map(|(day, _)| day.to_owned())
    };
    view! {
        <p class="lock-date" id="lock-date" aria-live="polite">
            <Icon sign=Sign::Lock />
            <span>
                {move || match date() {
                    Some(date) => {
                        view! {
                            "A backup taken today would be locked until "
                            <strong>{date}</strong>
                        }
                            .into_any()
                    }
                    None => {
                        days.with(|days| {
                                let days = days.trim();
                                let unit = if days == "1" { "day" } else { "days" };
                                format!("Each backup is locked for {days} {unit} from when it completes")
                            })
                            .into_any()
                    }
                }}
            </span>
        </p>
    }
    .into_any()
}

#[component]
fn RecoveryFields(typed: Typed) -> impl IntoView {
    let (key, set_key) = signal(typed.text("recovery_key", ""));
    let (had_words, set_had_words) = signal(false);
    let field = NodeRef::<html::Textarea>::new();
    // What holds words of a kit is taken out of the field before anything can send it, also when it was pasted while the page was
    // still being taken over.
    let look = move || {
        let Some(field) = field.get_untracked() else {
            return;
        };
        let text = field.value();
        if holds_secret_words(&text) {
            field.set_value("");
            set_key.set(String::new());
            set_had_words.set(true);
        } else {
            if !text.trim().is_empty() {
                set_had_words.set(false);
            }
            set_key.set(text);
        }
    };
    Effect::new(move || {
        field.track();
        look();
    });
    view! {
        <fieldset>
            <legend>"Recovery key"</legend>
            <p>
                "Backups are sealed to a recovery key that this server never has. Make one on a machine that you trust, "
                "not on an endpoint:"
            </p>
            <Command label="Command that makes a recovery kit" text="holdfast-agent keygen --out kit.txt" />
            <p>
                "Keep the kit offline, printed or in a safe. Without it nothing can be restored, and nobody can make it "
                "again. Paste its public key here; it begins with "
                <code>"hfrk1"</code>
                "."
            </p>
            <Field
                id="recovery_key"
                label="Recovery public key"
                hint="Only the public half. Never paste the words of the kit anywhere."
            >
                <textarea
                    id="recovery_key"
                    name="recovery_key"
                    class="mono"
                    rows="3"
                    required
                    spellcheck="false"
                    autocapitalize="none"
                    aria-describedby="recovery_key-hint"
                    node_ref=field
                    on:input=move |_| look()
                >
                    {typed.text("recovery_key", "")}
                </textarea>
            </Field>
            {move || had_words.get().then(secret_words)}
            <div role="status">
                {move || key.with(|key| (!key.trim().is_empty()).then(|| key_check(key)))}
            </div>
        </fieldset>
    }
    .into_any()
}

/// What is said of words of a kit in the field.
fn secret_words() -> AnyView {
    view! {
        <div class="notice bad" role="alert">
            <Icon sign=Sign::Failure />
            <p>
                "Those were secret words of the recovery kit. They were taken out of the field and not sent. Only the public key belongs "
                "here; it is in the kit too, and begins with " <code>"hfrk1"</code>
                ". If anybody else could have seen the words, make a new kit."
            </p>
        </div>
    }
    .into_any()
}

/// What the pasted key is: its fingerprint to compare, or what is wrong with it.
fn key_check(key: &str) -> AnyView {
    match RecoveryPublicKey::parse(key) {
        Ok(key) => view! {
            <p class="key-check">
                <Icon sign=Sign::Check />
                <span>
                    "Its fingerprint is "
                    <strong class="mono">{key.fingerprint().to_string()}</strong>
                    ". Compare it with the one in the kit."
                </span>
            </p>
        }
        .into_any(),
        Err(error) => {
            let error = error.to_string();
            view! { <p class="key-check wrong">{format!("Not a usable key: {error}.")}</p> }.into_any()
        }
    }
}
