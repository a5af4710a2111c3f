//! What the console shows, and what the automation API answers: the same shapes, one noun a file. Each page of the console has
//! its own type, so that a page asks for what it shows and for nothing else.

mod agent;
mod backup_set;
mod check;
mod enrollment;
mod inspection;
mod live;
mod me;
mod page;
mod restore;
mod run;
mod silence;
mod snapshot;
mod source;
mod storage_account;
mod sweep;
mod tenant;

pub use agent::AgentView;
pub use backup_set::{BackupSetName, BackupSetView};
pub use check::{BucketCheckReport, BucketCheckView, BucketFindingKind, BucketFindingView};
pub use enrollment::EnrollmentTokenView;
pub use inspection::BucketInspection;
pub use live::LiveEvent;
pub use me::Me;
pub use page::{
    agents::TenantAgents,
    backup_set::BackupSetPage,
    overview::TenantOverview,
    snapshot::{SnapshotPage, SnapshotReview, SoundSnapshot},
    storage::TenantStorage,
};
pub use restore::{RestoreState, RestoreView};
pub use run::{RunView, StuckView};
pub use silence::SilenceView;
pub use snapshot::{Damage, SnapshotState, SnapshotView};
pub use source::{ProtectionView, SourceName, SourceProtection, SourceView};
pub use storage_account::StorageAccountView;
pub use sweep::{AwaitReason, AwaitingUnlock, SweepReport, SweepView};
pub use tenant::{Health, TenantSummary};
