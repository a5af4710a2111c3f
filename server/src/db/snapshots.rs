//! Snapshots.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Query,
};
use shared::{
    anomaly::{Anomaly, Judgement},
    api::{
        agent::{PathTotals, SnapshotTotals},
        view::SnapshotState,
    },
    ids::{AgentId, RunId, SnapshotId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::{self, LockMode, Period, Seq, SnapshotInput, Soundness, TieredSnapshot},
};
use uuid::Uuid;

use super::{
    DbError, TenantTx,
    entity::{snapshot, snapshot_paths, source},
    insert,
    ledger::ROWS_PER_STATEMENT,
    types::{At, bytes32, from_json, from_text, optional_time, signed, to_json, to_text, unsigned},
};

/// One point in time of one source.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The snapshot.
    pub id: SnapshotId,
    /// The source.
    pub source_id: SourceId,
    /// The run that made it.
    pub run_id: RunId,
    /// Its number in the source.
    pub seq: u64,
    /// Where it stands.
    pub state: SnapshotState,
    /// When the commit was durable.
    pub received_at: Timestamp,
    /// The promise.
    pub protected_until: Timestamp,
    /// The lock mode.
    pub mode: LockMode,
    /// Its manifest.
    pub manifest: ObjectRef,
    /// Totals.
    pub totals: SnapshotTotals,
    /// The tiers that it was given at its commit.
    pub tiers: Vec<Period>,
    /// It has no warnings.
    pub clean: bool,
    /// No anomaly was found in it, or a person decided that it is good: it takes tiers, and counts as last-good.
    pub sound: bool,
    /// What of it differs from the newest sound snapshot before.
    pub anomalies: Vec<Anomaly>,
    /// What a person decided of it.
    pub judgement: Option<Judgement>,
    /// When.
    pub judged_at: Option<Timestamp>,
    /// When it was given up.
    pub expired_at: Option<Timestamp>,
}

impl Snapshot {
    /// Whether it may stand for the source's data.
    #[must_use]
    pub const fn soundness(&self) -> Soundness {
        match (self.sound, self.judgement) {
            (true, _) => Soundness::Sound,
            (false, Some(_)) => Soundness::Bad,
            (false, None) => Soundness::Undecided,
        }
    }

    /// A complete or expired snapshot, as the planner sees it.
    ///
    /// # Errors
    /// When its number is none.
    pub fn input(&self, is_held: bool) -> Result<SnapshotInput, DbError> {
        Ok(SnapshotInput {
            seq: Seq::new(self.seq).ok_or_else(|| DbError::corrupt("snapshots.seq", self.seq))?,
            received_at: self.received_at,
            state: match self.state {
                SnapshotState::Expired => retention::SnapshotState::Expired,
                _ => retention::SnapshotState::Complete,
            },
            tiers: self.tiers.clone(),
            protected_until: Some(self.protected_until),
            pinned: is_held,
            soundness: self.soundness(),
        })
    }
}

impl TryFrom<snapshot::Model> for Snapshot {
    type Error = DbError;

    fn try_from(row: snapshot::Model) -> Result<Self, DbError> {
        Ok(Self {
            id: SnapshotId::from_uuid(row.id),
            source_id: SourceId::from_uuid(row.source_id),
            run_id: RunId::from_uuid(row.run_id),
            seq: unsigned("snapshots.seq", row.seq)?,
            state: from_text("snapshots.state", row.state)?,
            received_at: row.received_at.try_into()?,
            protected_until: row.protected_until.try_into()?,
            mode: from_text("snapshots.mode", row.mode)?,
            manifest: ObjectRef {
                kind: ObjectKind::Manifest,
                hash: ObjectHash::from_bytes(bytes32("snapshots.manifest_hash", &row.manifest_hash)?),
                size_bytes: unsigned("snapshots.manifest_bytes", row.manifest_bytes)?,
            },
            totals: from_json("snapshots.totals", row.totals)?,
            tiers: from_json("snapshots.tiers", row.tiers)?,
            clean: row.clean,
            sound: row.sound,
            anomalies: from_json("snapshots.anomalies", row.anomalies)?,
            judgement: row
                .judgement
                .map(|text| from_text("snapshots.judgement", text))
                .transpose()?,
            judged_at: optional_time(row.judged_at)?,
            expired_at: optional_time(row.expired_at)?,
        })
    }
}

