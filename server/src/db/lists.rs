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
    mut query: Select<E>,
    (time, id): (C, C),
    part: Part,
) -> Result<Entries<T>, DbError>
where
    E: EntityTrait,
    E::Model: FromQueryResult + Send + Sync,
    C: ColumnTrait,
    T: TryFrom<E::Model, Error = DbError>,
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
    let goes_on_to_newer = matches!(part.from, Begin::Newer(_));
    query = if goes_on_to_newer {
        query.order_by_asc(time).order_by_asc(id)
    } else {
        query.order_by_desc(time).order_by_desc(id)
    };
    // One more tells whether there are more.
    let rows = query.limit(u64::from(part.limit) + 1).all(&tx.tx).await?;
    let more = rows.len() > part.limit as usize;
    let items = rows.into_iter().take(part.limit as usize).map(T::try_from);
    let mut items: Vec<T> = items.collect::<Result<_, _>>()?;
    if goes_on_to_newer {
        items.reverse();
    }
    Ok(Entries { items, more })
}
