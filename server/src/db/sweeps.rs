//! What sweeps did.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder,
};
use shared::{api::view::SweepReport, ids::SourceId};

use super::{
    DbError, TenantTx,
    entity::sweep,
    types::{from_json, to_json},
};

/// One sweep of one source.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The source.
    pub source_id: SourceId,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it did.
    pub report: SweepReport,
}

impl TryFrom<sweep::Model> for Sweep {
    type Error = DbError;

    fn try_from(row: sweep::Model) -> Result<Self, DbError> {
        Ok(Self {
            source_id: SourceId::from_uuid(row.source_id),
            began_at: row.began_at.try_into()?,
            ended_at: row.ended_at.try_into()?,
            report: from_json("sweeps.report", row.report)?,
        })
    }
}

/// Keeps a sweep. The one before it goes when neither changed anything and both say the same of what was refused: a quiet
/// year, or a day without the store, is one row.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn add(tx: &TenantTx, sweep: &Sweep) -> Result<(), DbError> {
    let before = sweep::Entity::find()
        .filter(sweep::Column::SourceId.eq(sweep.source_id.as_uuid()))
        .order_by_desc(sweep::Column::Id)
        .one(&tx.tx)
        .await?;
    if let Some(row) = before {
        let id = row.id;
        let before: Sweep = row.try_into()?;
        let same = !before.report.changed_anything()
            && !sweep.report.changed_anything()
            && before.report.refused == sweep.report.refused;
        if same {
            sweep::Entity::delete_by_id(id).exec(&tx.tx).await?;
        }
    }
    let row = sweep::ActiveModel {
        id: NotSet,
        tenant_id: Set(tx.tenant.as_uuid()),
        source_id: Set(sweep.source_id.as_uuid()),
        began_at: Set(sweep.began_at.try_into()?),
        ended_at: Set(sweep.ended_at.try_into()?),
        report: Set(to_json(&sweep.report)?),
    };
    sweep::Entity::insert(row).exec_without_returning(&tx.tx).await?;
    Ok(())
}

/// The newest sweep of each source of the tenant.
pub async fn newest(tx: &TenantTx) -> Result<HashMap<SourceId, Sweep>, DbError> {
    let sql = "SELECT DISTINCT ON (source_id) * FROM sweeps ORDER BY source_id, id DESC";
    let rows: Vec<sweep::Model> = tx.tx.rows(sql, []).await?;
    rows.into_iter()
        .map(|row| Sweep::try_from(row).map(|sweep| (sweep.source_id, sweep)))
        .collect()
}

/// The sweeps of a source, newest first.
pub async fn of_source(tx: &TenantTx, source: SourceId) -> Result<Vec<Sweep>, DbError> {
    let query = sweep::Entity::find()
        .filter(sweep::Column::SourceId.eq(source.as_uuid()))
        .order_by_desc(sweep::Column::Id);
    tx.tx.records(query).await
}