/// Adds a snapshot.
///
/// # Errors
/// When the number is taken ([`DbError::is_duplicate`]) or the database does not answer.
pub async fn add(tx: &TenantTx, snapshot: &Snapshot) -> Result<(), DbError> {
    let row = snapshot::Model {
        id: snapshot.id.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        source_id: snapshot.source_id.as_uuid(),
        run_id: snapshot.run_id.as_uuid(),
        seq: signed("snapshots.seq", snapshot.seq)?,
        state: to_text(&snapshot.state)?,
        received_at: snapshot.received_at.try_into()?,
        protected_until: snapshot.protected_until.try_into()?,
        mode: to_text(&snapshot.mode)?,
        manifest_hash: snapshot.manifest.hash.as_bytes().to_vec(),
        manifest_bytes: signed("snapshots.manifest_bytes", snapshot.manifest.size_bytes)?,
        totals: to_json(&snapshot.totals)?,
        tiers: to_json(&snapshot.tiers)?,
        clean: snapshot.clean,
        sound: snapshot.sound,
        anomalies: to_json(&snapshot.anomalies)?,
        judgement: snapshot.judgement.as_ref().map(to_text).transpose()?,
        judged_at: snapshot.judged_at.map(TryInto::try_into).transpose()?,
        expired_at: snapshot.expired_at.map(TryInto::try_into).transpose()?,
    };
    insert(&tx.tx, row).await
}

/// One snapshot.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn find(tx: &TenantTx, id: SnapshotId) -> Result<Option<Snapshot>, DbError> {
    tx.tx.record(snapshot::Entity::find_by_id(id.as_uuid())).await
}

/// The snapshot of a number.
pub async fn by_seq(tx: &TenantTx, source: SourceId, seq: u64) -> Result<Option<Snapshot>, DbError> {
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::Seq.eq(signed("snapshots.seq", seq)?));
    tx.tx.record(query).await
}

/// Every snapshot of a source that is complete or has expired, by number.
pub async fn of_source(tx: &TenantTx, source: SourceId) -> Result<Vec<Snapshot>, DbError> {
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::State.is_in(["complete", "expired"]))
        .order_by_asc(snapshot::Column::Seq);
    tx.tx.records(query).await
}

/// Every broken snapshot of a source, by number.
pub async fn broken(tx: &TenantTx, source: SourceId) -> Result<Vec<Snapshot>, DbError> {
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::State.eq("broken"))
        .order_by_asc(snapshot::Column::Seq);
    tx.tx.records(query).await
}

/// Those that are complete or have expired, carry a tier and were received at `since` or later, but the one `except`.
pub async fn tiered_since(
    tx: &TenantTx,
    source: SourceId,
    except: Option<SnapshotId>,
    since: Timestamp,
) -> Result<Vec<TieredSnapshot>, DbError> {
    let mut query = snapshot::Entity::find()
        .select_only()
        .columns([
            snapshot::Column::ReceivedAt,
            snapshot::Column::Tiers,
            snapshot::Column::Clean,
            snapshot::Column::Sound,
        ])
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::State.is_in(["complete", "expired"]))
        .filter(snapshot::Column::ReceivedAt.gte(At::try_from(since)?))
        .filter(snapshot::Column::Tiers.ne(to_json(&Vec::<Period>::new())?));
    if let Some(except) = except {
        query = query.filter(snapshot::Column::Id.ne(except.as_uuid()));
    }
    let rows: Vec<(At, sea_orm::JsonValue, bool, bool)> = query.into_tuple().all(&tx.tx).await?;
    let tiered = |(received_at, tiers, clean, sound): (At, _, _, _)| {
        Ok(TieredSnapshot {
            received_at: received_at.try_into()?,
            tiers: from_json("snapshots.tiers", tiers)?,
            clean,
            sound,
        })
    };
    rows.into_iter().map(tiered).collect()
}

/// The newest complete snapshot of a source.
pub async fn newest_complete(tx: &TenantTx, source: SourceId) -> Result<Option<Snapshot>, DbError> {
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::State.eq("complete"))
        .order_by_desc(snapshot::Column::Seq);
    tx.tx.record(query).await
}

/// Complete snapshots after number `seq` whose data may be there when some of that one's is lost: the newest, then those that
/// were received after `since`, the earliest first; at most `limit`.
pub async fn later(
    tx: &TenantTx,
    source: SourceId,
    seq: u64,
    since: Option<Timestamp>,
    limit: u64,
) -> Result<Vec<Snapshot>, DbError> {
    let newest = newest_complete(tx, source).await?;
    let Some(newest) = newest.filter(|newest| newest.seq > seq) else {
        return Ok(Vec::new());
    };
    let mut query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::State.eq("complete"))
        .filter(snapshot::Column::Seq.gt(signed("snapshots.seq", seq)?))
        .filter(snapshot::Column::Seq.lt(signed("snapshots.seq", newest.seq)?))
        .order_by_asc(snapshot::Column::Seq)
        .limit(limit.saturating_sub(1));
    if let Some(since) = since {
        query = query.filter(snapshot::Column::ReceivedAt.gte(At::try_from(since)?));
    }
    let mut later = vec![newest];
    for row in query.all(&tx.tx).await? {
        later.push(row.try_into()?);
    }
    Ok(later)
}

/// The newest complete snapshot of a source that is sound: what the next one is compared with.
pub async fn newest_sound(tx: &TenantTx, source: SourceId) -> Result<Option<Snapshot>, DbError> {
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::State.eq("complete"))
        .filter(snapshot::Column::Sound.eq(true))
        .order_by_desc(snapshot::Column::Seq);
    tx.tx.record(query).await
}

