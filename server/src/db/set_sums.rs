//! What the objects come to that the newest snapshot of a large source needs. It is kept between commits to save counting, and
//! follows from the ledger: whoever changes the ledger otherwise than by a commit forgets it.

use repository::object_list::SetSum;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::OnConflict};
use shared::ids::SourceId;

use super::{DbError, TenantTx, entity::set_sum, types::signed};

/// The sum of snapshot `seq`, if that is what is kept.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn find(tx: &TenantTx, source: SourceId, seq: u64) -> Result<Option<SetSum>, DbError> {
    let row = set_sum::Entity::find_by_id(source.as_uuid())
        .filter(set_sum::Column::Seq.eq(signed("set_sums.seq", seq)?))
        .one(&tx.tx)
        .await?;
    // One that this version does not read is counted anew.
    Ok(row.and_then(|row| SetSum::from_bytes(&row.content)))
}

/// Keeps the sum of the newest snapshot.
pub async fn keep(tx: &TenantTx, source: SourceId, seq: u64, sum: &SetSum) -> Result<(), DbError> {
    let row = set_sum::Model {
        source_id: source.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        seq: signed("set_sums.seq", seq)?,
        content: sum.to_bytes(),
    };
    let replace = OnConflict::column(set_sum::Column::SourceId)
        .update_columns([set_sum::Column::Seq, set_sum::Column::Content])
        .to_owned();
    set_sum::Entity::insert(row.into_active_model())
        .on_conflict(replace)
        .exec_without_returning(&tx.tx)
        .await?;
    Ok(())
}

/// Forgets it: the next commit counts everything.
pub async fn forget(tx: &TenantTx, source: SourceId) -> Result<(), DbError> {
    set_sum::Entity::delete_by_id(source.as_uuid())
        .exec(&tx.tx)
        .await?;
    Ok(())
}
