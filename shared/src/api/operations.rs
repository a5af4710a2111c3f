//! Every operation of the automation API, one row each: method, path, who may ask, the ids in the path, input and output.
//!
//! `server/src/http/operations.rs` says which use case does it. The console's pages ask for the same operations through
//! `frontend/src/backend.rs`.

use super::{
    list::{ListQuery, Page},
    notice::Notice,
    operation::{Anyone, Description, Manage, Method, Operate, Operation, SignedIn, View},
    request::{
        JudgeSnapshotRequest, NewBackupSet, NewEnrollmentToken, NewSource, NewStorageAccount, NewTenant,
        SignIn,
    },
    view::{
        BackupSetPage, BackupSetView, BucketInspection, EnrollmentTokenView, Me, RestoreView, RunView,
        SnapshotPage, SnapshotView, SourceName, SourceView, StorageAccountView, TenantAgents, TenantOverview,
        TenantStorage, TenantSummary,
    },
};
use crate::{
    ids::{BackupSetId, NoticeId, RestoreId, RunId, SnapshotId, SourceId, TenantId},
    limits::Limit,
};

macro_rules! operations {
    ($(
        $(#[$meta:meta])*
        $name:ident: $method:ident $path:literal for $access:ident, $ids:ty, $input:ty => $output:ty
        $(, body $limit:ident)?;
    )*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}

            impl Operation for $name {
                const METHOD: Method = Method::$method;
                const PATH: &'static str = $path;
                $(const BODY: Limit = Limit::$limit;)?
                type Access = $access;
                type Ids = $ids;
                type Input = $input;
                type Output = $output;
            }
        )*

        /// All of them.
        pub const ALL: &[Description] = &[$(Description::of::<$name>(stringify!($name))),*];
    };
}

operations! {
    /// Signs in and starts a session: the answer sets its cookie.
    StartSession: Post "/session" for Anyone, (), SignIn => Me;
    /// Ends the session, if there is one.
    EndSession: Delete "/session" for Anyone, (), () => ();
    /// Who is signed in.
    ReadMe: Get "/me" for SignedIn, (), () => Me;

    /// What the operators have to know; nothing for anybody else.
    ListNotices: Get "/notices" for SignedIn, (), () => Vec<Notice>;
    /// Notes that a notice was dealt with.
    SettleNotice: Post "/notices/{notice}/settle" for Operate, NoticeId, () => ();

    /// Every tenant that the user may see, the worst first.
    ListTenants: Get "/tenants" for SignedIn, (), () => Vec<TenantSummary>;
    /// Makes a tenant.
    CreateTenant: Post "/tenants" for Operate, (), NewTenant => TenantSummary;
    /// One tenant and how well it is protected.
    ReadTenant: Get "/tenants/{tenant}" for View, TenantId, () => TenantSummary;
    /// Its first page.
    ReadOverview: Get "/tenants/{tenant}/overview" for View, TenantId, () => TenantOverview;
    /// The page of its agents.
    ReadAgents: Get "/tenants/{tenant}/agents" for View, TenantId, () => TenantAgents;
    /// The page of its storage.
    ReadStorage: Get "/tenants/{tenant}/storage" for View, TenantId, () => TenantStorage;

    /// Tries and keeps a storage account.
    CreateStorageAccount: Post "/tenants/{tenant}/storage-accounts" for Manage, TenantId, NewStorageAccount => StorageAccountView;
    /// Makes or checks the bucket and keeps the backup set.
    CreateBackupSet: Post "/tenants/{tenant}/backup-sets" for Manage, TenantId, NewBackupSet => BackupSetView;
    /// A backup set's page.
    ReadBackupSet: Get "/tenants/{tenant}/backup-sets/{set}" for View, (TenantId, BackupSetId), () => BackupSetPage;
    /// Looks into the bucket and keeps what was found.
    InspectBucket: Post "/tenants/{tenant}/backup-sets/{set}/inspect" for Manage, (TenantId, BackupSetId), () => BucketInspection;
    /// Makes a one-time enrollment token.
    CreateEnrollmentToken: Post "/tenants/{tenant}/enrollment-tokens" for Manage, TenantId, NewEnrollmentToken => EnrollmentTokenView;
    /// The names of its sources.
    ListSources: Get "/tenants/{tenant}/sources" for View, TenantId, () => Vec<SourceName>;
    /// Makes a source.
    CreateSource: Post "/tenants/{tenant}/sources" for Manage, TenantId, NewSource => SourceView, body SourceBody;

    /// *Back up now*: queues a run, or gives the one that is queued or under way.
    RunNow: Post "/tenants/{tenant}/sources/{source}/runs" for Manage, (TenantId, SourceId), () => RunView;
    /// A page of the tenant's runs.
    ListRuns: Get "/tenants/{tenant}/runs" for View, TenantId, ListQuery => Page<RunView>;
    /// One run.
    ReadRun: Get "/tenants/{tenant}/runs/{run}" for View, (TenantId, RunId), () => RunView;
    /// Gives up a run that has no snapshot yet.
    CancelRun: Post "/tenants/{tenant}/runs/{run}/cancel" for Manage, (TenantId, RunId), () => RunView;

    /// A page of the tenant's snapshots.
    ListSnapshots: Get "/tenants/{tenant}/snapshots" for View, TenantId, ListQuery => Page<SnapshotView>;
    /// One snapshot's page.
    ReadSnapshot: Get "/tenants/{tenant}/snapshots/{snapshot}" for View, (TenantId, SnapshotId), () => SnapshotPage;
    /// Decides that a snapshot that is not sound is good, or that it is bad.
    JudgeSnapshot: Post "/tenants/{tenant}/snapshots/{snapshot}/judgement" for Manage, (TenantId, SnapshotId), JudgeSnapshotRequest => SnapshotView;
    /// Allows the snapshot's agent to read it for 24 hours, as often as it wants.
    AuthoriseRestore: Post "/tenants/{tenant}/snapshots/{snapshot}/restores" for Manage, (TenantId, SnapshotId), () => RestoreView;
    /// Ends such a permission before its time.
    EndRestore: Post "/tenants/{tenant}/restores/{restore}/end" for Manage, (TenantId, RestoreId), () => RestoreView;
    /// A page of the tenant's restores.
    ListRestores: Get "/tenants/{tenant}/restores" for View, TenantId, ListQuery => Page<RestoreView>;
    /// One restore.
    ReadRestore: Get "/tenants/{tenant}/restores/{restore}" for View, (TenantId, RestoreId), () => RestoreView;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::operation::Level, *};

    #[test]
    fn each_row_has_a_route_of_its_own() {
        let mut routes = HashSet::new();
        for operation in ALL {
            let method = format!("{:?}", operation.method);
            assert!(
                routes.insert((method, operation.path)),
                "{} has another's route",
                operation.name
            );
        }
    }

    #[test]
    fn whoever_may_only_look_can_change_nothing() {
        for operation in ALL {
            match operation.level {
                Level::View | Level::SignedIn => {
                    assert_eq!(operation.method, Method::Get, "{}", operation.name);
                }
                Level::Manage | Level::Operate => {
                    assert_ne!(operation.method, Method::Get, "{}", operation.name);
                }
                Level::Anyone => assert_eq!(operation.path, StartSession::PATH, "{}", operation.name),
            }
        }
    }

    #[test]
    fn a_path_with_a_tenant_is_authorised_in_it() {
        for operation in ALL {
            let in_tenant = matches!(operation.level, Level::View | Level::Manage);
            assert_eq!(
                operation.path.starts_with("/tenants/{tenant}"),
                in_tenant,
                "{}",
                operation.name
            );
        }
    }
}
