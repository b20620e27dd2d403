//! Stable error codes of the service, and the registry that joins them with the verifier's and the policy's.

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
        "The write did not complete. Send the same bytes again: what was stored is recognised.";
    StoreCorrupt = "store.corrupt", "The database contradicts itself", "An operator has to look at it before anything else is written; restore a newer copy of the data directory.";
    StoreUnsupported = "store.unsupported", "The database cannot be used", "The message says what is missing.";
    DataLocked = "data.locked", "The data directory is in use",
        "Another process has this data directory open, most likely a running service. `scores`, `policy show` and `access grant` work beside it; POST /v1/epochs computes an epoch; for the rest, stop it.";
    DataUnwritable = "data.unwritable", "The data directory cannot be written",
        "A writer has to make and change files there: check owner, permissions, and whether the file system is mounted read-only. `scores`, `policy show` and other reading commands work all the same.";
    DataMissing = "data.missing", "No data directory here", "Name one with --data, or make one with `serve` or `import`.";
    DataMismatch = "data.mismatch", "The data directory was made with other settings",
        "Origin and issuer are fixed when a data directory is made.";
    LogBehindGuard = "log.behind_guard", "The log is behind what was published",
        "The database is older than, or different from, the last published checkpoint. Serving it would fork the log: restore a newer copy.";
    LogClosed = "log.closed", "The log takes no more entries", "The process is shutting down, or the log stopped after an error it could not explain.";
    NotHolder = "holder.not_subject", "Token of another agent", "The key is not that of the agent that the token is about; check the key file, or alias and key seed.";
    KeyUnusable = "key.unusable", "A key file cannot be used", "The message names the file and what is wrong with it.";
    NotPublished = "log.not_published", "Not published yet", "The entry is durable but no published checkpoint covers it yet. Try again after Retry-After seconds.";
    LeafUnknown = "log.leaf_unknown", "No such entry", "The log is shorter than this.";
    TileUnknown = "log.tile_unknown", "No such tile", "No published tree has this tile at this width, or the path is not its canonical spelling.";
    EpochUnknown = "epoch.unknown", "No such epoch", "Epochs need trust roots (`policy set --seeds`) and are computed by `epoch`, POST /v1/epochs, or hourly.";
    EpochAsOf = "epoch.as_of_decreases", "Epoch time would go back", "as_of of an epoch is never before the one of the epoch before it.";
    EpochAsOfFuture = "epoch.as_of_in_future", "Epoch time is in the future", "as_of is in Unix seconds and at most now.";
    EpochUnchanged = "epoch.unchanged", "Nothing new to score", "The log has no entry since the newest epoch.";
    EpochOtherCode = "epoch.other_code", "Computed by another version", "The newest epoch was computed by another version of the scoring function; explanations come with the next epoch.";
    ClockBehind = "log.clock_behind", "The clock is behind the log", "The newest entry is more than a minute ahead of this machine's clock. Set the clock; nothing was stored.";
    SeedsEmpty = "policy.seeds_empty", "No trust roots named", "Name at least one agent; nothing was logged.";
    PolicyVersion = "policy.version_wrong", "Policy version out of order", "Another policy was logged meanwhile; start from that one.";
    EpochNoReports = "epoch.no_reports", "No reports to score", "The log has no report that this epoch would cover.";
    EpochRunning = "epoch.running", "An epoch is being computed", "One epoch is computed at a time. Try again after Retry-After seconds.";
    AgentUnknown = "agent.unknown", "No such agent", "The agent is in no epoch, or the alias is not known in this data directory.";
    AliasTaken = "agent.alias_taken", "Alias of another key", "This data directory knows the alias under another key; use the same --key-seed.";
    TokenHolder = "token.holder_unproven", "Possession of the key is not proven",
        "The proof must be an openid4vci-proof+jwt by the agent's own key, for this issuer, over a fresh nonce.";
    NonceUnknown = "token.nonce_unknown", "Unknown or used nonce", "Fetch a new nonce from /oid4vci/nonce; each is good for one request within five minutes.";
    StatusListUnknown = "status.list_unknown", "No such status list", "No token has a place in a list of this number; /v1/status-lists names those there are.";
    AuthMissing = "auth.missing", "Authentication needed", "Send `Authorization: Bearer <token>` from `goodstanding access grant`.";
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
    ImportInvalid = "import.invalid", "Import file not valid", "The detail names the line and the column.";
    ImportOrder = "import.not_ascending", "Rows not in time order", "Rows of an import must be in ascending time.";
    InputUnreadable = "input.unreadable", "Input could not be read", "The message names the file.";
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

impl From<crate::store::Error> for Fault {
    fn from(error: crate::store::Error) -> Self {
        use crate::store::Error as E;
        let code = match &error {
            E::HeadMoved | E::Unavailable(_) => Code::StoreUnavailable,
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
    let ours = Code::ALL
        .iter()
        .map(|c| (c.as_str(), c.title(), c.meaning()));
    let verify = goodstanding_verify::code::Code::ALL
        .iter()
        .map(|c| (c.as_str(), c.title(), c.meaning()));
    let policy = PolicyCode::ALL
        .iter()
        .map(|c| (c.as_str(), c.title(), c.meaning()));
    let mut all: Vec<_> = ours
        .chain(verify)
        .chain(policy)
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
