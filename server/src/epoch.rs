//! The epoch: a number in the data folder and in the database, raised in both at each start and then once in [`RAISE_INTERVAL`]. A
//! database whose epoch is lower than the folder's was restored from a backup, also one of this morning.
//!
//! The database is raised first. A crash between the two leaves the folder one behind, which is not taken for anything.
//! When folder and database were restored together, to the same moment, nobody can tell.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use shared::{api::notice::NoticeKind, ids::NoticeId};
use tokio::time::MissedTickBehavior;

use crate::{app::App, db, error::ApiError, random, scope::TenantScope, secrets::private_file};

/// How often a running server raises the epoch: a backup of the database that is older than this is told from the database.
pub const RAISE_INTERVAL: Duration = Duration::from_secs(60);

/// The file in the data folder: the epoch in decimal digits.
pub const FILE: &str = "epoch";

/// What two epochs say: whether the database may be older than what the server has done.
fn judge(folder: Option<u64>, database: Option<u64>) -> Option<NoticeKind> {
    match (folder, database) {
        // The first start, also the first of a version that knows epochs.
        (None, None) => None,
        (None, Some(_)) => Some(NoticeKind::EpochLost),
        (Some(folder), database) if database.unwrap_or(0) < folder => Some(NoticeKind::DatabaseRestored),
        (Some(_), _) => None,
    }
}

/// Raises the epoch in the database, then in the folder. When the database may be older than what the server has done,
/// sessions and unused enrollment tokens are ended before, leases are void, and a notice and an audit event say so.
///
/// # Errors
/// When the file can not be read or written, or the database does not answer.
pub async fn raise(app: &App, data: &Path) -> Result<(), ApiError> {
    let file = data.join(FILE);
    let folder = read(&file)?;
    let tx = app.db.instance().await?;
    let database = db::epoch::find(&tx).await?;
    let epoch = folder.max(database).unwrap_or(0) + 1;
    db::epoch::set(&tx, epoch).await?;
    if let Some(kind) = judge(folder, database) {
        tracing::error!(folder, database, "{}: {}", kind.title(), kind.text());
        end_tokens(app).await?;
        distrust(app, &tx, kind, folder, database).await?;
    }
    tx.commit().await?;
    write(&file, epoch)
}

/// Raises the epoch for as long as the server runs, once in each period.
pub async fn keep_raising(app: App, data: PathBuf, period: Duration) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first comes at once, and the start has just raised it.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if let Err(error) = raise(&app, &data).await {
            tracing::error!(%error, "the epoch could not be raised");
        }
    }
}

async fn end_tokens(app: &App) -> Result<(), ApiError> {
    let now = app.clock.now();
    for scope in TenantScope::all(&app.db).await? {
        let tx = app.db.tenant(&scope).await?;
        db::enrollment::end_all(&tx, now).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn distrust(
    app: &App,
    tx: &db::InstanceTx,
    kind: NoticeKind,
    folder: Option<u64>,
    database: Option<u64>,
) -> Result<(), ApiError> {
    let now = app.clock.now();
    let sessions = db::sessions::delete_all(tx).await?;
    db::notices::add(tx, NoticeId::from_uuid(random::uuid(now)), kind, now).await?;
    let leases = db::jobs::void_leases(tx).await?;
    let event = db::audit::Event {
        actor: "system",
        action: match kind {
            NoticeKind::DatabaseRestored => "database.restored",
            NoticeKind::EpochLost => "database.epoch_lost",
        },
        subject: "database".to_owned(),
        detail: serde_json::json!({
            "folder_epoch": folder, "database_epoch": database, "sessions_ended": sessions, "leases_void": leases,
        }),
    };
    db::audit::add_instance(tx, event, now).await?;
    Ok(())
}

/// What the file says; `None` when there is no file, or it holds no number.
fn read(file: &Path) -> Result<Option<u64>, ApiError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
        Err(error) => Err(failed(file, &error)),
    }
}

/// Replaces the file in one step: after a crash it holds the old number or the new one.
fn write(file: &Path, epoch: u64) -> Result<(), ApiError> {
    private_file::replace(file, format!("{epoch}\n").as_bytes()).map_err(|error| failed(file, &error))
}

fn failed(file: &Path, error: &std::io::Error) -> ApiError {
    ApiError::Internal(format!("the epoch's file {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_epoch_in_the_database_is_a_restored_database() {
        for (folder, database, expected) in [
            (None, None, None),
            (Some(3), Some(3), None),
            // A crash between the two, or a folder that was restored from a backup.
            (Some(3), Some(4), None),
            (Some(3), Some(9), None),
            (Some(3), Some(2), Some(NoticeKind::DatabaseRestored)),
            (Some(3), Some(1), Some(NoticeKind::DatabaseRestored)),
            (Some(1), None, Some(NoticeKind::DatabaseRestored)),
            (None, Some(1), Some(NoticeKind::EpochLost)),
        ] {
            assert_eq!(judge(folder, database), expected, "{folder:?} {database:?}");
        }
    }

    #[test]
    fn the_file_is_replaced_whole_and_rubbish_counts_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(read(&file).unwrap(), None);
        write(&file, 1).unwrap();
        write(&file, 41).unwrap();
        assert_eq!(read(&file).unwrap(), Some(41));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        for rubbish in [b"".as_slice(), b"x", b"-1", b"\xff"] {
            fs::write(&file, rubbish).unwrap();
            assert_eq!(read(&file).unwrap(), None, "{rubbish:?}");
        }
    }
}
