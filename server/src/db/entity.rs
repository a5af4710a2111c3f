//! The tables, as sea-orm sees them. Private to `db`: the rest of the server knows the records of its sibling
//! modules, whose fields have meaning.

macro_rules! table {
    ($module:ident = $table:literal { $($(#[$meta:meta])* $field:ident: $ty:ty,)* }) => {
        pub mod $module {
            use sea_orm::entity::prelude::*;

            #[allow(unused_imports, reason = "not every table has a time")]
            use crate::db::types::At;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model {
                $($(#[$meta])* pub $field: $ty,)*
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

table!(user = "users" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    email: String,
    password_hash: String,
    operator: bool,
    created_at: At,
});

table!(session = "sessions" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    user_id: Option<Uuid>,
    data: Json,
    expires_at: At,
    proof: Vec<u8>,
});

table!(tenant = "tenants" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    name: String,
    created_at: At,
});

table!(membership = "memberships" {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: Uuid,
    role: String,
    created_at: At,
});

table!(storage_account = "storage_accounts" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    tenant_id: Uuid,
    name: String,
    endpoint: String,
    region: String,
    access_key: String,
    secret_sealed: Vec<u8>,
    path_style: bool,
    provider: Option<Json>,
    created_at: At,
});

table!(backup_set = "backup_sets" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    tenant_id: Uuid,
    storage_account_id: Uuid,
    name: String,
    bucket: String,
    prefix: String,
    retention_days: i32,
    mode: String,
    time_zone: String,
    tiers: Json,
    keep_last: i32,
    lock_ahead_days: Option<i32>,
    grace_hours: i32,
    lock_cap_days: i32,
    recovery_key: String,
    inspection: Option<Json>,
    compliance_proven_at: Option<At>,
    compliance_tried_at: Option<At>,
    created_at: At,
});

table!(enrollment_token = "enrollment_tokens" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    tenant_id: Uuid,
    backup_set_id: Uuid,
    secret_hash: Vec<u8>,
    keyed: bool,
    created_by: String,
    created_at: At,
    expires_at: At,
    used_at: Option<At>,
});

table!(agent = "agents" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    tenant_id: Uuid,
    backup_set_id: Uuid,
    hostname: String,
    os: String,
    version: String,
    signing_key: String,
    credential_hash: Vec<u8>,
    keyed: bool,
    enrolled_at: At,
    last_seen_at: Option<At>,
    token_id: Option<Uuid>,
    machines: Option<Json>,
});

table!(source = "sources" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    tenant_id: Uuid,
    agent_id: Uuid,
    backup_set_id: Uuid,
    name: String,
    paths: Json,
    excludes: Json,
    schedule: Json,
    next_due: Option<At>,
    newest_seq: i64,
    retired_at: Option<At>,
    next_sweep_at: Option<At>,
    lock_ahead_days: Option<i32>,
    created_at: At,
    options: Json,
});

table!(run = "runs" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    tenant_id: Uuid,
    source_id: Uuid,
    state: String,
    created_at: At,
    started_at: Option<At>,
    deadline: Option<At>,
    reported_at: Option<At>,
    received_at: Option<At>,
    finished_at: Option<At>,
    progress: Option<Json>,
    confirmed: i64,
    to_confirm: i64,
    snapshot_id: Option<Uuid>,
    error: Option<String>,
    refused_since: Option<At>,
    refusals: i32,
    report: Option<Json>,
    not_before: Option<At>,
    retries: i32,
});

table!(snapshot = "snapshots" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    tenant_id: Uuid,
    source_id: Uuid,
    run_id: Uuid,
    seq: i64,
    state: String,
    received_at: At,
    protected_until: At,
    mode: String,
    manifest_hash: Vec<u8>,
    manifest_bytes: i64,
    totals: Json,
    tiers: Json,
    clean: bool,
    sound: bool,
    anomalies: Json,
    judgement: Option<String>,
    judged_at: Option<At>,
    expired_at: Option<At>,
});

table!(snapshot_paths = "snapshot_paths" {
    #[sea_orm(primary_key, auto_increment = false)]
    snapshot_id: Uuid,
    tenant_id: Uuid,
    paths: Json,
});

table!(object = "objects" {
    #[sea_orm(primary_key, auto_increment = false)]
    source_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    hash: Vec<u8>,
    tenant_id: Uuid,
    kind: i16,
    size_bytes: i64,
    content_md5: Vec<u8>,
    state: String,
    run_id: Uuid,
    signed_until: At,
    signed_at: Option<At>,
    version_id: Option<String>,
    lock_mode: Option<String>,
    locked_until: Option<At>,
    confirmed_at: Option<At>,
    missing_since: Option<At>,
    absent_askings: i32,
    absent_since: Option<At>,
    absent_asked_at: Option<At>,
    live_bytes: Option<i64>,
    add_again_since: Option<At>,
    born: Option<i64>,
    dropped: Option<i64>,
});

table!(spare_version = "spare_versions" {
    #[sea_orm(primary_key, auto_increment = false)]
    source_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    version_id: String,
    tenant_id: Uuid,
    size_bytes: i64,
    locked_until: At,
    deleting: bool,
});

table!(sweep = "sweeps" {
    #[sea_orm(primary_key)]
    id: i64,
    tenant_id: Uuid,
    source_id: Uuid,
    began_at: At,
    ended_at: At,
    report: Json,
});

table!(bucket_check = "bucket_checks" {
    #[sea_orm(primary_key)]
    id: i64,
    tenant_id: Uuid,
    backup_set_id: Uuid,
    began_at: At,
    ended_at: At,
    report: Json,
});

table!(bucket_finding = "bucket_findings" {
    #[sea_orm(primary_key, auto_increment = false)]
    source_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    version_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    kind: String,
    tenant_id: Uuid,
    backup_set_id: Uuid,
    needed: bool,
    detail: String,
    first_seen_at: At,
    last_seen_at: At,
});

table!(restore = "restores" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    tenant_id: Uuid,
    snapshot_id: Uuid,
    agent_id: Uuid,
    state: String,
    authorised_by: String,
    created_at: At,
    expires_at: At,
    finished_at: Option<At>,
    progress: Option<Json>,
    error: Option<String>,
    later_snapshots: Json,
    permission_id: Option<Uuid>,
    purpose: String,
});

table!(commit_request = "commit_requests" {
    #[sea_orm(primary_key, auto_increment = false)]
    run_id: Uuid,
    tenant_id: Uuid,
    request: Json,
});

table!(commit_page = "commit_pages" {
    #[sea_orm(primary_key, auto_increment = false)]
    run_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    number: i32,
    tenant_id: Uuid,
    section: i16,
    entries: i32,
    last_hash: Vec<u8>,
    digest: Vec<u8>,
    content: Vec<u8>,
});

table!(set_sum = "set_sums" {
    #[sea_orm(primary_key, auto_increment = false)]
    source_id: Uuid,
    tenant_id: Uuid,
    seq: i64,
    content: Vec<u8>,
});