/// What lay below each path of the source; empty when the agent did not tell.
pub async fn paths(tx: &TenantTx, id: SnapshotId) -> Result<Vec<(String, PathTotals)>, DbError> {
    let row = snapshot_paths::Entity::find_by_id(id.as_uuid())
        .one(&tx.tx)
        .await?;
    row.map_or(Ok(Vec::new()), |row| from_json("snapshot_paths.paths", row.paths))
}

/// Keeps what lay below each path of the source.
pub async fn add_paths(tx: &TenantTx, id: SnapshotId, paths: &[(String, PathTotals)]) -> Result<(), DbError> {
    let row = snapshot_paths::Model {
        snapshot_id: id.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        paths: to_json(&paths)?,
    };
    insert(&tx.tx, row).await
}

/// Keeps what a person decided of a snapshot, and the tiers that it has from then on.
pub async fn judge(
    tx: &TenantTx,
    id: SnapshotId,
    judgement: Judgement,
    tiers: &[Period],
    now: Timestamp,
) -> Result<(), DbError> {
    let change = snapshot::ActiveModel {
        id: Set(id.as_uuid()),
        sound: Set(judgement == Judgement::Good),
        judgement: Set(Some(to_text(&judgement)?)),
        judged_at: Set(Some(now.try_into()?)),
        tiers: Set(to_json(&tiers)?),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// Keeps the tiers of a snapshot.
pub async fn set_tiers(tx: &TenantTx, id: SnapshotId, tiers: &[Period]) -> Result<(), DbError> {
    let change = snapshot::ActiveModel {
        id: Set(id.as_uuid()),
        tiers: Set(to_json(&tiers)?),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// What the next run of a source builds on: the newest snapshot that has its number, complete or broken.
pub async fn parent(tx: &TenantTx, source: SourceId) -> Result<Option<Snapshot>, DbError> {
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::State.is_in(["complete", "broken"]))
        .order_by_desc(snapshot::Column::Seq);
    tx.tx.record(query).await
}

/// The complete snapshots of one agent's sources, newest first.
pub async fn of_agent(tx: &TenantTx, agent: AgentId) -> Result<Vec<Snapshot>, DbError> {
    let sources = Query::select()
        .column(source::Column::Id)
        .from(source::Entity)
        .and_where(source::Column::AgentId.eq(agent.as_uuid()))
        .to_owned();
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.in_subquery(sources))
        .filter(snapshot::Column::State.eq("complete"))
        .order_by_desc(snapshot::Column::ReceivedAt);
    tx.tx.records(query).await
}

/// How many of these snapshots each source has.
pub async fn count_by_source(
    tx: &TenantTx,
    snapshots: impl IntoIterator<Item = SnapshotId>,
) -> Result<HashMap<SourceId, u64>, DbError> {
    let ids: Vec<Uuid> = snapshots.into_iter().map(SnapshotId::as_uuid).collect();
    let mut counts = HashMap::new();
    for part in ids.chunks(ROWS_PER_STATEMENT) {
        let query = snapshot::Entity::find()
            .select_only()
            .column(snapshot::Column::SourceId)
            .filter(snapshot::Column::Id.is_in(part.iter().copied()));
        for source in query.into_tuple::<Uuid>().all(&tx.tx).await? {
            *counts.entry(SourceId::from_uuid(source)).or_default() += 1;
        }
    }
    Ok(counts)
}

/// How many complete snapshots the tenant has.
pub async fn count_complete(tx: &TenantTx) -> Result<u64, DbError> {
    Ok(snapshot::Entity::find()
        .filter(snapshot::Column::State.eq("complete"))
        .count(&tx.tx)
        .await?)
}

/// Keeps a longer promise. The caller has confirmed every lock.
pub async fn promote(tx: &TenantTx, id: SnapshotId, protected_until: Timestamp) -> Result<(), DbError> {
    let change = snapshot::ActiveModel {
        id: Set(id.as_uuid()),
        protected_until: Set(protected_until.try_into()?),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// Gives a snapshot up: final.
pub async fn expire(tx: &TenantTx, id: SnapshotId, now: Timestamp) -> Result<(), DbError> {
    let change = snapshot::ActiveModel {
        id: Set(id.as_uuid()),
        state: Set(to_text(&SnapshotState::Expired)?),
        expired_at: Set(Some(now.try_into()?)),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    // Nothing is compared with it any more.
    snapshot_paths::Entity::delete_by_id(id.as_uuid())
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// Ends a numbered snapshot that lost something before it was complete: nothing was promised.
pub async fn set_broken(tx: &TenantTx, id: SnapshotId) -> Result<(), DbError> {
    let change = snapshot::ActiveModel {
        id: Set(id.as_uuid()),
        state: Set(to_text(&SnapshotState::Broken)?),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// Makes a snapshot complete. The caller has confirmed every lock.
pub async fn complete(tx: &TenantTx, id: SnapshotId) -> Result<(), DbError> {
    let change = snapshot::ActiveModel {
        id: Set(id.as_uuid()),
        state: Set(to_text(&SnapshotState::Complete)?),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}
