//! The ledger: every object version that Holdfast signed for, what it is needed by, and the lock that S3 confirmed.
//!
//! An object of a source is needed by the snapshots `born ≤ seq < dropped`. A commit writes only what was added
//! and dropped, so that bookkeeping costs churn and not size.

use std::collections::HashMap;

use jiff::Timestamp;
use repository::layout;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Value,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use serde::Serialize;
use shared::{
    api::commit::PackLiveness,
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::{LockMode, ObjectInput, ObjectState, Seq},
};

use super::{
    DbError, TenantTx,
    entity::object,
    types::{At, bytes32, from_text, optional_time, signed, to_json, to_text, unsigned},
};

/// Rows that one statement names, at most: Postgres takes 65,535 parameters.
pub(super) const ROWS_PER_STATEMENT: usize = 1_000;

/// A lock that a HEAD of the version showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedLock {
    /// The version.
    pub version_id: String,
    /// The mode.
    pub mode: LockMode,
    /// The date.
    pub locked_until: Timestamp,
}

/// An object that is about to be signed for.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// Kind, hash and size.
    pub object: ObjectRef,
    /// MD5 of the content.
    pub content_md5: [u8; 16],
    /// The retain-until date that is signed.
    pub signed_until: Timestamp,
}

/// A row of the ledger.
#[derive(Debug, Clone)]
pub struct LedgerObject {
    /// Kind, hash and size.
    pub object: ObjectRef,
    /// MD5 of the content, as S3 verified it at the upload.
    pub content_md5: [u8; 16],
    /// Where it stands.
    pub state: ObjectState,
    /// The latest retain-until date of any address that was signed for it.
    pub signed_until: Timestamp,
    /// When an address was last signed for it.
    pub signed_at: Option<Timestamp>,
    /// What S3 confirmed.
    pub lock: Option<ConfirmedLock>,
    /// When S3 last showed that lock.
    pub confirmed_at: Option<Timestamp>,
    /// S3 no longer has the version: believed after several askings.
    pub missing: bool,
    /// When it was first not found, if it counts as gone.
    pub missing_since: Option<Timestamp>,
    /// It counts as gone, or was not found when it was last asked for.
    pub in_doubt: bool,
    /// The first snapshot that needs it.
    pub born: Option<u64>,
    /// The first snapshot that no longer does.
    pub dropped: Option<u64>,
    /// How much of it the newest snapshot still uses, where that is known.
    pub live_bytes: Option<u64>,
}

impl LedgerObject {
    /// As the planner sees it. What was signed and never seen is locked until the signed date at most, once no run can
    /// send it any more.
    #[must_use]
    pub fn input(&self, open_run: bool) -> ObjectInput {
        let signed = (self.state == ObjectState::Pending && !open_run).then_some(self.signed_until);
        ObjectInput {
            bytes: self.object.size_bytes,
            live_bytes: self.live_bytes.unwrap_or(self.object.size_bytes),
            locked_until: self.lock.as_ref().map(|lock| lock.locked_until).or(signed),
            born: self.born.and_then(Seq::new),
            dropped: self.dropped.and_then(Seq::new),
            state: self.state,
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self, prefix: &str, source: SourceId) -> String {
        match (self.object.kind, self.born) {
            (ObjectKind::Commit, Some(seq)) => layout::commit_key(prefix, source, seq),
            (kind, _) => layout::object_key(prefix, source, kind, &self.object.hash),
        }
    }
}

fn kind_of(tag: i16) -> Result<ObjectKind, DbError> {
    let kind = u8::try_from(tag).ok().and_then(ObjectKind::from_tag);
    kind.ok_or_else(|| DbError::corrupt("objects.kind", tag))
}

impl TryFrom<object::Model> for LedgerObject {
    type Error = DbError;

