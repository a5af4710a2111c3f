//! Pieces that pages are made of.

mod bucket_check;
mod copy;
mod crumbs;
mod figures;
mod form;
mod health;
mod icon;
mod list;
mod next_runs;
mod notices;
mod problem;
mod progress;
mod protection;
mod silence;
mod state;
mod time;
mod timeline;

pub use bucket_check::BucketCheck;
pub use copy::Command;
pub use crumbs::Crumbs;
pub use figures::{Bytes, Count, Counted};
pub use form::{Field, FormError, FormProblem, SubmitButton};
pub use health::HealthBadge;
pub use icon::{Icon, Logo, Sign};
pub use list::{ListAddress, ListFilters, Pager};
pub use next_runs::{NEXT_RUNS, NextRuns, next_run_list};
pub use notices::Notices;
#[cfg(feature = "ssr")]
pub use problem::sign_in_page;
pub use problem::{Empty, Loading, problem_page};
pub use progress::{RestoreProgressView, RunProgressView};
pub use protection::Protection;
pub use silence::Silence;
pub use state::{DamageBadge, ModeBadge, RestoreBadge, RunBadge, SnapshotBadge, TierBadges};
pub use time::{Ago, At, Day};
pub use timeline::LockTimeline;
