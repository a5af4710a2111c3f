//! Notices for the operators of the instance.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::{api::notice::Notice, ids::NoticeId};

use crate::error::ConsoleError;

/// The notices that nobody has dealt with; none for whoever is no operator.
#[server(prefix = "/console/fn", endpoint = "load_notices")]
pub async fn load_notices() -> Result<Vec<Notice>, ConsoleError> {
    super::status::answer(super::call::<operations::ListNotices>((), ()).await)
}

/// Notes that a notice was dealt with.
#[server(prefix = "/console/fn", endpoint = "settle_notice")]
pub async fn settle_notice(notice: NoticeId) -> Result<(), ConsoleError> {
    let result = super::call::<operations::SettleNotice>(notice, ()).await;
    super::form::back_to_form::<SettleNotice, _>(result, "/", &[])?;
    super::form::plain_post_goes_to("/");
    Ok(())
}
