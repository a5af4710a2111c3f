//! Pieces that pages are made of.

mod bucket_check;
mod copy;
mod crumbs;
mod figures;
mod form;
mod health;
mod icon;
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
pub use figures::{Bytes, Count};
pub use form::{Field, FormError, FormProblem, SubmitButton, Typed, use_typed};
pub use health::HealthBadge;
pub use icon::{Icon, Logo, Sign};
pub use notices::Notices;
pub use problem::{Empty, Loading, problem_page};
pub use progress::{RestoreProgressView, RunProgressView};
pub use protection::Protection;
pub use silence::Silence;
pub use state::{DamageBadge, ModeBadge, RestoreBadge, RunBadge, SnapshotBadge, TierBadges};
pub use time::{Ago, At, Day};
pub use timeline::LockTimeline;
