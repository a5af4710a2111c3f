//! What a rebuild found and did, for people and for programs.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use serde::Serialize;
use shared::{
    ids::{AgentId, BackupSetId, SourceId, TenantId},
    words::counted,
};

/// Findings of one kind that the table shows; the JSON has all of them.
const SHOWN: usize = 20;

/// What differs between ledger and bucket, or is wrong with the bucket by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A source that the database does not know. `--apply` makes it, unclaimed.
    UnknownSource,
    /// An agent that the database does not know. `--apply` makes it, unclaimed.
    UnknownAgent,
    /// A snapshot that a signed commit record makes count, and that is not in the ledger.
    SnapshotMissingInLedger,
    /// A snapshot of the ledger without a commit record in the bucket. Nothing is changed.
    SnapshotMissingInBucket,
    /// A snapshot that the commit record tells otherwise.
    OtherSnapshot,
    /// An object that a snapshot needs, and that is not in the ledger.
    MissingInLedger,
    /// An object that the ledger has or a kept snapshot needs, and that is not in the bucket.
    MissingInBucket,
    /// The bucket has the object as another version.
    OtherVersion,
    /// S3 shows another lock.
    OtherLock,
    /// Other snapshots need it: another `born` or `dropped`.
    OtherNeed,
    /// Another kind, size or MD5.
    OtherContent,
    /// S3 shows a lock that ends before the promise of a kept snapshot that needs the object.
    LockedTooShort,
    /// A commit record that none of the accepted keys has signed. It does not count.
    UnverifiedRecord,
    /// A snapshot builds on one whose manifest is there and whose commit record is not. It does not count.
    LostRecord,
    /// A manifest that is not the one which its commit record means, or of another backup set. The record does not count.
    OtherManifest,
    /// A snapshot whose list of objects cannot be read: what its neighbours need is kept for it.
    UnreadableList,
    /// A manifest that another key has signed than the one that the database knows of the agent.
    OtherSigner,
    /// A version that the ledger does not know, and no snapshot needs: a stranger's, or what a run left that the ledger
    /// has forgotten. Nothing is changed.
    UnknownVersion,
    /// A delete marker. Nothing is changed.
    DeleteMarker,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::UnknownSource => "sources that the database does not know",
            Self::UnknownAgent => "agents that the database does not know",
            Self::SnapshotMissingInLedger => "snapshots missing in the ledger",
            Self::SnapshotMissingInBucket => "snapshots missing in the bucket",
            Self::OtherSnapshot => "snapshots that the commit record tells otherwise",
            Self::MissingInLedger => "objects missing in the ledger",
            Self::MissingInBucket => "objects missing in the bucket",
            Self::OtherVersion => "other versions",
            Self::OtherLock => "other locks",
            Self::OtherNeed => "needed by other snapshots",
            Self::OtherContent => "other contents",
            Self::LockedTooShort => "locked too short for the promise",
            Self::UnverifiedRecord => "commit records that no accepted key has signed",
            Self::LostRecord => "commit records lost",
            Self::OtherManifest => "manifests that are not what their commit records say",
            Self::UnreadableList => "object lists that cannot be read",
            Self::OtherSigner => "manifests signed by another key",
            Self::UnknownVersion => "unknown versions",
            Self::DeleteMarker => "delete markers",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Of what: a key, `snapshot 7`, or an id.
    pub subject: String,
    /// What the ledger says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// What the bucket says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
}

impl Finding {
    /// A finding.
    pub fn new(
        kind: Kind,
        subject: impl Into<String>,
        ledger: Option<String>,
        bucket: Option<String>,
    ) -> Self {
        Self {
            kind,
            subject: subject.into(),
            ledger,
            bucket,
        }
    }
}

/// What was written for one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Snapshots that were added or corrected.
    pub snapshots: u64,
    /// Objects that were added or corrected.
    pub objects: u64,
    /// Objects that were noted as missing.
    pub missing: u64,
}

/// One source.
#[derive(Debug, Clone, Serialize)]
pub struct SourceReport {
    /// The source.
    pub source: SourceId,
    /// Its agent, as its manifests tell.
    pub agent: Option<AgentId>,
    /// The key that signed its newest manifest.
    pub signer: Option<String>,
    /// Snapshots that the bucket makes count.
    pub snapshots: u64,
    /// Objects that they need.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What differs.
    pub findings: Vec<Finding>,
    /// What was written; `None` in a dry run, or when it was refused.
    pub written: Option<Written>,
    /// Why nothing was written though it was asked for.
    pub refused: Option<String>,
}

/// One backup set.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When.
    pub at: Timestamp,
    /// The tenant.
    pub tenant: TenantId,
    /// The backup set.
    pub backup_set: BackupSetId,
    /// The bucket.
    pub bucket: String,
    /// What every key begins with.
    pub prefix: String,
    /// The public half of this server's key for commit records.
    pub commit_key: String,
    /// Whether it was to be written.
    pub apply: bool,
    /// The sources.
    pub sources: Vec<SourceReport>,
}

impl Report {
    /// Whether ledger and bucket agree, and nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.sources
            .iter()
            .all(|source| source.findings.is_empty() && source.refused.is_none())
    }
}

/// The report as a table for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |parts: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{parts}");
    };
    line(format_args!(
        "backup set {} in {}/{}, this server's commit key {}",
        report.backup_set, report.bucket, report.prefix, report.commit_key
    ));
    if report.sources.is_empty() {
        line(format_args!("neither the bucket nor the database has a source"));
    }
    for source in &report.sources {
        line(format_args!(
            "\n{}: {}, {}, {}; signed by {}",
            source.source,
            counted(source.snapshots, "snapshot", "snapshots"),
            counted(source.objects, "object", "objects"),
            counted(source.bytes, "byte", "bytes"),
            source.signer.as_deref().unwrap_or("nobody")
        ));
        let mut kinds: BTreeMap<Kind, Vec<&Finding>> = BTreeMap::new();
        for finding in &source.findings {
            kinds.entry(finding.kind).or_default().push(finding);
        }
        if kinds.is_empty() {
            line(format_args!("  ledger and bucket agree"));
        }
        for (kind, findings) in kinds {
            line(format_args!("  {}: {}", kind.words(), findings.len()));
            for finding in findings.iter().take(SHOWN) {
                let side = |name: &str, text: &Option<String>| {
                    text.as_ref()
                        .map_or(String::new(), |text| format!("  {name}: {text}"))
                };
                line(format_args!(
                    "    {}{}{}",
                    finding.subject,
                    side("ledger", &finding.ledger),
                    side("bucket", &finding.bucket)
                ));
            }
            if findings.len() > SHOWN {
                line(format_args!(
                    "    and {} more: see --json",
                    findings.len() - SHOWN
                ));
            }
        }
        match (&source.written, &source.refused) {
            (Some(written), _) => line(format_args!(
                "  written: {}, {}; {} noted as missing",
                counted(written.snapshots, "snapshot", "snapshots"),
                counted(written.objects, "object", "objects"),
                written.missing
            )),
            (None, Some(reason)) => line(format_args!("  nothing was written: {reason}")),
            (None, None) => {}
        }
    }
    if !report.apply {
        line(format_args!(
            "\nnothing was changed: --apply writes this into the ledger"
        ));
    }
    text
}
