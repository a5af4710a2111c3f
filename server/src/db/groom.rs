//! Forgetting what is gone: the state `deleting`, and versions that a later one took the place of.
//!
//! A row is set to `deleting` in a transaction of its own, before S3 is asked to delete anything; from then on it is never
//! offered for reuse. Row-level security lets no other row be deleted.

use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Func, OnConflict},
};
use shared::{
    ids::SourceId,
    object::{ObjectHash, ObjectKind},
    retention::{ObjectInput, ObjectState},
};

use super::{
    DbError, TenantTx,
    entity::{object, spare_version},
    ledger::{LedgerObject, ROWS_PER_STATEMENT, named},
    types::{At, signed, unsigned},
};

/// A version that Holdfast put and that a later one under the same key took the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpareVersion {
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Until when it is locked.
    pub locked_until: Timestamp,
}

impl SpareVersion {
    /// As the planner sees it: like what a run that broke off has sent. Nothing needs it.
    #[must_use]
    pub fn input(&self) -> ObjectInput {
        ObjectInput {
            bytes: self.size_bytes,
            live_bytes: 0,
            locked_until: Some(self.locked_until),
            born: None,
            dropped: None,
            state: ObjectState::Pending,
        }
    }
}

/// Sets objects to `deleting`: irrevocable. Gives the number of rows changed.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn set_deleting(tx: &TenantTx, source: SourceId, hashes: &[ObjectHash]) -> Result<u64, DbError> {
    let mut changed = 0;
    for part in hashes.chunks(ROWS_PER_STATEMENT) {
        let update = object::Entity::update_many()
            .col_expr(object::Column::State, Expr::value("deleting"))
            .filter(named(source, part))
            .filter(object::Column::State.is_in(["pending", "live"]));
        changed += update.exec(&tx.tx).await?.rows_affected;
    }
    Ok(changed)
}

/// Objects that are being deleted and whose lock ended before `unlocked`, by hash, behind `after`.
pub async fn deleting(
    tx: &TenantTx,
    source: SourceId,
    unlocked: Timestamp,
    after: Option<ObjectHash>,
    limit: u64,
) -> Result<Vec<LedgerObject>, DbError> {
    let lock = Func::coalesce([
        Expr::col(object::Column::LockedUntil),
        Expr::col(object::Column::SignedUntil),
    ]);
    let query = object::Entity::find()
        .filter(object::Column::SourceId.eq(source.as_uuid()))
        .filter(object::Column::State.eq("deleting"))
        .filter(object::Column::Hash.gt(after.map_or(Vec::new(), |hash| hash.as_bytes().to_vec())))
        .filter(Expr::expr(lock).lt(At::try_from(unlocked)?))
        .order_by_asc(object::Column::Hash)
        .limit(limit);
    tx.tx.records(query).await
}

