//! The confirmed versions of a source's objects, range by range of their hashes: what a listing of the bucket is compared with.
//!
//! Of most ranges nothing differs. So the database answers with a digest of each first, and with rows only of those that differ:
//! of a million objects that saves most of what reading them costs.

use aws_lc_rs::digest::{self, SHA256};
use sea_orm::FromQueryResult;
use serde::Serialize;
use shared::{
    ids::SourceId,
    object::{ObjectHash, ObjectKind},
};

use super::{
    DbError, TenantTx,
    types::{bytes32, signed, to_json, unsigned},
};

/// What a listing is held against: an object's version and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// The object.
    pub hash: ObjectHash,
    /// The version that S3 confirmed.
    pub version_id: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// It counts as gone, or is suspected.
    pub in_doubt: bool,
    /// It counts as gone.
    pub missing: bool,
}

/// Where a range of hashes begins, as bytes: a hash itself, or right behind one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From(Vec<u8>);

impl From {
    /// With this hash.
    #[must_use]
    pub fn at(hash: &ObjectHash) -> Self {
        Self(hash.as_bytes().to_vec())
    }

    /// Behind this hash.
    #[must_use]
    pub fn behind(hash: &ObjectHash) -> Self {
        Self(hash.as_bytes().iter().copied().chain([0]).collect())
    }
}

/// The objects of one kind with a confirmed version, live or pending, by hash: from `from` to before `to` (to the end where that is
/// `None`), at most `limit` of them.
pub async fn confirmed_between(
    tx: &TenantTx,
    source: SourceId,
    kind: ObjectKind,
    (from, to): (&From, Option<&ObjectHash>),
    limit: u64,
) -> Result<Vec<Confirmed>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        hash: Vec<u8>,
        version_id: String,
        size_bytes: i64,
        in_doubt: bool,
        missing: bool,
    }
    let sql =
        "SELECT hash, version_id, size_bytes, (absent_askings > 0 OR missing_since IS NOT NULL) AS in_doubt,
                      missing_since IS NOT NULL AS missing
               FROM objects
               WHERE source_id = $1 AND kind = $2 AND hash >= $3 AND ($4::bytea IS NULL OR hash < $4)
                 AND state IN ('live', 'pending') AND version_id IS NOT NULL
               ORDER BY hash LIMIT $5";
    let values = [
        source.as_uuid().into(),
        i16::from(kind.tag()).into(),
        from.0.clone().into(),
        to.map(|hash| hash.as_bytes().to_vec()).into(),
        signed("limit", limit)?.into(),
    ];
    let rows: Vec<Row> = tx.tx.rows(sql, values).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Confirmed {
                hash: ObjectHash::from_bytes(bytes32("objects.hash", &row.hash)?),
                version_id: row.version_id,
                size_bytes: unsigned("objects.size_bytes", row.size_bytes)?,
                in_doubt: row.in_doubt,
                missing: row.missing,
            })
        })
        .collect()
}

/// SHA-256 over the objects of a range, in the order of their hashes: hash, length in bytes (8 bytes, big-endian), version, and a
/// zero byte, which no version has. `range_digests` has the database compute the same.
pub struct RangeDigest(digest::Context);

impl Default for RangeDigest {
    fn default() -> Self {
        Self(digest::Context::new(&SHA256))
    }
}

impl RangeDigest {
    /// Adds the next object.
    pub fn add(&mut self, hash: &ObjectHash, version_id: &str, size_bytes: u64) {
        self.0.update(hash.as_bytes());
        self.0.update(&size_bytes.to_be_bytes());
        self.0.update(version_id.as_bytes());
        self.0.update(&[0]);
    }

    /// What they come to.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        bytes
    }
}

/// What the confirmed objects of a range come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeState {
    /// See [`RangeDigest`].
    pub digest: [u8; 32],
    /// One of them counts as gone, or is suspected.
    pub in_doubt: bool,
}

