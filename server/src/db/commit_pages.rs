//! What runs commit: the small request, and the pages of the change. Both are kept while the run may still be committed or is
//! being confirmed, and no longer.

use repository::hash;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use shared::{
    api::{
        agent::CommitRequest,
        commit::{CommitPage, PageTotals, Section},
    },
    ids::{RunId, SourceId},
    object::ObjectHash,
};
use uuid::Uuid;

use super::{
    DbError, TenantTx,
    entity::{commit_page, commit_request},
    insert,
    types::{bytes32, from_json, to_json},
};

/// A page, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRow {
    /// Its number.
    pub number: u32,
    /// What it holds.
    pub section: Section,
    /// How many entries.
    pub entries: u64,
    /// The last entry.
    pub last: ObjectHash,
    /// Hash of its stored form.
    pub digest: ObjectHash,
}

#[derive(FromQueryResult)]
struct Row {
    number: i32,
    section: i16,
    entries: i32,
    last_hash: Vec<u8>,
    digest: Vec<u8>,
}

impl TryFrom<Row> for PageRow {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let count = |what, value: i32| u32::try_from(value).map_err(|_| DbError::corrupt(what, value));
        let section = u8::try_from(row.section).ok().and_then(Section::from_tag);
        Ok(Self {
            number: count("commit_pages.number", row.number)?,
            section: section.ok_or_else(|| DbError::corrupt("commit_pages.section", row.section))?,
            entries: count("commit_pages.entries", row.entries)?.into(),
            last: ObjectHash::from_bytes(bytes32("commit_pages.last_hash", &row.last_hash)?),
            digest: ObjectHash::from_bytes(bytes32("commit_pages.digest", &row.digest)?),
        })
    }
}

/// Keeps a page. The run's row is locked, so that the number is free.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn add(tx: &TenantTx, run: RunId, number: u32, page: &CommitPage) -> Result<(), DbError> {
    let content = page.to_bytes();
    let last = page.hashes().pop();
    let last = last.ok_or_else(|| DbError::corrupt("commit_pages.entries", "an empty page"))?;
    let number = signed(number)?;
    let row = commit_page::Model {
        run_id: run.as_uuid(),
        number,
        tenant_id: tx.tenant.as_uuid(),
        section: i16::from(page.section().tag()),
        entries: signed(page.len())?,
        last_hash: last.as_bytes().to_vec(),
        digest: hash(&content).as_bytes().to_vec(),
        content,
    };
    insert(&tx.tx, row).await
}

fn signed<T: TryInto<i32> + Copy + ToString>(value: T) -> Result<i32, DbError> {
    value
        .try_into()
        .map_err(|_| DbError::corrupt("commit_pages", value))
}

/// The pages of a run, in order, without their contents.
pub async fn list(tx: &TenantTx, run: RunId) -> Result<Vec<PageRow>, DbError> {
    let query = commit_page::Entity::find()
        .select_only()
        .columns([
            commit_page::Column::Number,
            commit_page::Column::Section,
            commit_page::Column::Entries,
            commit_page::Column::LastHash,
            commit_page::Column::Digest,
        ])
        .filter(commit_page::Column::RunId.eq(run.as_uuid()))
        .order_by_asc(commit_page::Column::Number);
    let rows = query.into_model::<Row>().all(&tx.tx).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// What the pages of a run come to.
pub async fn totals(tx: &TenantTx, run: RunId) -> Result<PageTotals, DbError> {
    let pages = list(tx, run).await?;
    let described = pages.iter().map(|page| (page.section, page.entries, page.digest));
    Ok(PageTotals::of(described, hash))
}

/// One page.
pub async fn find(tx: &TenantTx, run: RunId, number: u32) -> Result<Option<CommitPage>, DbError> {
    let row = commit_page::Entity::find_by_id((run.as_uuid(), signed(number)?))
        .one(&tx.tx)
        .await?;
    row.map(|row| {
        CommitPage::from_bytes(&row.content).map_err(|error| DbError::corrupt("commit_pages.content", error))
    })
    .transpose()
}

/// Keeps what a run asks to commit.
pub async fn set_request(tx: &TenantTx, run: RunId, request: &CommitRequest) -> Result<(), DbError> {
    let row = commit_request::Model {
        run_id: run.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        request: to_json(request)?,
    };
    insert(&tx.tx, row).await
}

/// What a run asked to commit.
pub async fn request(tx: &TenantTx, run: RunId) -> Result<Option<CommitRequest>, DbError> {
    let row = commit_request::Entity::find_by_id(run.as_uuid())
        .one(&tx.tx)
        .await?;
    row.map(|row| from_json("commit_requests.request", row.request))
        .transpose()
}

/// Forgets what a run commits.
pub async fn forget(tx: &TenantTx, run: RunId) -> Result<(), DbError> {
    commit_page::Entity::delete_many()
        .filter(commit_page::Column::RunId.eq(run.as_uuid()))
        .exec(&tx.tx)
        .await?;
    commit_request::Entity::delete_by_id(run.as_uuid())
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// The sources that have something left of a commit whose run is not under way any more.
pub async fn with_ended_runs(tx: &TenantTx) -> Result<Vec<SourceId>, DbError> {
    #[derive(FromQueryResult)]
    struct Source {
        source_id: Uuid,
    }
    let sql = "SELECT DISTINCT r.source_id FROM runs r
               JOIN (SELECT run_id FROM commit_pages UNION SELECT run_id FROM commit_requests) c ON c.run_id = r.id
               WHERE r.state NOT IN ('running', 'committing')";
    let rows: Vec<Source> = tx.tx.rows(sql, []).await?;
    Ok(rows
        .into_iter()
        .map(|row| SourceId::from_uuid(row.source_id))
        .collect())
}

/// Forgets what runs of this source commit that are not under way any more.
pub async fn forget_ended(tx: &TenantTx, source: SourceId) -> Result<(), DbError> {
    for table in ["commit_pages", "commit_requests"] {
        let sql = format!(
            "DELETE FROM {table} c USING runs r
             WHERE r.id = c.run_id AND r.source_id = $1 AND r.state NOT IN ('running', 'committing')"
        );
        let values = [source.as_uuid().into()];
        tx.tx.run(sql, values).await?;
    }
    Ok(())
}