/// Notes that S3 shows a longer lock on what is being deleted: it goes when that has ended.
pub async fn still_locked(
    tx: &TenantTx,
    source: SourceId,
    hash: ObjectHash,
    until: Timestamp,
) -> Result<(), DbError> {
    object::Entity::update_many()
        .col_expr(object::Column::LockedUntil, Expr::value(At::try_from(until)?))
        .filter(named(source, &[hash]))
        .filter(object::Column::State.eq("deleting"))
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// Removes the rows of objects that S3 has deleted.
pub async fn forget(tx: &TenantTx, source: SourceId, hashes: &[ObjectHash]) -> Result<(), DbError> {
    for part in hashes.chunks(ROWS_PER_STATEMENT) {
        object::Entity::delete_many()
            .filter(named(source, part))
            .filter(object::Column::State.eq("deleting"))
            .exec(&tx.tx)
            .await?;
    }
    Ok(())
}

/// Asks the next run to add what is in these again. A manifest or a commit record is its snapshot's alone: those are left to
/// a later refresh.
pub async fn set_add_again(
    tx: &TenantTx,
    source: SourceId,
    hashes: &[ObjectHash],
    now: Timestamp,
) -> Result<u64, DbError> {
    let alone = [ObjectKind::Manifest, ObjectKind::Commit].map(|kind| i16::from(kind.tag()));
    let mut changed = 0;
    for part in hashes.chunks(ROWS_PER_STATEMENT) {
        let update = object::Entity::update_many()
            .col_expr(object::Column::AddAgainSince, Expr::value(At::try_from(now)?))
            .filter(named(source, part))
            .filter(object::Column::State.eq("live"))
            .filter(object::Column::Kind.is_not_in(alone))
            .filter(object::Column::AddAgainSince.is_null());
        changed += update.exec(&tx.tx).await?.rows_affected;
    }
    Ok(changed)
}

/// Keeps versions in mind that are no longer the ledger's, so that they go when their lock ends.
pub async fn add_spares(tx: &TenantTx, source: SourceId, spares: &[SpareVersion]) -> Result<(), DbError> {
    let rows = spares
        .iter()
        .map(|spare| {
            Ok(spare_version::Model {
                tenant_id: tx.tenant.as_uuid(),
                source_id: source.as_uuid(),
                key: spare.key.clone(),
                version_id: spare.version_id.clone(),
                size_bytes: signed("spare_versions.size_bytes", spare.size_bytes)?,
                locked_until: spare.locked_until.try_into()?,
                deleting: false,
            }
            .into_active_model())
        })
        .collect::<Result<Vec<_>, DbError>>()?;
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [
        spare_version::Column::SourceId,
        spare_version::Column::Key,
        spare_version::Column::VersionId,
    ];
    spare_version::Entity::insert_many(rows)
        .on_conflict(OnConflict::columns(columns).do_nothing().to_owned())
        .exec_without_returning(&tx.tx)
        .await?;
    Ok(())
}

/// Sets a spare version to `deleting`.
pub async fn set_spare_deleting(
    tx: &TenantTx,
    source: SourceId,
    spare: &SpareVersion,
) -> Result<(), DbError> {
    spare_version::Entity::update_many()
        .col_expr(spare_version::Column::Deleting, Expr::value(true))
        .filter(this(source, spare))
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// Spare versions, those first whose lock ends first: those that are being deleted and are unlocked, or all of them.
pub async fn spares(
    tx: &TenantTx,
    source: SourceId,
    deleting_before: Option<Timestamp>,
    limit: Option<u64>,
) -> Result<Vec<SpareVersion>, DbError> {
    let mut only = Condition::all().add(spare_version::Column::SourceId.eq(source.as_uuid()));
    if let Some(unlocked) = deleting_before {
        only = only
            .add(spare_version::Column::Deleting.eq(true))
            .add(spare_version::Column::LockedUntil.lt(At::try_from(unlocked)?));
    }
    let query = spare_version::Entity::find()
        .filter(only)
        .order_by_asc(spare_version::Column::LockedUntil)
        .limit(limit);
    let rows = query.all(&tx.tx).await?;
    rows.into_iter()
        .map(|row| {
            Ok(SpareVersion {
                key: row.key,
                version_id: row.version_id,
                size_bytes: unsigned("spare_versions.size_bytes", row.size_bytes)?,
                locked_until: row.locked_until.try_into()?,
            })
        })
        .collect()
}

/// Notes that S3 shows a longer lock on a spare version.
pub async fn spare_still_locked(
    tx: &TenantTx,
    source: SourceId,
    spare: &SpareVersion,
    until: Timestamp,
) -> Result<(), DbError> {
    spare_version::Entity::update_many()
        .col_expr(
            spare_version::Column::LockedUntil,
            Expr::value(At::try_from(until)?),
        )
        .filter(this(source, spare))
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// Removes the row of a spare version that S3 has deleted.
pub async fn forget_spare(tx: &TenantTx, source: SourceId, spare: &SpareVersion) -> Result<(), DbError> {
    spare_version::Entity::delete_many()
        .filter(this(source, spare))
        .exec(&tx.tx)
        .await?;
    Ok(())
}

fn this(source: SourceId, spare: &SpareVersion) -> Condition {
    Condition::all()
        .add(spare_version::Column::SourceId.eq(source.as_uuid()))
        .add(spare_version::Column::Key.eq(&spare.key))
        .add(spare_version::Column::VersionId.eq(&spare.version_id))
}
