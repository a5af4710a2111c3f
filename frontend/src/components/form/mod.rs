//! Forms, built from descriptions of their fields.

mod button_form;
mod choices;
mod error;
mod field;
mod form_field;
mod frame;
mod state;
mod submit;
mod tenant_form;

pub use button_form::ButtonForm;
pub use choices::{Checkbox, Choice, Radios};
pub use error::FormError;
pub use field::Field;
pub use form_field::{FormField, SelectOption};
pub use frame::{FieldFrame, FieldMessage};
pub use state::{FieldState, provide_form};
pub use submit::SubmitButton;
pub use tenant_form::TenantForm;