    fn try_from(row: object::Model) -> Result<Self, DbError> {
        let seq = |seq: Option<i64>| seq.map(|seq| unsigned("objects.born", seq)).transpose();
        let lock = match (row.version_id, row.lock_mode, optional_time(row.locked_until)?) {
            (Some(version_id), Some(mode), Some(locked_until)) => Some(ConfirmedLock {
                version_id,
                mode: from_text("objects.lock_mode", mode)?,
                locked_until,
            }),
            _ => None,
        };
        Ok(Self {
            object: ObjectRef {
                kind: kind_of(row.kind)?,
                hash: ObjectHash::from_bytes(bytes32("objects.hash", &row.hash)?),
                size_bytes: unsigned("objects.size_bytes", row.size_bytes)?,
            },
            content_md5: row
                .content_md5
                .try_into()
                .map_err(|_| DbError::corrupt("objects.content_md5", "not 16 bytes"))?,
            state: from_text("objects.state", row.state)?,
            signed_until: row.signed_until.try_into()?,
            signed_at: optional_time(row.signed_at)?,
            lock,
            confirmed_at: optional_time(row.confirmed_at)?,
            missing: row.missing_since.is_some(),
            missing_since: optional_time(row.missing_since)?,
            in_doubt: row.missing_since.is_some() || row.absent_askings > 0,
            born: seq(row.born)?,
            dropped: seq(row.dropped)?,
            live_bytes: row
                .live_bytes
                .map(|bytes| unsigned("objects.live_bytes", bytes))
                .transpose()?,
        })
    }
}

/// Notes that upload addresses are about to be signed. An object that is pending already gets the new date; one
/// that is live keeps its row.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn sign(
    tx: &TenantTx,
    source: SourceId,
    run: RunId,
    objects: &[NewObject],
    now: Timestamp,
) -> Result<(), DbError> {
    let rows = objects
        .iter()
        .map(|new| {
            Ok(object::Model {
                source_id: source.as_uuid(),
                hash: new.object.hash.as_bytes().to_vec(),
                tenant_id: tx.tenant.as_uuid(),
                kind: i16::from(new.object.kind.tag()),
                size_bytes: signed("objects.size_bytes", new.object.size_bytes)?,
                content_md5: new.content_md5.to_vec(),
                state: to_text(&ObjectState::Pending)?,
                run_id: run.as_uuid(),
                signed_until: new.signed_until.try_into()?,
                signed_at: Some(now.try_into()?),
                version_id: None,
                lock_mode: None,
                locked_until: None,
                confirmed_at: None,
                missing_since: None,
                absent_askings: 0,
                absent_since: None,
                absent_asked_at: None,
                live_bytes: None,
                add_again_since: None,
                born: None,
                dropped: None,
            }
            .into_active_model())
        })
        .collect::<Result<Vec<_>, DbError>>()?;
    if rows.is_empty() {
        return Ok(());
    }
    let renew = OnConflict::columns([object::Column::SourceId, object::Column::Hash])
        .update_columns([
            object::Column::RunId,
            object::Column::SignedAt,
            // What an earlier upload was locked to says nothing of the version that is about to be put.
            object::Column::VersionId,
            object::Column::LockMode,
            object::Column::LockedUntil,
            object::Column::ConfirmedAt,
            object::Column::MissingSince,
            object::Column::AbsentAskings,
            object::Column::AbsentSince,
            object::Column::AbsentAskedAt,
        ])
        // The latest date that was ever signed for it: a version may be locked for so long.
        .value(
            object::Column::SignedUntil,
            Expr::cust(r#"GREATEST("objects"."signed_until", "excluded"."signed_until")"#),
        )
        .action_and_where(Expr::col((object::Entity, object::Column::State)).eq("pending"))
        .to_owned();
    object::Entity::insert_many(rows)
        .on_conflict(renew)
        .exec_without_returning(&tx.tx)
        .await?;
    Ok(())
}

/// What addresses were signed for and S3 has not shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Objects of a source.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of all sources of its agent.
    pub bytes_of_agent: u64,
    /// Bytes of all sources of its tenant.
    pub bytes_of_tenant: u64,
}

