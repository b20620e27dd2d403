//! Stable error codes of the service, and the registry that joins them with the verifier's, the policy's and the simulator's.

use std::fmt;

/// Declares the service's codes with their wire name, title and advice.
macro_rules! codes {
    ($($name:ident = $wire:literal, $title:literal, $meaning:literal;)*) => {
        /// A stable error code of the service. The verifier's own are in [`goodstanding_verify::code::Code`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The wire name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// A short title.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    TradeAlreadyReported = "report.trade_already_reported", "Trade already reported",
        "The reporter has a current report on this trade. Name its id in `supersedes` to replace it.";
    JtiConflict = "report.jti_conflict", "jti used before",
        "The reporter has another report with this jti. Use a fresh jti.";
    SupersedesWrong = "report.supersedes_wrong", "supersedes names another report",
        "`supersedes` must name the reporter's current report on this very trade.";
    HistoricalFuture = "report.historical_in_future", "Historical report from the future", "A historical import is of the past; check the unit of the time column (seconds).";
    ReportUnknown = "report.unknown", "No such report", "No report with this id is in the log.";
    QuotaAddress = "quota.address", "Too many reports from this address",
        "Wait for as long as Retry-After says, or spread the load.";
    QuotaUnilateral = "quota.unilateral", "Too many unilateral reports by this key",
        "A key that no trust flow reaches may file only so many reports a day on its word alone. Attach the counterparty's terms or a receipt, or wait.";
    QuotaTokens = "quota.tokens", "Too many token requests", "A token lives for a day: keep it. Wait for as long as Retry-After says.";
    QueueFull = "ingest.queue_full", "The write queue is full", "Nothing was stored. Try again after Retry-After seconds.";
    StoreUnavailable = "store.unavailable", "The database is unavailable",
        "Try again when it answers. A write may or may not have completed: send the same bytes again, and what was stored is recognised.";
    StoreCorrupt = "store.corrupt", "The database contradicts itself", "An operator has to look at it before anything else is written; restore a newer copy of the data directory.";
    StoreUnsupported = "store.unsupported", "The database cannot be used", "The message says what is missing; `doctor` with the same options says more, and docs/OPERATIONS.md what the database has to be.";
    DataLocked = "data.locked", "The data directory is in use",
        "Another process has this data directory open, most likely a running service. `scores`, `policy show`, `policy list`, `policy diff`, `keys list`, `access`, `doctor`, `fsck` and `backup` work beside it; `submit`, `import`, `epoch`, `explain`, `trust-bundle`, `token request`, `keys` and `erase` take its --url; for `policy set`, stop it.";
    DataUnwritable = "data.unwritable", "The data directory cannot be written",
        "A writer has to make and change files there: check owner, permissions, and whether the file system is mounted read-only. `scores`, `policy show` and other reading commands work all the same.";
    DataMissing = "data.missing", "No data directory here", "Name one with --data, or make one with `serve` or `import`.";
    DataMismatch = "data.mismatch", "The data directory was made with other settings",
        "Origin and issuer are fixed when a data directory is made.";
    DataNotEmpty = "data.not_empty", "There is something already", "Nothing was written. Name a directory that does not exist or is empty, or move the old one away, its head.guard excepted.";
    DataOtherCopy = "data.other_copy", "Not the database that ran here last",
        "It is a copy, or an older state, and receipts may have been given for entries that it does not have. Put the database that ran here back; if it is lost, make a backup of this one and restore that into a new directory with `restore --newest` or `--nothing-newer`.";
    DataMoved = "data.moved", "The log is in another database",
        "It was moved with `migrate`, and going on here would fork it. Use the database that the message names; where a move was interrupted, run the same `migrate` again.";
    GuardMissing = "data.guard_missing", "The head guard is missing",
        "The database has published checkpoints, so there was a guard; without it nothing shows whether more was published. Put head.guard back; if it is lost, `backup` this directory and `restore` it into a new one with `--newest`. Where the database is on a server, copy it from the data directory of another process, or run `restore --newest FILE` there.";
    GuardOtherLog = "data.guard_other_log", "The head guard is of another log",
        "Its origin or signature is not that of this directory's log key. Put the guard, the keys and the database that belong together back.";
    BackupInvalid = "backup.invalid", "Not a usable backup", "Nothing was restored. The message names the file and what is wrong with it; use another backup.";
    BackupUnproven = "backup.newest_unknown", "Is this the newest state?",
        "A log restored from a state older than what it signed forks. Give the newest checkpoint known outside with --newest FILE (a saved /checkpoint, a receipt or a trust bundle, from a verifier, witness or auditor), or say --nothing-newer.";
    BackupFork = "backup.fork", "The backup is of another history",
        "The checkpoint is signed by this log, and the backup has another tree at its size. Keep both as evidence, restore another backup, or end the log and name its successor.";
    BackupOnServer = "backup.on_server", "The database is on a PostgreSQL server",
        "`backup` and `restore` copy a data directory with its SQLite file. Here the database is copied by PostgreSQL's own tools: base backups and the archived write-ahead log (pg_basebackup, pgBackRest), recovered to the newest point and never to an earlier one, which would fork the log; pg_dump is for a stopped service. Of the data directory keep keys/ and witnesses.toml elsewhere, and leave head.guard and log.turn where they are: docs/OPERATIONS.md, section on backup, standbys, failover.";
    FsckDatabase = "fsck.database", "The database file is damaged", "SQLite's own check fails. Restore a backup that is not behind head.guard.";
    FsckSchema = "fsck.schema", "The schema is not this program's", "A migration, table or index differs. Use the version of the program that made it, or restore a backup.";
    FsckSettings = "fsck.settings", "Settings of the directory are wrong", "Issuer and origin are written once, when the directory is made.";
    FsckHead = "fsck.head", "The head is not that of the entries", "The signed head does not follow from the entries. Do not serve it; restore a backup that is not behind head.guard.";
    FsckCheckpoint = "fsck.checkpoint", "A published checkpoint is not one of this log", "It does not verify, or the entries have another root at its size. Keep it as evidence and restore a backup.";
    FsckGuard = "fsck.guard", "The head guard does not fit", "The guard is missing, unreadable, of another log, or ahead of the database. Restore a newer copy; never delete the guard.";
    FsckEnd = "fsck.end", "The end of the log is not what it says", "The stored end, log.ended and the signed notice do not agree with each other or with the last tree. Restore a backup that was made after the end; never delete log.ended.";
    FsckEntry = "fsck.entry", "A log entry is wrong", "An entry is missing, not canonical, out of order, or not the one that the tree commits to. Restore a backup.";
    FsckTile = "fsck.tile", "A tile is wrong", "A stored tile is missing, surplus, or not what the leaves below it give.";
    FsckReport = "fsck.report", "A report's row is wrong", "The row does not say what the signed body or the entry says.";
    FsckBody = "fsck.body", "Report, entry and body do not go together", "A report lacks its body or its entry, or a body is there that should not.";
    FsckSupersession = "fsck.supersession", "The chain of a trade's reports is wrong", "`superseded_by` is not what the signed reports say.";
    FsckErasure = "fsck.erasure", "An erasure is not what the log says", "Erased reports and the entries that erased them do not belong together; the detail says which.";
    FsckAlone = "fsck.alone", "A report's standing at admission is wrong", "Whether it was its reporter's word alone follows from the log; the column says otherwise, so the daily quota would be miscounted.";
    FsckDocument = "fsck.document", "The index of evidence documents is wrong", "A document lifts the first report that brings it; the index does not say which that is.";
    FsckPolicy = "fsck.policy", "A policy entry is wrong", "Versions rise by one from 1 and every policy parses.";
    FsckKeyEvent = "fsck.key_event", "A key entry is wrong", "A key is added before it is retired or revoked, and each once.";
    FsckKeyFile = "fsck.key_file", "A key file is wrong", "Every key that the log announces as current is in keys/, private to its owner. Put it back, or announce another one.";
    FsckEpoch = "fsck.epoch", "An epoch is wrong", "Its row, its entry and what they cover do not agree.";
    FsckStatement = "fsck.statement", "An epoch's statements are wrong", "The stored claims do not rebuild the score root that the log commits to.";
    FsckToken = "fsck.token", "An issued token's row is wrong", "It refers to a statement that does not exist, or has impossible values.";
    LogBehindGuard = "log.behind_guard", "The log is behind what was published",
        "The database is older than, or different from, what was published. Serving it would fork the log: restore a newer copy of it. If there is none, end this log and name its successor. Never delete the guard.";
    LogContradicted = "log.contradicted", "The database is not the log that was seen",
        "This process shares its database with others, and what that says now has not what it saw or published: a restored older state, or another log. It passes nothing on until the database is put right; see docs/OPERATIONS.md, \"Backup, standbys, failover\".";
    LogUnled = "log.unled", "Nobody writes to the log",
        "Several processes share this log, and none that writes was heard of for longer than a takeover takes. Reports are refused until one does: see that a process of role `all` or `sequencer` runs and what its log says; if the detail names who has the lock, end that session.";
    LogMoved = "log.moved", "The log went on meanwhile", "Entries were written between signing the notice and ending the log; try again.";
    LogClosed = "log.closed", "The log takes no more entries", "The process is shutting down, or the log stopped after an error it could not explain.";
    WitnessSettings = "witness.settings_invalid", "Witness settings not valid", "Correct witnesses.toml in the data directory; the detail says what is wrong.";
    WitnessQuorumMissed = "witness.quorum_missed", "Too few witnesses answered",
        "The entries are durable, but no checkpoint that covers them is published before enough witnesses have cosigned it. Try again after Retry-After seconds.";
    NotHolder = "holder.not_subject", "Token of another agent", "The key is not that of the agent that the token is about; check the key file, or alias and key seed.";
    KeyUnusable = "key.unusable", "A key file cannot be used", "The message names the file and what is wrong with it.";
    ReportErased = "report.erased", "Report erased", "An operator erased this report for good; its entry in the log stays. The same bytes are not taken again.";
    EpochNotRecomputable = "epoch.not_recomputable", "Epoch cannot be recomputed", "The epoch used a report that was erased since: its result stays committed in the log, what made it is gone. Ask again after the next epoch.";
    KeyUnknown = "key.unknown", "No such key", "No key event of the log names a key with this use and thumbprint; `keys list` shows those there are.";
    KeyOnlyOne = "key.only_one", "The only key of its use", "Something has to sign: rotate first. Revoking the signing key puts a new one in its place by itself.";
    KeyLogFixed = "key.log_fixed", "The log's key never rotates", "A log is its key. If that is lost, stolen or to be retired, the log ends and names its successor: see `keys end-log` and docs/OPERATIONS.md.";
    LogEnded = "log.ended", "The log has ended", "It takes nothing any more and goes on being read. The detail names its successor; GET /v1/log/successor proves it.";
    LogNotEnded = "log.not_ended", "The log has not ended", "There is no successor to name.";
    AccessUnknown = "access.unknown", "No such access token", "No token with this id is on record; `access list` shows those there are.";
    NotPublished = "log.not_published", "Not published yet", "The entry is durable but no published checkpoint covers it yet. Try again after Retry-After seconds.";
    LeafUnknown = "log.leaf_unknown", "No such entry", "The log is shorter than this.";
    TileUnknown = "log.tile_unknown", "No such tile", "No published tree has this tile at this width, or the path is not its canonical spelling.";
    CheckpointUnknown = "log.checkpoint_unknown", "No checkpoint of this size", "Checkpoints are published at some sizes only; leave the size out for the newest, or ask /v1/log/consistency, which takes any size.";
    EpochUnknown = "epoch.unknown", "No such epoch", "Epochs need trust roots (`policy set --seeds`) and are computed by `epoch`, POST /v1/epochs, or hourly.";
    EpochAsOf = "epoch.as_of_decreases", "Epoch time would go back", "as_of of an epoch is never before the one of the epoch before it.";
    EpochAsOfFuture = "epoch.as_of_in_future", "Epoch time is in the future", "as_of is in Unix seconds and at most now.";
    EpochUnchanged = "epoch.unchanged", "Nothing new to score", "The log has no entry since the newest epoch.";
    EpochOtherCode = "epoch.other_code", "Computed by another version", "The newest epoch was computed by another version of the scoring function; explanations come with the next epoch.";
    EpochSuperseded = "epoch.superseded", "A newer epoch was logged", "The pages read so far are of an older epoch. Begin again without a cursor.";
    ClockBehind = "log.clock_behind", "The clock is behind the log", "The newest entry is more than a minute ahead of this machine's clock. Set the clock; nothing was stored.";
    SeedsEmpty = "policy.seeds_empty", "No trust roots named", "Name at least one agent; nothing was logged.";
    PolicyVersion = "policy.version_wrong", "Policy version out of order", "Another policy was logged meanwhile; start from that one.";
    PolicyUnknown = "policy.unknown", "No such policy version", "`policy list` names the versions that the log has had.";
    EpochNoReports = "epoch.no_reports", "No reports to score", "The log has no report that this epoch would cover.";
    EpochRunning = "epoch.running", "An epoch is being computed", "One epoch is computed at a time. Try again after Retry-After seconds.";
    AgentUnknown = "agent.unknown", "No such agent", "The agent is in no epoch, or the alias is not known in this data directory.";
    AliasTaken = "agent.alias_taken", "Alias of another key", "This data directory knows the alias under another key, or the key under another alias; neither is replaced. Use the same --key-seed.";
    TokenHolder = "token.holder_unproven", "Possession of the key is not proven",
        "The proof must be an openid4vci-proof+jwt by the agent's own key, for this issuer, over a fresh nonce.";
    NonceUnknown = "token.nonce_unknown", "Unknown or used nonce", "Fetch a new nonce from /oid4vci/nonce; each is good for one request within five minutes.";
    StatusListUnknown = "status.list_unknown", "No such status list", "No token has a place in a list of this number; /v1/status-lists names those there are.";
    AuthMissing = "auth.missing", "Authentication needed", "Send `Authorization: Bearer <token>` from `goodstanding access grant`; commands take it with --token. What a log shows to auditors alone needs `--role auditor`.";
    AuthInvalid = "auth.invalid", "Token not accepted", "The bearer token is malformed, expired, revoked or from another issuer.";
    AuthForbidden = "auth.forbidden", "Role not sufficient", "The token's roles do not allow this.";
    MediaType = "request.media_type_unsupported", "Media type not supported", "The operation says which Content-Type it takes.";
    BodyTooLarge = "request.body_too_large", "Body too large", "Send less at a time.";
    BodyUnreadable = "request.body_unreadable", "Body could not be read", "The connection broke or the body is not text.";
    TooManyLines = "request.too_many_lines", "Too many lines", "At most 10,000 reports a request.";
    ParameterInvalid = "request.parameter_invalid", "Parameter not valid", "The detail names the parameter and what it takes.";
    RouteUnknown = "request.not_found", "Nothing here", "See /openapi.json for what there is.";
    MethodNotAllowed = "request.method_not_allowed", "Method not allowed", "The path exists, with another method.";
    Internal = "internal", "Internal error", "A bug or a broken environment; the log of the service has the cause.";
    AuditCheckpoint = "audit.checkpoint_invalid", "Checkpoint does not verify", "The checkpoint is not one of this log, or not witnessed as the policy wants it. Do not rely on it.";
    AuditShrunk = "audit.log_shrunk", "The log became smaller", "What is shown is older than what was seen before: a copy that lags behind (a backup, a cache), or entries that were taken back. A copy catches up; until then keep both checkpoints.";
    AuditForked = "audit.log_forked", "The log signed two histories", "Two checkpoints of this log cannot both be true. Keep both and publish them: they prove it.";
    AuditTileInvalid = "audit.tile_invalid", "Tile of another tree", "The tile or bundle is not the one that the signed checkpoint commits to.";
    AuditMissing = "audit.missing", "Something is not served", "The log does not serve what its own checkpoint commits to.";
    AuditEntryBytes = "audit.entry_altered", "Entry is not the logged one", "The served entry does not hash to its leaf in the signed tree.";
    AuditEntryInvalid = "audit.entry_invalid", "Entry breaks the format", "The log holds bytes that are no entry.";
    AuditTime = "audit.time_backwards", "Log time goes back", "An entry is dated before the one in front of it.";
    AuditPolicy = "audit.policy_invalid", "Policy entry not valid", "A logged policy is malformed, out of order, or missing where it is needed.";
    AuditKeyEvent = "audit.key_event_invalid", "Key event not valid", "A key event does not follow from those before it.";
    AuditTrustBundle = "audit.trust_bundle_wrong", "Trust bundle disagrees with the log", "The trust bundle that is served does not verify, or names other keys than the log.";
    AuditReport = "audit.report_invalid", "Logged report is not valid", "The log admitted a report that the rules refuse; the detail names the rule.";
    AuditDuplicate = "audit.report_duplicate", "Report logged twice", "One report may be in the log once.";
    AuditJti = "audit.jti_reused", "jti logged twice", "The log admitted two reports of one reporter with one jti.";
    AuditSupersession = "audit.supersession_invalid", "Two current reports on one trade", "The log admitted a further report on a trade without the current one being named.";
    AuditQuota = "audit.quota_exceeded", "Quota not kept", "The log admitted more unilateral reports of one key in a day than its policy allows.";
    AuditBodyMissing = "audit.body_missing", "Report withheld", "The log has the report's hash, but its bytes are neither served nor erased by an entry.";
    AuditErasurePending = "audit.erasure_pending", "Erasure not published yet", "Reports were erased, and no published checkpoint covers the entries that say so yet; the rest agrees. Audit again when the log has published a newer checkpoint; with --state the log is held to what it says now.";
    AuditBodyAltered = "audit.body_altered", "Report is not the logged one", "The served report does not hash to the id that the log committed to.";
    AuditErasure = "audit.erasure_invalid", "Erasure entry not valid", "An erasure refers to an earlier report of the log that was not erased before.";
    AuditEpoch = "audit.epoch_invalid", "Epoch entry not valid", "A member of the epoch entry is not what the log before it makes it; the detail names it.";
    AuditSaltKey = "audit.salt_key_wrong", "Salt key is not the committed one", "The served salt key does not hash to what the epoch entry committed to.";
    AuditScoreRoot = "audit.score_root_wrong", "Scores do not recompute", "The epoch's root is not that of the scores that its reports and its policy make.";
    AuditFlagsRoot = "audit.flags_root_wrong", "Flags do not recompute", "The epoch's flags root is not that of the flags that its reports make.";
    AuditStatement = "audit.statement_wrong", "Statement is not the committed one", "The served statement is not one that the epoch committed to.";
    AuditState = "audit.state_unusable", "State file cannot be used", "The detail says what is wrong with it; it is never overwritten. Restore it, or start anew with another file.";
    AuditEpochLeft = "audit.epoch_not_recomputable", "Epoch cannot be recomputed", "Reports that it covered were erased later; choose an audit without --seeds.";
    ImportInvalid = "import.invalid", "Import file not valid", "The detail names the line and the column.";
    ImportOrder = "import.not_ascending", "Rows not in time order", "Rows of an import must be in ascending time.";
    InputUnreadable = "input.unreadable", "Input could not be read", "The message names the file.";
    OutputUnwritable = "output.unwritable", "Output could not be written",
        "The disk is full, or nothing may be written there. What the command was to do may have been done all the same: look before repeating it.";
    ConfigInvalid = "config.invalid", "Settings not valid", "The detail names the file and the place in it; docs/OPERATIONS.md lists the settings.";
    ListenFailed = "serve.cannot_listen", "Cannot listen on this address",
        "Another process has the port, or the address is not one of this machine's. Stop that process, or name another address with --listen.";
    ServerUnreachable = "client.unreachable", "Server could not be reached", "Check the URL and that the service is running.";
    ServerRefused = "client.refused", "Server refused", "The server's own code and detail are in the message.";
}

/// An error with a stable code, whichever part of the system it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    code: &'static str,
    detail: String,
}

