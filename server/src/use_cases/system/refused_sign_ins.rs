//! Refused sign-ins in the audit log.

use crate::{app::App, db, error::ApiError};

/// Writes what was refused into the audit log: what has been counted for an hour, or everything.
///
/// # Errors
/// When the database does not answer: then it is not told.
pub async fn tell(app: &App, everything: bool) -> Result<(), ApiError> {
    let now = app.clock.now();
    let Some(counted) = app.refusals.take(now, everything) else {
        return Ok(());
    };
    let tx = app.db.instance().await?;
    let event = db::audit::Event {
        actor: "system",
        action: "session.refused",
        subject: "sign-ins".to_owned(),
        detail: counted.detail(),
    };
    db::audit::add_instance(&tx, event, now).await?;
    Ok(tx.commit().await?)
}
