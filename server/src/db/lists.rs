//! Pages of lists that grow, by key and not by offset: each begins behind the entry that the page before ended with.

use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::Query,
};
use shared::{api::list::Place, ids::SourceId};

use super::{
    DbError, TenantTx,
    entity::{restore, run, snapshot},
    restores::Restore,
    runs::Run,
    snapshots::Snapshot,
    types::At,
};

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
pub enum Begin {
    /// With the newest.
    Newest,
    /// Behind this place, going on to older ones.
    Older(Place),
    /// Behind this place, going on to newer ones.
    Newer(Place),
}

/// What a page has.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Only of this source.
    pub source: Option<SourceId>,
    /// Not before.
    pub begin: Option<Timestamp>,
    /// Before.
    pub end: Option<Timestamp>,
    /// Where it begins.
    pub from: Begin,
    /// Entries at most.
    pub limit: u32,
}

/// Entries, newest first, and whether more lie in the direction in which they were read.
#[derive(Debug, Clone)]
pub struct Entries<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

/// Snapshots by the time at which they were received; of those that have expired none unless `expired`.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn snapshots(tx: &TenantTx, part: Part, expired: bool) -> Result<Entries<Snapshot>, DbError> {
    use snapshot::Column;
    let mut query = snapshot::Entity::find();
    if let Some(source) = part.source {
        query = query.filter(Column::SourceId.eq(source.as_uuid()));
    }
    if !expired {
        query = query.filter(Column::State.ne("expired"));
    }
    entries(tx, query, (Column::ReceivedAt, Column::Id), part).await
}

/// Runs by the time at which they were asked for or due.
pub async fn runs(tx: &TenantTx, part: Part) -> Result<Entries<Run>, DbError> {
    use run::Column;
    let mut query = run::Entity::find();
    if let Some(source) = part.source {
        query = query.filter(Column::SourceId.eq(source.as_uuid()));
    }
    entries(tx, query, (Column::CreatedAt, Column::Id), part).await
}

/// Restores by the time at which they were allowed.
pub async fn restores(tx: &TenantTx, part: Part) -> Result<Entries<Restore>, DbError> {
    use restore::Column;
    let mut query = restore::Entity::find();
    if let Some(source) = part.source {
        let snapshots = Query::select()
            .column(snapshot::Column::Id)
            .from(snapshot::Entity)
            .and_where(snapshot::Column::SourceId.eq(source.as_uuid()))
            .to_owned();
        query = query.filter(Column::SnapshotId.in_subquery(snapshots));
    }
    entries(tx, query, (Column::CreatedAt, Column::Id), part).await
}

async fn entries<E, C, T>(
    tx: &TenantTx,
    query: Select<E>,
    columns: (C, C),
    part: Part,
) -> Result<Entries<T>, DbError>
where
    E: EntityTrait,
    E::Model: FromQueryResult + Send + Sync,
    C: ColumnTrait,
    T: TryFrom<E::Model, Error = DbError>,
{
    let rows = page(query, columns, part)?.all(&tx.tx).await?;
    let more = rows.len() > part.limit as usize;
    let items = rows.into_iter().take(part.limit as usize).map(T::try_from);
    let mut items: Vec<T> = items.collect::<Result<_, _>>()?;
    if matches!(part.from, Begin::Newer(_)) {
        items.reverse();
    }
    Ok(Entries { items, more })
}

/// The query of one page, and of one entry more, which tells whether there are more.
fn page<E, C>(mut query: Select<E>, (time, id): (C, C), part: Part) -> Result<Select<E>, DbError>
where
    E: EntityTrait,
    C: ColumnTrait,
{
    if let Some(begin) = part.begin {
        query = query.filter(time.gte(At::try_from(begin)?));
    }
    if let Some(end) = part.end {
        query = query.filter(time.lt(At::try_from(end)?));
    }
    // The first condition alone is enough for an index over the time; the second takes away what has the same time.
    query = match part.from {
        Begin::Newest => query,
        Begin::Older(place) => {
            let at = At::try_from(place.at)?;
            let behind = Condition::any().add(time.lt(at)).add(id.lt(place.id));
            query.filter(time.lte(at)).filter(behind)
        }
        Begin::Newer(place) => {
            let at = At::try_from(place.at)?;
            let behind = Condition::any().add(time.gt(at)).add(id.gt(place.id));
            query.filter(time.gte(at)).filter(behind)
        }
    };
    query = if matches!(part.from, Begin::Newer(_)) {
        query.order_by_asc(time).order_by_asc(id)
    } else {
        query.order_by_desc(time).order_by_desc(id)
    };
    Ok(query.limit(u64::from(part.limit) + 1))
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, DbBackend, QueryTrait, Statement, TransactionTrait};
    use uuid::Uuid;

    use super::*;
    use crate::db::scratch;

    /// Lists of one source walk an index in their order: nothing of other sources is read, and nothing is sorted.
    #[tokio::test]
    async fn lists_of_one_source_go_by_an_index() {
        let (_, owner) = scratch::database(1).await;
        let of = Uuid::from_u128(1);
        let place = Place {
            at: Timestamp::UNIX_EPOCH,
            id: of,
        };
        for from in [Begin::Newest, Begin::Older(place), Begin::Newer(place)] {
            let part = Part {
                source: None,
                begin: None,
                end: None,
                from,
                limit: 100,
            };
            let runs = run::Entity::find().filter(run::Column::SourceId.eq(of));
            let runs = page(runs, (run::Column::CreatedAt, run::Column::Id), part).unwrap();
            let snapshots = snapshot::Entity::find().filter(snapshot::Column::SourceId.eq(of));
            let snapshots = page(
                snapshots,
                (snapshot::Column::ReceivedAt, snapshot::Column::Id),
                part,
            )
            .unwrap();
            let restores = restore::Entity::find().filter(restore::Column::SnapshotId.eq(of));
            let restores = page(restores, (restore::Column::CreatedAt, restore::Column::Id), part).unwrap();
            for (query, index) in [
                (runs.build(DbBackend::Postgres), "runs_by_source"),
                (snapshots.build(DbBackend::Postgres), "snapshots_by_source"),
                (restores.build(DbBackend::Postgres), "restores_by_snapshot"),
            ] {
                let tx = owner.begin().await.unwrap();
                // The tables are empty: what is told is what is possible, not what is cheapest.
                tx.execute_unprepared("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
                    .await
                    .unwrap();
                let explain = Statement::from_string(DbBackend::Postgres, format!("EXPLAIN {query}"));
                let lines = tx.query_all_raw(explain).await.unwrap();
                let lines = lines
                    .iter()
                    .map(|line| line.try_get::<String>("", "QUERY PLAN").unwrap());
                let plan = lines.collect::<Vec<_>>().join("\n");
                assert!(plan.contains(index) && !plan.contains("Sort"), "{from:?}: {plan}");
            }
        }
    }
}