impl Fault {
    /// An error of the service's own.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code: code.as_str(),
            detail: detail.into(),
        }
    }

    /// An error of the scoring function.
    pub fn from_score(error: &goodstanding_score::ScoreError) -> Self {
        Self {
            code: error.code(),
            // Its text begins with the code, which is shown anyway.
            detail: match error.to_string().split_once(": ") {
                Some((_, detail)) => detail.to_owned(),
                None => error.to_string(),
            },
        }
    }

    /// An error that another process of the same program met.
    pub fn recall(code: &str, detail: String) -> Self {
        match registry().iter().find(|row| row.code == code) {
            Some(row) => Self {
                code: row.code,
                detail,
            },
            None => Self::new(Code::Internal, format!("{code}: {detail}")),
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What exactly was wrong.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether this is the given code.
    pub fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Fault {}

impl From<goodstanding_verify::Error> for Fault {
    fn from(error: goodstanding_verify::Error) -> Self {
        Self {
            code: error.code().as_str(),
            detail: error.detail().to_owned(),
        }
    }
}

impl From<goodstanding_score::policy::PolicyError> for Fault {
    fn from(error: goodstanding_score::policy::PolicyError) -> Self {
        Self {
            code: error.code().as_str(),
            detail: match error.pointer() {
                "" => error.detail().to_owned(),
                pointer => format!("{pointer}: {}", error.detail()),
            },
        }
    }
}

impl From<goodstanding_simulate::Error> for Fault {
    fn from(error: goodstanding_simulate::Error) -> Self {
        Self {
            code: error.code().as_str(),
            detail: error.to_string(),
        }
    }
}

impl From<crate::store::Error> for Fault {
    fn from(error: crate::store::Error) -> Self {
        use crate::store::Error as E;
        let code = match &error {
            E::HeadMoved | E::Deposed | E::Unavailable(_) => Code::StoreUnavailable,
            E::Unstaged => Code::EpochRunning,
            E::Corrupt(_) => Code::StoreCorrupt,
            E::Unsupported(_) => Code::StoreUnsupported,
        };
        Self::new(code, error.to_string())
    }
}

impl From<crate::keys::Error> for Fault {
    fn from(error: crate::keys::Error) -> Self {
        Self::new(Code::KeyUnusable, error.to_string())
    }
}

/// One row of the published registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Registered {
    /// The wire name.
    pub code: &'static str,
    /// A short title.
    pub title: &'static str,
    /// What it means and what to do.
    pub meaning: &'static str,
}

/// Every code that this program can answer with, ascending.
pub fn registry() -> Vec<Registered> {
    use goodstanding_score::policy::PolicyCode;
    use goodstanding_simulate::SimulateCode;
    let ours = Code::ALL
        .iter()
        .map(|c| (c.as_str(), c.title(), c.meaning()));
    let verify = goodstanding_verify::code::Code::ALL
        .iter()
        .map(|c| (c.as_str(), c.title(), c.meaning()));
    let policy = PolicyCode::ALL
        .iter()
        .map(|c| (c.as_str(), c.title(), c.meaning()));
    let simulate = SimulateCode::ALL
        .iter()
        .map(|c| (c.as_str(), c.title(), c.meaning()));
    let mut all: Vec<_> = ours
        .chain(verify)
        .chain(policy)
        .chain(simulate)
        .map(|(code, title, meaning)| Registered {
            code,
            title,
            meaning,
        })
        .collect();
    all.sort_by_key(|r| r.code);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let all = registry();
        assert!(
            all.windows(2).all(|w| w[0].code < w[1].code),
            "a code is registered twice"
        );
        for row in all {
            assert!(
                row.code
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._".contains(&b)),
                "{}",
                row.code
            );
            assert!(
                !row.title.is_empty() && row.meaning.ends_with('.'),
                "{}",
                row.code
            );
        }
    }
}
