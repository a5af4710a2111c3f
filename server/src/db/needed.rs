//! The objects that a snapshot's manifest lists, in order and in parts: a source has millions of them.

use repository::object_list::Prefix;
use sea_orm::{ConnectionTrait, Statement, Value};
use shared::{
    api::commit::{CommitPage, Section},
    ids::SourceId,
    object::{ObjectHash, ObjectRef},
};

use super::{DbError, TenantTx, types::signed};

/// Objects of a part: less than 1 MB of the database's answer.
const PART: usize = 20_000;

/// Reads what snapshot `seq` needs of a prefix, apart from its manifest and commit record, ascending by hash.
#[derive(Debug)]
pub struct Needed {
    source: SourceId,
    seq: u64,
    /// Below every hash that is still to come, and above every one before it.
    after: Vec<u8>,
    last: ObjectHash,
    /// Objects of a part.
    part: usize,
    is_done: bool,
}

impl Needed {
    /// Begins.
    #[must_use]
    pub fn of(source: SourceId, seq: u64, prefix: Prefix) -> Self {
        // Without its last byte the first hash is just below it.
        let after = prefix
            .first()
            .as_bytes()
            .split_last()
            .map_or(&[][..], |(_, rest)| rest)
            .to_vec();
        Self {
            source,
            seq,
            after,
            last: prefix.last(),
            part: PART,
            is_done: false,
        }
    }

    /// Begins behind `after`, or with the first object; each part has so many objects.
    #[must_use]
    pub fn after(source: SourceId, seq: u64, after: Option<ObjectHash>, part: usize) -> Self {
        let all = Self::of(source, seq, Prefix::ALL);
        Self {
            after: after.map_or(all.after, |hash| hash.as_bytes().to_vec()),
            part,
            ..all
        }
    }

    /// The next part; empty when there is nothing more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next(&mut self, tx: &TenantTx) -> Result<Vec<ObjectRef>, DbError> {
        if self.is_done {
            return Ok(Vec::new());
        }
        // One value for all rows: row by row, a million of them take several times as long. The numbers are the kinds of
        // manifests and commit records.
        let sql = r"SELECT string_agg(hash || set_byte('\x00'::bytea, 0, kind::int) || int8send(size_bytes), ''::bytea
                                      ORDER BY hash) AS part
                    FROM (SELECT hash, kind, size_bytes FROM objects
                          WHERE source_id = $1 AND state = 'live' AND born <= $2 AND (dropped IS NULL OR dropped > $2)
                            AND kind NOT IN (4, 5) AND hash > $3 AND hash <= $4
                          ORDER BY hash LIMIT $5) o";
        let values: [Value; 5] = [
            self.source.as_uuid().into(),
            signed("objects.born", self.seq)?.into(),
            self.after.clone().into(),
            self.last.as_bytes().to_vec().into(),
            i64::try_from(self.part).unwrap_or(i64::MAX).into(),
        ];
        let statement = Statement::from_sql_and_values(tx.tx.get_database_backend(), sql, values);
        let row = tx.tx.query_one_raw(statement).await?;
        let part: Option<Vec<u8>> = row.map(|row| row.try_get("", "part")).transpose()?.flatten();
        let part = part.unwrap_or_default();
        // The records of such a page are the same.
        let mut page = vec![Section::Added.tag()];
        page.extend_from_slice(&part);
        let corrupt = |error: &dyn ToString| DbError::corrupt("objects", error.to_string());
        let objects = match CommitPage::from_bytes(&page).map_err(|error| corrupt(&error))? {
            CommitPage::Added(objects) => objects,
            CommitPage::Dropped(_) | CommitPage::Liveness(_) => return Err(corrupt(&"another section")),
        };
        self.is_done = objects.len() < self.part;
        if let Some(last) = objects.last() {
            self.after = last.hash.as_bytes().to_vec();
        }
        Ok(objects)
    }
}
