//! Enrollment tokens. A token is shown once: the hydrated console gets it as an answer; a plain form post gets
//! it through a cookie that lives for a minute and is taken back when the page is rendered.

use leptos::prelude::*;
use shared::{
    api::view::EnrollmentTokenView,
    ids::{BackupSetId, TenantId},
};

use crate::error::ConsoleError;

/// Makes a one-time enrollment token.
#[server(prefix = "/console/fn", endpoint = "create_enrollment_token")]
pub async fn create_enrollment_token(
    tenant: TenantId,
    set: BackupSetId,
) -> Result<EnrollmentTokenView, ConsoleError> {
    let page = format!("/tenants/{tenant}/backup-sets/{set}");
    let request = shared::api::request::NewEnrollmentToken { backup_set_id: set };
    let result = super::backend()?.create_enrollment_token(tenant, request).await;
    let token = super::form::back_to_form::<CreateEnrollmentToken, _>(result, &page, &[])?;
    if super::status::wants_html() {
        flash::give(set, &token)?;
        leptos_axum::redirect(&format!("{page}#enroll"));
    }
    Ok(token)
}

/// The token that a plain form post has just made for this backup set, once.
#[server(prefix = "/console/fn", endpoint = "take_enrollment_token")]
pub async fn take_enrollment_token(set: BackupSetId) -> Result<Option<EnrollmentTokenView>, ConsoleError> {
    Ok(flash::take(set))
}

#[cfg(feature = "ssr")]
mod flash {
    use data_encoding::BASE64URL_NOPAD;
    use http::{
        HeaderValue,
        header::{COOKIE, SET_COOKIE},
        request::Parts,
    };
    use leptos::prelude::use_context;
    use leptos_axum::ResponseOptions;
    use shared::{api::view::EnrollmentTokenView, ids::BackupSetId};

    use crate::error::ConsoleError;

    const NAME: &str = "holdfast_enrollment";

    pub fn give(set: BackupSetId, token: &EnrollmentTokenView) -> Result<(), ConsoleError> {
        let text = serde_json::to_vec(&(set, token)).map_err(|_| ConsoleError::Internal)?;
        set_cookie(&BASE64URL_NOPAD.encode(&text), 60);
        Ok(())
    }

    pub fn take(wanted: BackupSetId) -> Option<EnrollmentTokenView> {
        let parts = use_context::<Parts>()?;
        let value = parts
            .headers
            .get_all(COOKIE)
            .into_iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split("; "))
            .find_map(|pair| pair.strip_prefix(NAME)?.strip_prefix('='))?;
        let text = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?;
        let (set, token): (BackupSetId, EnrollmentTokenView) = serde_json::from_slice(&text).ok()?;
        (set == wanted).then(|| {
            set_cookie("", 0);
            token
        })
    }

    fn set_cookie(value: &str, max_age_seconds: u32) {
        let cookie = format!("{NAME}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Strict");
        if let (Some(response), Ok(value)) =
            (use_context::<ResponseOptions>(), HeaderValue::from_str(&cookie))
        {
            response.append_header(SET_COOKIE, value);
        }
    }
}
