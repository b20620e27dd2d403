//! Rows as they are stored. A number that is negative in the database is `u64::MAX` here, which nothing else equals.

/// What a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Product and version.
    pub name: String,
    /// How it keeps what was committed.
    pub mode: String,
    /// What can be said of it when nothing is wrong.
    pub sound: &'static str,
    /// What the next start makes of a mode that is not the right one.
    pub remedy: Option<&'static str>,
}

/// Rows of a table that refer to rows that do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// Their table.
    pub table: String,
    /// The table that they refer to.
    pub parent: String,
    /// How many.
    pub rows: u64,
}

/// The head row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct HeadRow {
    pub size: u64,
    pub root: Vec<u8>,
    pub at_ms: u64,
    pub note: String,
}

/// A row of `checkpoints`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct CheckpointRow {
    pub size: u64,
    pub published_ms: u64,
    pub note: String,
}

/// A row of `entries`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct EntryRow {
    pub idx: u64,
    pub at_ms: u64,
    pub kind: String,
    pub bytes: Vec<u8>,
}

/// A row of `agents`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct AgentRow {
    pub key: Vec<u8>,
    pub alias: Option<String>,
}

/// A row of `reports` with what it refers to and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRow {
    /// Leaf index.
    pub idx: u64,
    /// Content address.
    pub id: Vec<u8>,
    /// Log time, Unix milliseconds.
    pub at_ms: u64,
    /// The reporter's key; `None` = no such agent row.
    pub reporter: Option<Vec<u8>>,
    /// The subject's key; `None` = no such agent row.
    pub subject: Option<Vec<u8>>,
    /// The market's name; `None` = no such market row.
    pub market: Option<String>,
    /// Trade id.
    pub trade_id: String,
    /// 0 = buyer, 1 = seller.
    pub role: i64,
    /// Reporter's unique id.
    pub jti: String,
    /// Operator import.
    pub historical: bool,
    /// Nothing but the reporter's word when admitted.
    pub alone: bool,
    /// Index of the report that replaced this one.
    pub superseded_by: Option<u64>,
    /// The compact JWS; `None` = no body row.
    pub jws: Option<String>,
}

/// The other reports on a report's trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// The reporter's next report on the same trade.
    pub next: Option<u64>,
    /// Id of the reporter's previous report on the same trade.
    pub previous: Option<Vec<u8>>,
    /// The counterparty's role in its newest report on the trade before this one.
    pub answer_role: Option<i64>,
}

/// A row of `documents`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct DocumentRow {
    pub sha256: Vec<u8>,
    pub idx: u64,
}

/// A row of `erased`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasedRow {
    /// Leaf index of the report.
    pub idx: u64,
    /// Content address.
    pub id: Vec<u8>,
    /// Leaf index of the entry that erased it.
    pub by: u64,
}

/// A row of `tiles` without the hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileRow {
    /// 0 = the log, else the epoch's number.
    pub tree: u64,
    /// Level.
    pub level: u64,
    /// Number within the level.
    pub n: u64,
    /// Number of hashes.
    pub width: u64,
}

/// A row of `epochs`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct EpochRow {
    pub number: u64,
    pub idx: u64,
    pub salt_key: Vec<u8>,
}

/// A row of `statements`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRow {
    /// Leaf in the score tree.
    pub leaf: u64,
    /// The agent's key; `None` = no such agent row.
    pub agent: Option<Vec<u8>>,
    /// Whether flow reached the agent.
    pub reached: bool,
    /// Claims as JCS.
    pub claims: String,
}

/// A row of `tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Status list.
    pub list: u64,
    /// Place in it.
    pub idx: u64,
    /// The holder's key; `None` = no such agent row.
    pub agent: Option<Vec<u8>>,
    /// Epoch it is about.
    pub epoch: u64,
    /// Issued, Unix seconds.
    pub iat: u64,
    /// Expires, Unix seconds.
    pub exp: u64,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A token that cannot have been issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct OddToken {
    pub list: u64,
    pub idx: u64,
    pub epoch: u64,
    pub iat: u64,
    pub exp: u64,
    /// Whether the agent has a statement in that epoch.
    pub stated: bool,
}
