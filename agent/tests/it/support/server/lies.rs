//! What a lying server and a lying storage answer. A test orders lies of the double in two ways:
//!
//! - [`Words`]: a change of what the agent API says, made to the true answer before it is sent. So an answer is well-formed
//!   and false: another snapshot's genuine manifest, another number or source, another commit record, wrong totals,
//!   addresses of something else, another key. `server.lock().words.restore = Some(Box::new(|work| …))`.
//! - [`Order`]s: what comes over the wire instead of the true answer, for so many requests that fit: another status, HTML
//!   with 200, nothing, an answer that is cut or breaks off, one that announces more than it sends or sends more than it
//!   announces, redirects that never end, the whole for a range, another range, a part that does not say which one,
//!   another object's content, a changed bit. `server.order(On::Kind(ObjectKind::Pack), 2, Lie::Html)`.
//!
//! Orders apply to the agent API ([`On::Api`]) and to reads of the bucket alike; the first one that fits and is not used up
//! counts. `Server::told` says how many lies were told, so that a test can tell that its lie was heard at all.
//!
//! The double keeps commit records, signed by [`commit_key`], and what each snapshot needs: a restore's reads are refused
//! for anything else, unless the agent has said what is lost and been given the newest snapshot.

use repository::commit::CommitSigningKey;
use shared::{
    api::agent::{
        BackupWork, EnrollResponse, EnrollmentOffer, LaterSnapshot, RestoreWork, SignedRead, SnapshotSummary,
        UploadTicket,
    },
    object::{ObjectHash, ObjectKind},
};

/// A change of a true answer.
pub type Change<T> = Box<dyn FnMut(&mut T) + Send>;

/// What the agent API says that is not true.
#[derive(Default)]
pub struct Words {
    pub offer: Option<Change<EnrollmentOffer>>,
    pub enrolled: Option<Change<EnrollResponse>>,
    pub backup: Option<Change<BackupWork>>,
    pub uploads: Option<Change<Vec<UploadTicket>>>,
    pub reads: Option<Change<Vec<SignedRead>>>,
    pub snapshots: Option<Change<Vec<SnapshotSummary>>>,
    pub restore: Option<Change<RestoreWork>>,
    pub restore_reads: Option<Change<Vec<SignedRead>>>,
    pub later: Option<Change<LaterSnapshot>>,
}

/// The answer as it is said.
pub fn said<T>(change: &mut Option<Change<T>>, mut answer: T) -> T {
    if let Some(change) = change {
        change(&mut answer);
    }
    answer
}

/// Which requests are lied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// Calls of the agent API whose path ends so.
    Api(&'static str),
    /// The question where a run stands.
    Status,
    /// Uploads of objects of this kind.
    Put(ObjectKind),
    /// Reads of objects of this kind.
    Kind(ObjectKind),
    /// Reads of this object.
    Object(ObjectHash),
}

/// What comes instead of the true answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// This status, without a body.
    Status(u16),
    /// This status, and S3's error code.
    Refusal(u16, &'static str),
    /// This status and a page, as a gateway answers.
    HtmlStatus(u16),
    /// So many bytes of the truth; then nothing more comes, and the connection stays.
    Stall(usize),
    /// 200 and a page, as a portal or a proxy answers.
    Html,
    /// 200 and nothing.
    Empty,
    /// So many bytes of the truth, as if they were all.
    Cut(usize),
    /// So many bytes of the truth; then the connection ends.
    BreakOff(usize),
    /// A Content-Length of so many bytes; after the truth the connection ends.
    Announce(u64),
    /// The truth and so many zeros, of which no header speaks.
    Longer(u64),
    /// A redirect to the same address.
    Redirect,
    /// The whole object with 200, whatever range was asked for.
    Whole,
    /// The range one byte further on, named as what it is.
    OtherRange,
    /// The right range without a Content-Range.
    Unnamed,
    /// Another object's content.
    Other(ObjectHash),
    /// The last bit is another one.
    Flip,
}

/// Lies that are still to be told.
#[derive(Debug, Clone)]
pub struct Order {
    pub on: On,
    pub times: u32,
    pub lie: Lie,
}

/// What the server signs commit records with.
pub fn commit_key() -> CommitSigningKey {
    CommitSigningKey::from_seed([8; 32])
}
