//! Notices for the operators of the instance.

use shared::{api::notice::Notice, ids::NoticeId};

use crate::{
    app::App,
    db,
    error::ApiError,
    scope::{Operator, Person},
};

/// Notices that are shown at once.
const SHOWN: u32 = 20;

/// The notices that nobody has dealt with, the newest first. Whoever is no operator has none.
///
/// # Errors
/// When the database does not answer.
pub async fn open(app: &App, person: &Person) -> Result<Vec<Notice>, ApiError> {
    if !person.operator {
        return Ok(Vec::new());
    }
    Ok(db::notices::open(&app.db.instance().await?, SHOWN).await?)
}

/// Notes that an operator has dealt with a notice: it is not shown any more.
///
/// # Errors
/// `NotFound` when there is no such open notice.
pub async fn settle(app: &App, operator: &Operator, notice: NoticeId) -> Result<(), ApiError> {
    let now = app.clock.now();
    let tx = app.db.instance().await?;
    if !db::notices::settle(&tx, notice, &operator.email, now).await? {
        return Err(ApiError::NotFound("open notice"));
    }
    let event = db::audit::Event {
        actor: &operator.email,
        action: "notice.settle",
        subject: notice.to_string(),
        detail: serde_json::json!({}),
    };
    db::audit::add_instance(&tx, event, now).await?;
    Ok(tx.commit().await?)
}
