//! Pieces that pages are made of.

mod bucket_check;
mod copy;
mod crumbs;
mod figures;
mod form;
mod health;
mod icon;
mod list;
mod loaded;
mod next_runs;
mod notices;
mod problem;
mod progress;
mod protection;
mod restore_table;
mod run_report;
mod run_table;
mod silence;
mod snapshot_table;
mod state;
mod time;
mod timeline;

pub use bucket_check::BucketCheck;
pub use copy::Command;
pub use crumbs::Crumbs;
pub use figures::{Bytes, Count, Counted};
pub use form::{
    ButtonForm, Checkbox, Choice, Field, FieldFrame, FieldMessage, FieldState, FormError, FormField, Radios,
    SelectOption, SubmitButton, TenantForm, provide_form,
};
pub use health::HealthBadge;
pub use icon::{Icon, Logo, Sign};
pub use list::{ListAddress, ListFilters, Pager};
pub use loaded::Loaded;
pub use next_runs::{NEXT_RUNS, NextRuns, next_run_list};
pub use notices::Notices;
#[cfg(feature = "ssr")]
pub use problem::sign_in_page;
pub use problem::{Empty, Loading, problem_page};
pub use progress::{RestoreProgressView, RunProgressView};
pub use protection::Protection;
pub use restore_table::RestoreTable;
pub use run_report::{IdleExcludes, NothingTaken, ReadAgainFact};
pub use run_table::RunTable;
pub use silence::Silence;
pub use snapshot_table::SnapshotTable;
pub use state::{DamageBadge, ModeBadge, RestoreBadge, RunBadge, SnapshotBadge, SoundnessBadge, TierBadges};
pub use time::{Ago, At, Day};
pub use timeline::LockTimeline;