/// What the objects come to that [`confirmed_between`] gives of each of these ranges, in their order: of the first ones of a range, so
/// many as stand beside it. Whoever has listed fewer asks for one more than that, and the digests differ.
///
/// # Errors
/// When the database does not answer.
pub async fn range_states(
    tx: &TenantTx,
    source: SourceId,
    kind: ObjectKind,
    ranges: &[(From, Option<ObjectHash>, usize)],
) -> Result<Vec<RangeState>, DbError> {
    #[derive(Serialize)]
    struct Range {
        n: usize,
        most: usize,
        first: String,
        behind: String,
    }
    #[derive(FromQueryResult)]
    struct Row {
        digest: Vec<u8>,
        in_doubt: bool,
    }
    // Behind every hash.
    let last = "ff".repeat(33);
    let ranges: Vec<Range> = ranges
        .iter()
        .enumerate()
        .map(|(n, (first, end, most))| Range {
            n,
            most: *most,
            first: data_encoding::HEXLOWER.encode(&first.0),
            behind: end.map_or_else(|| last.clone(), |hash| hash.to_string()),
        })
        .collect();
    let sql = "SELECT s.digest, s.in_doubt
        FROM jsonb_to_recordset($3::jsonb) AS r(n bigint, most bigint, first text, behind text)
        CROSS JOIN LATERAL (
            SELECT sha256(COALESCE(string_agg(o.content, ''::bytea), ''::bytea)) AS digest,
                   COALESCE(bool_or(o.in_doubt), false) AS in_doubt
            FROM (
                SELECT hash || int8send(size_bytes) || convert_to(version_id, 'UTF8') || '\\x00'::bytea AS content,
                       absent_askings > 0 OR missing_since IS NOT NULL AS in_doubt
                FROM objects
                WHERE source_id = $1 AND kind = $2
                  AND hash >= decode(r.first, 'hex') AND hash < decode(r.behind, 'hex')
                  AND state IN ('live', 'pending') AND version_id IS NOT NULL
                ORDER BY hash LIMIT r.most
            ) o
        ) s
        ORDER BY r.n";
    let values = [
        source.as_uuid().into(),
        i16::from(kind.tag()).into(),
        to_json(&ranges)?.into(),
    ];
    let rows: Vec<Row> = tx.tx.rows(sql, values).await?;
    rows.into_iter()
        .map(|row| {
            Ok(RangeState {
                digest: bytes32("digest", &row.digest)?,
                in_doubt: row.in_doubt,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sea_orm::ConnectionTrait;

    use super::*;
    use crate::{
        db::scratch::{database, tenant},
        random,
    };

    fn hash(first: u8) -> ObjectHash {
        ObjectHash::from_bytes([first; 32])
    }

    /// When the digests of both sides stopped being the same, each commit would read every row again, and no result would tell.
    #[tokio::test]
    async fn the_database_comes_to_the_same_digests() {
        let (db, owner) = database(2).await;
        let scope = tenant(&db, "acme").await;
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let source = SourceId::from_uuid(random::uuid(now));
        // A live object has a version, a lock and a first snapshot.
        for (first, state, version, size, askings) in [
            (1, "live", "'v.1-é'", 0, 0),
            (2, "pending", "'v2'", 1_u64 << 40, 0),
            (3, "pending", "NULL", 3, 0),
            (4, "deleting", "'v4'", 4, 0),
            (5, "live", "'v5'", 5, 0),
            (6, "live", "'v6'", 6, 1),
        ] {
            // Rows without their source and their run: neither is read here.
            let sql = format!(
                "SET session_replication_role = replica;
                 INSERT INTO objects (tenant_id, source_id, hash, kind, size_bytes, content_md5, state, run_id, signed_until,
                                      version_id, absent_askings, absent_since, absent_asked_at, locked_until, born)
                 VALUES ('{}', '{source}', decode('{}', 'hex'), 1, {size}, '\\x{}', '{state}', '{source}', now(), {version}, {askings},
                         CASE WHEN {askings} > 0 THEN now() END, CASE WHEN {askings} > 0 THEN now() END, now(), 1);
                 SET session_replication_role = origin",
                scope.tenant().as_uuid(),
                hash(first),
                "00".repeat(16),
                source = source.as_uuid(),
            );
            owner.execute_unprepared(&sql).await.unwrap();
        }
        let digest = |versions: &[(u8, &str, u64)]| {
            let mut digest = RangeDigest::default();
            for (first, version, size_bytes) in versions {
                digest.add(&hash(*first), version, *size_bytes);
            }
            digest.finish()
        };
        let (one, two, five, six) = ((1, "v.1-é", 0), (2, "v2", 1 << 40), (5, "v5", 5), (6, "v6", 6));
        let cases = [
            (From::at(&hash(0)), None, 9, vec![one, two, five, six], true),
            (From::at(&hash(1)), Some(hash(6)), 3, vec![one, two, five], false),
            (From::at(&hash(1)), None, 2, vec![one, two], false),
            (From::behind(&hash(1)), Some(hash(5)), 9, vec![two], false),
            (From::at(&hash(3)), Some(hash(5)), 9, vec![], false),
            (From::at(&hash(6)), None, 9, vec![six], true),
        ];
        let ranges: Vec<_> = cases
            .iter()
            .map(|(first, end, most, ..)| (first.clone(), *end, *most))
            .collect();
        let tx = db.tenant(&scope).await.unwrap();
        let states = range_states(&tx, source, ObjectKind::Pack, &ranges)
            .await
            .unwrap();
        let expected: Vec<_> = cases
            .iter()
            .map(|(.., versions, in_doubt)| RangeState {
                digest: digest(versions),
                in_doubt: *in_doubt,
            })
            .collect();
        assert_eq!(states, expected);
    }
}
