//! What goes into the store and what comes out of it.

use goodstanding_verify::{
    did::Did,
    merkle::Hash,
    report::{ReportId, Role},
};

use super::Tree;
use crate::log::tree::{Tile, TileId, Touched};

/// A signed tree head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root.
    pub root: Hash,
    /// `at` of the newest entry, Unix milliseconds.
    pub at_ms: u64,
    /// The signed checkpoint.
    pub note: String,
}

/// A published checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Number of entries.
    pub size: u64,
    /// When, Unix milliseconds.
    pub published_ms: u64,
    /// The signed checkpoint.
    pub note: String,
}

/// Everything that one batch changes, applied in one transaction or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Size and root that the head must still have; `None` = there is no head yet.
    pub expected: Option<(u64, Hash)>,
    /// The head afterwards.
    pub head: Head,
    /// New entries, contiguous from the old size.
    pub entries: Vec<NewEntry>,
    /// The reports among them.
    pub reports: Vec<NewReport>,
    /// Tiles that came to be or grew.
    pub tiles: Vec<(Tree, TileId, Tile)>,
    /// The epoch among the entries.
    pub epoch: Option<NewEpoch>,
    /// The report that the erasure among the entries erases.
    pub erasure: Option<NewErasure>,
}

/// What an erasure takes out of the working copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewErasure {
    /// Leaf index of the report.
    pub index: u64,
    /// The report.
    pub of: ReportId,
    /// Leaf index of the erasure's entry.
    pub by: u64,
}

/// A new log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Leaf index.
    pub index: u64,
    /// Log time, Unix milliseconds.
    pub at_ms: u64,
    /// `kind` member.
    pub kind: &'static str,
    /// JCS bytes.
    pub bytes: Vec<u8>,
}

/// The working copy's row of a new report entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReport {
    /// Leaf index.
    pub index: u64,
    /// Log time, Unix milliseconds.
    pub at_ms: u64,
    /// Content address.
    pub id: ReportId,
    /// Reporter.
    pub reporter: Did,
    /// Subject.
    pub subject: Did,
    /// Market.
    pub market: String,
    /// Trade id.
    pub trade_id: String,
    /// The reporter's role.
    pub role: Role,
    /// Reporter's unique id.
    pub jti: String,
    /// Operator import.
    pub historical: bool,
    /// Nothing but the reporter's word when admitted.
    pub alone: bool,
    /// Index of the report that this one replaces.
    pub supersedes: Option<u64>,
    /// Digests of its attestations and receipts.
    pub documents: Vec<[u8; 32]>,
    /// The compact JWS.
    pub jws: String,
}

/// The working copy's row of a new epoch; its statements and its score tree are staged by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEpoch {
    /// Epoch number.
    pub number: u64,
    /// Index of its entry.
    pub index: u64,
    /// `K_epoch`.
    pub salt_key: [u8; 32],
    /// Whose staged rows become the epoch's.
    pub staged: StagingKey,
    /// How many statements these are.
    pub statements: u64,
}

/// What tells one computation that stages rows from every other: drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagingKey(pub [u8; 16]);

/// Some of the rows of an epoch under computation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Epoch number.
    pub epoch: u64,
    /// Leaf of the first statement: as many are staged already.
    pub leaf: u64,
    /// Statements in leaf order: agent, whether flow reached it, claims as JCS.
    pub statements: Vec<(Did, bool, String)>,
    /// The tiles of the score tree that these leaves made or changed.
    pub tiles: Touched,
}

/// What one report to be admitted asks the store.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionQuery<'a> {
    /// Content address.
    pub id: &'a ReportId,
    /// Reporter.
    pub reporter: &'a Did,
    /// Subject.
    pub subject: &'a Did,
    /// Market.
    pub market: &'a str,
    /// Trade id.
    pub trade_id: &'a str,
    /// The reporter's role.
    pub role: Role,
    /// Reporter's unique id.
    pub jti: &'a str,
    /// Count the reporter's unilateral reports since this log time; `None` = do not count.
    pub alone_since_ms: Option<u64>,
}

/// The store's answer to an [`AdmissionQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmissionFacts {
    /// The same bytes were admitted before, at this index.
    pub same: Option<u64>,
    /// The same bytes were erased, by the entry at this index.
    pub erased: Option<u64>,
    /// A report of the reporter with this `jti`.
    pub jti: Option<ReportId>,
    /// The reporter's current report on the trade: index and id.
    pub current: Option<(u64, ReportId)>,
    /// Whether the subject has reported on the trade, in the other role.
    pub counterparty_reported: bool,
    /// The reporter's unilateral reports since the time asked for.
    pub alone: u64,
}

/// A stored report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReport {
    /// Leaf index.
    pub index: u64,
    /// Log time, Unix milliseconds.
    pub at_ms: u64,
    /// Content address.
    pub id: ReportId,
    /// Operator import.
    pub historical: bool,
    /// Index of the report that replaced this one.
    pub superseded_by: Option<u64>,
    /// The compact JWS.
    pub jws: String,
}

/// The place of a body, and the body if it is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBody {
    /// Leaf index of the report.
    pub index: u64,
    /// The compact JWS; `None` = erased.
    pub jws: Option<String>,
    /// Leaf index of the entry that erased it.
    pub erased_by: Option<u64>,
}

/// A report that was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredErasure {
    /// Leaf index of the report.
    pub index: u64,
    /// Content address.
    pub id: ReportId,
    /// Leaf index of the erasure's entry.
    pub by: u64,
    /// The erasure's entry, JCS bytes.
    pub entry: Vec<u8>,
}

/// Which reports to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportFilter {
    /// Only reports about this agent.
    pub subject: Option<Did>,
    /// Only reports by this agent.
    pub reporter: Option<Did>,
    /// Only of this market.
    pub market: Option<String>,
    /// Only of trades with this id.
    pub trade_id: Option<String>,
    /// Only with index at or above this.
    pub from_index: u64,
    /// At most this many.
    pub limit: u32,
}

/// A stored epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEpoch {
    /// Epoch number.
    pub number: u64,
    /// Index of its entry.
    pub index: u64,
    /// Its entry's JCS bytes.
    pub entry: Vec<u8>,
    /// `K_epoch`.
    pub salt_key: [u8; 32],
}

/// A stored statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredStatement {
    /// Epoch number.
    pub epoch: u64,
    /// Leaf in the score tree.
    pub leaf: u64,
    /// The agent.
    pub agent: Did,
    /// Claims as JCS.
    pub claims: String,
}

/// A token that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// Status list.
    pub list: u64,
    /// Place in it.
    pub idx: u64,
    /// Holder.
    pub agent: Did,
    /// Epoch it is about.
    pub epoch: u64,
    /// Issued, Unix seconds.
    pub iat: u64,
    /// Expires, Unix seconds.
    pub exp: u64,
}
