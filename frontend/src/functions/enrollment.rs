//! Enrollment tokens. A token is shown once: the hydrated console gets it as an answer; a plain form post gets
//! it through a sealed cookie that lives for a minute and is taken back when the page is rendered.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::{
    api::view::EnrollmentTokenView,
    ids::{BackupSetId, TenantId},
};

#[cfg(feature = "ssr")]
use super::sealed_cookie::ENROLLMENT;
use crate::error::ConsoleError;

/// Makes a one-time enrollment token.
#[server(prefix = "/console/fn", endpoint = "create_enrollment_token")]
pub async fn create_enrollment_token(
    tenant: TenantId,
    set: BackupSetId,
) -> Result<EnrollmentTokenView, ConsoleError> {
    let page = format!("/tenants/{tenant}/backup-sets/{set}");
    let request = shared::api::request::NewEnrollmentToken { backup_set_id: set };
    let result = super::call::<operations::CreateEnrollmentToken>(tenant, request).await;
    let token = super::form::back_to_form::<CreateEnrollmentToken, _>(result, &page, &[])?;
    if super::status::wants_html() {
        if !ENROLLMENT.give(&(set, &token)) {
            return Err(ConsoleError::Internal);
        }
        leptos_axum::redirect(&format!("{page}#enroll"));
    }
    Ok(token)
}

/// The token that a plain form post has just made for this backup set, once.
#[server(prefix = "/console/fn", endpoint = "take_enrollment_token")]
pub async fn take_enrollment_token(set: BackupSetId) -> Result<Option<EnrollmentTokenView>, ConsoleError> {
    let given = ENROLLMENT.read::<(BackupSetId, EnrollmentTokenView)>();
    let given = given.filter(|(of, _)| *of == set);
    if given.is_some() {
        ENROLLMENT.forget();
    }
    Ok(given.map(|(_, token)| token))
}