/// What was signed after `since`, for a source, its agent and its tenant, and has no confirmed version.
pub async fn unsent(
    tx: &TenantTx,
    source: SourceId,
    agent: AgentId,
    since: Timestamp,
) -> Result<Unsent, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        objects: i64,
        bytes: i64,
        bytes_of_agent: i64,
        bytes_of_tenant: i64,
    }
    let sql = "SELECT count(*) FILTER (WHERE o.source_id = $1) AS objects,
                      COALESCE(sum(o.size_bytes) FILTER (WHERE o.source_id = $1), 0)::bigint AS bytes,
                      COALESCE(sum(o.size_bytes) FILTER (WHERE s.agent_id = $2), 0)::bigint AS bytes_of_agent,
                      COALESCE(sum(o.size_bytes), 0)::bigint AS bytes_of_tenant
               FROM objects o JOIN sources s ON s.id = o.source_id
               WHERE o.state = 'pending' AND o.version_id IS NULL AND o.signed_at > $3";
    let values = [
        source.as_uuid().into(),
        agent.as_uuid().into(),
        At::try_from(since)?.into(),
    ];
    let row: Option<Row> = tx.tx.row(sql, values).await?;
    let Some(row) = row else {
        return Ok(Unsent::default());
    };
    Ok(Unsent {
        objects: unsigned("objects.count", row.objects)?,
        bytes: unsigned("objects.sum", row.bytes)?,
        bytes_of_agent: unsigned("objects.sum", row.bytes_of_agent)?,
        bytes_of_tenant: unsigned("objects.sum", row.bytes_of_tenant)?,
    })
}

/// The objects of a source that were signed for last, after `since`, and have no confirmed version.
pub async fn newest_unsent(
    tx: &TenantTx,
    source: SourceId,
    since: Timestamp,
    limit: u64,
) -> Result<Vec<LedgerObject>, DbError> {
    let query = object::Entity::find()
        .filter(object::Column::SourceId.eq(source.as_uuid()))
        .filter(object::Column::State.eq("pending"))
        .filter(object::Column::VersionId.is_null())
        .filter(object::Column::SignedAt.gt(At::try_from(since)?))
        .order_by_desc(object::Column::SignedAt)
        .limit(limit);
    tx.tx.records(query).await
}

