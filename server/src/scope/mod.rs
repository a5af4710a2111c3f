//! Tenant scope: the first of the two walls between tenants (the second is row-level security).
//!
//! A [`TenantScope`] is leave to touch one tenant's data. Only this module makes one, and each way to
//! get one is an authorisation: a signed-in user, an agent's credential, an enrollment token, or a job of ours.

mod bearers;
mod people;
mod tenant;

pub use bearers::{
    CREDENTIAL_PREFIX, Caller, ENROLLMENT_PREFIX, authorise_agent, authorise_enrollment, bearer_text,
};
pub use people::{Actor, Grant, Manager, Operator, Person, Viewer};
pub use tenant::TenantScope;
