//! Notices for the operators of the instance.

use shared::{
    api::{notice::Notice, view::Me},
    ids::NoticeId,
};

use crate::{app::App, db, error::ApiError};

/// Notices that are shown at once.
const SHOWN: u32 = 20;

/// The notices that nobody has dealt with, the newest first. Whoever is no operator has none.
///
/// # Errors
/// When the database does not answer.
pub async fn open(app: &App, user: &Me) -> Result<Vec<Notice>, ApiError> {
    if !user.operator {
        return Ok(Vec::new());
    }
    Ok(db::notices::open(&app.db.instance().await?, SHOWN).await?)
}

/// Notes that an operator has dealt with a notice: it is not shown any more.
///
/// # Errors
/// `Forbidden` for anybody else; `NotFound` when there is no such open notice.
pub async fn settle(app: &App, user: &Me, notice: NoticeId) -> Result<(), ApiError> {
    if !user.operator {
        return Err(ApiError::Forbidden);
    }
    let now = app.clock.now();
    let tx = app.db.instance().await?;
    if !db::notices::settle(&tx, notice, &user.email, now).await? {
        return Err(ApiError::NotFound("open notice"));
    }
    let event = db::audit::Event {
        actor: &user.email,
        action: "notice.settle",
        subject: notice.to_string(),
        detail: serde_json::json!({}),
    };
    db::audit::add_instance(&tx, event, now).await?;
    Ok(tx.commit().await?)
}