/// Notes the number of the snapshot whose commit record an object is: its key has it, also when it never becomes live. That
/// snapshot needs it and no other.
pub async fn set_number(
    tx: &TenantTx,
    source: SourceId,
    record: ObjectHash,
    seq: u64,
) -> Result<(), DbError> {
    object::Entity::update_many()
        .col_expr(object::Column::Born, Expr::value(signed("objects.born", seq)?))
        .col_expr(
            object::Column::Dropped,
            Expr::value(signed("objects.dropped", seq + 1)?),
        )
        .filter(named(source, &[record]))
        .filter(object::Column::Kind.eq(i16::from(ObjectKind::Commit.tag())))
        .filter(object::Column::Born.is_null())
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// The rows of these objects; those that are unknown are missing from the answer.
pub async fn find(
    tx: &TenantTx,
    source: SourceId,
    hashes: &[ObjectHash],
) -> Result<Vec<LedgerObject>, DbError> {
    let mut found = Vec::with_capacity(hashes.len());
    for part in hashes.chunks(ROWS_PER_STATEMENT) {
        for row in object::Entity::find()
            .filter(named(source, part))
            .all(&tx.tx)
            .await?
        {
            found.push(row.try_into()?);
        }
    }
    Ok(found)
}

/// Keeps a lock that S3 confirmed: what was seen is not missing, whatever was said before.
pub async fn confirm(
    tx: &TenantTx,
    source: SourceId,
    hash: ObjectHash,
    lock: &ConfirmedLock,
    now: Timestamp,
) -> Result<(), DbError> {
    object::Entity::update_many()
        .col_expr(object::Column::VersionId, Expr::value(lock.version_id.clone()))
        .col_expr(object::Column::LockMode, Expr::value(to_text(&lock.mode)?))
        .col_expr(
            object::Column::LockedUntil,
            Expr::value(At::try_from(lock.locked_until)?),
        )
        .col_expr(object::Column::ConfirmedAt, Expr::value(At::try_from(now)?))
        .col_expr(object::Column::MissingSince, Expr::value(None::<At>))
        .col_expr(object::Column::AbsentAskings, Expr::value(0))
        .col_expr(object::Column::AbsentSince, Expr::value(None::<At>))
        .col_expr(object::Column::AbsentAskedAt, Expr::value(None::<At>))
        // What was extended is reused again.
        .col_expr(object::Column::AddAgainSince, Expr::value(None::<At>))
        .filter(named(source, &[hash]))
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// Makes confirmed objects that are not missing needed from snapshot `seq` on. An object that was dropped and comes back keeps its
/// `born` and loses its `dropped`: more is kept, never less. Gives the number of rows changed.
pub async fn make_live(
    tx: &TenantTx,
    source: SourceId,
    hashes: &[ObjectHash],
    seq: u64,
) -> Result<u64, DbError> {
    let seq = signed("objects.born", seq)?;
    let mut changed = 0;
    for part in hashes.chunks(ROWS_PER_STATEMENT) {
        let born = Expr::col(object::Column::Born).if_null(seq);
        let update = object::Entity::update_many()
            .col_expr(object::Column::State, Expr::value(to_text(&ObjectState::Live)?))
            .col_expr(object::Column::Born, born)
            .col_expr(object::Column::Dropped, Expr::value(None::<i64>))
            .filter(named(source, part))
            .filter(object::Column::State.is_in(["pending", "live"]))
            .filter(object::Column::LockedUntil.is_not_null())
            .filter(object::Column::MissingSince.is_null());
        changed += update.exec(&tx.tx).await?.rows_affected;
    }
    Ok(changed)
}

/// Makes live objects no longer needed from snapshot `seq` on. Gives the number of rows changed.
pub async fn drop_from(
    tx: &TenantTx,
    source: SourceId,
    hashes: &[ObjectHash],
    seq: u64,
) -> Result<u64, DbError> {
    let seq = signed("objects.dropped", seq)?;
    let mut changed = 0;
    for part in hashes.chunks(ROWS_PER_STATEMENT) {
        let update = object::Entity::update_many()
            .col_expr(object::Column::Dropped, Expr::value(seq))
            .filter(named(source, part))
            .filter(object::Column::State.eq("live"))
            .filter(object::Column::Dropped.is_null())
            .filter(object::Column::Born.lt(seq));
        changed += update.exec(&tx.tx).await?.rows_affected;
    }
    Ok(changed)
}

/// Forgets how much of each pack the newest snapshot still uses: the whole, until [`set_live_bytes`] says less.
pub async fn clear_live_bytes(tx: &TenantTx, source: SourceId) -> Result<(), DbError> {
    object::Entity::update_many()
        .col_expr(object::Column::LiveBytes, Expr::value(None::<i64>))
        .filter(object::Column::SourceId.eq(source.as_uuid()))
        .filter(object::Column::State.eq("live"))
        .filter(object::Column::LiveBytes.is_not_null())
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// Keeps how much of these packs the newest snapshot still uses.
pub async fn set_live_bytes(tx: &TenantTx, source: SourceId, packs: &[PackLiveness]) -> Result<(), DbError> {
    #[derive(Serialize)]
    struct Row {
        hash: String,
        live_bytes: u64,
    }
    let rows: Vec<Row> = packs
        .iter()
        .map(|pack| Row {
            hash: pack.hash.to_string(),
            live_bytes: pack.live_bytes,
        })
        .collect();
    // Numbers of an agent: one beyond the pack's size, or beyond Postgres' range, is as good as the size.
    let sql = "WITH worn AS MATERIALIZED (
                   SELECT decode(hash, 'hex') AS hash, live_bytes
                   FROM jsonb_to_recordset($2::jsonb) AS w(hash text, live_bytes numeric)
               )
               UPDATE objects o SET live_bytes = LEAST(w.live_bytes, o.size_bytes)::bigint FROM worn w
               WHERE o.source_id = $1 AND o.hash = w.hash AND o.state = 'live'";
    let values: [Value; 2] = [source.as_uuid().into(), to_json(&rows)?.into()];
    tx.tx.run(sql, values).await?;
    Ok(())
}

/// The commit record of snapshot `seq`.
pub async fn record(tx: &TenantTx, source: SourceId, seq: u64) -> Result<Option<ObjectRef>, DbError> {
    let query = object::Entity::find()
        .filter(needed_by(source, seq)?)
        .filter(object::Column::Kind.eq(i16::from(ObjectKind::Commit.tag())));
    let row = query.one(&tx.tx).await?;
    row.map(|row| LedgerObject::try_from(row).map(|row| row.object))
        .transpose()
}

/// Whether what counts as gone is among the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is.
    Counts,
    /// It is not.
    LeftOut,
}

/// Objects that snapshot `seq` needs and whose confirmed lock ends before `need`, at most `limit` of them.
pub async fn short_of(
    tx: &TenantTx,
    source: SourceId,
    seq: u64,
    need: Timestamp,
    (missing, limit): (Missing, u64),
) -> Result<Vec<LedgerObject>, DbError> {
    let mut only = needed_by(source, seq)?;
    if missing == Missing::LeftOut {
        only = only.add(object::Column::MissingSince.is_null());
    }
    let query = object::Entity::find()
        .filter(only)
        .filter(
            // No lock is known of what a rebuild of the ledger did not find in the bucket.
            Condition::any()
                .add(object::Column::LockedUntil.lt(At::try_from(need)?))
                .add(object::Column::LockedUntil.is_null()),
        )
        .limit(limit);
    tx.tx.records(query).await
}

/// What the newest snapshot shares with the next and whose content must enter the next backup again: S3 no longer has it, or
/// adding again is cheaper than refreshing.
pub async fn not_reused(tx: &TenantTx, source: SourceId) -> Result<Vec<ObjectHash>, DbError> {
    let alone = [ObjectKind::Manifest, ObjectKind::Commit].map(|kind| i16::from(kind.tag()));
    let query = object::Entity::find()
        .filter(object::Column::SourceId.eq(source.as_uuid()))
        .filter(object::Column::State.eq("live"))
        .filter(object::Column::Dropped.is_null())
        .filter(
            Condition::any()
                .add(object::Column::MissingSince.is_not_null())
                .add(object::Column::AddAgainSince.is_not_null()),
        )
        .filter(object::Column::Kind.is_not_in(alone));
    let rows = query.all(&tx.tx).await?;
    rows.into_iter()
        .map(|row| LedgerObject::try_from(row).map(|row| row.object.hash))
        .collect()
}

/// Those of these objects that snapshot `seq` needs.
pub async fn needed_among(
    tx: &TenantTx,
    source: SourceId,
    seq: u64,
    hashes: &[ObjectHash],
) -> Result<Vec<LedgerObject>, DbError> {
    let mut found = Vec::with_capacity(hashes.len());
    for part in hashes.chunks(ROWS_PER_STATEMENT) {
        let query = object::Entity::find()
            .filter(needed_by(source, seq)?)
            .filter(named(source, part));
        for row in query.all(&tx.tx).await? {
            found.push(row.try_into()?);
        }
    }
    Ok(found)
}

/// Every object of a source.
pub async fn all(tx: &TenantTx, source: SourceId) -> Result<Vec<LedgerObject>, DbError> {
    let query = object::Entity::find().filter(object::Column::SourceId.eq(source.as_uuid()));
    tx.tx.records(query).await
}

/// How many rows a source has of each kind.
pub async fn counts(tx: &TenantTx, source: SourceId) -> Result<HashMap<ObjectKind, u64>, DbError> {
    let query = object::Entity::find()
        .select_only()
        .column(object::Column::Kind)
        .column_as(object::Column::Hash.count(), "count")
        .filter(object::Column::SourceId.eq(source.as_uuid()))
        .group_by(object::Column::Kind);
    let rows: Vec<(i16, i64)> = query.into_tuple().all(&tx.tx).await?;
    rows.into_iter()
        .map(|(kind, count)| Ok((kind_of(kind)?, unsigned("objects.count", count)?)))
        .collect()
}

/// How many rows a source has.
pub async fn count(tx: &TenantTx, source: SourceId) -> Result<u64, DbError> {
    let query = object::Entity::find().filter(object::Column::SourceId.eq(source.as_uuid()));
    Ok(query.count(&tx.tx).await?)
}

pub(super) fn named(source: SourceId, hashes: &[ObjectHash]) -> Condition {
    Condition::all()
        .add(object::Column::SourceId.eq(source.as_uuid()))
        .add(object::Column::Hash.is_in(hashes.iter().map(|hash| hash.as_bytes().to_vec())))
}

pub(super) fn needed_by(source: SourceId, seq: u64) -> Result<Condition, DbError> {
    let seq = signed("objects.born", seq)?;
    let until = Condition::any()
        .add(object::Column::Dropped.is_null())
        .add(object::Column::Dropped.gt(seq));
    Ok(Condition::all()
        .add(object::Column::SourceId.eq(source.as_uuid()))
        .add(object::Column::State.eq("live"))
        .add(object::Column::Born.lte(seq))
        .add(until))
}
