//! Every epoch recomputed: from its reports, its policy and its salt key to the root that the log committed to.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use goodstanding_score::{
    evidence::{Evidence, Ledger},
    policy::Policy,
};
use goodstanding_verify::{
    claims::Claims,
    did::Did,
    digest::sha256,
    entry::EpochEntry,
    frontier::Frontier,
    merkle::EMPTY_ROOT,
    report::ReportId,
    statement::{Statement, disclosures},
};
use serde_json::{Map, Value};

use super::{
    finding::{Failure, Place},
    replay::{InForce, Logged, Replay},
    source::{ServedStatement, Source},
};
use crate::{
    code::{Code, Fault},
    epoch::compute::{Terms, from_evidence},
    ingest::blocking,
};

/// Claims that a disagreement shows at most.
const SHOWN: usize = 8;

/// What came of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It recomputes to its roots; these agents are reached by flow.
    Recomputed(HashSet<Did>),
    /// It covered reports that were erased since; what is served rebuilds to its root.
    NotRecomputable {
        /// How many.
        erased: u64,
    },
}

/// The evidence of an epoch: of all reports with index below its `log_size` and `at` not after its `as_of`, but those erased in its
/// prefix.
pub(super) fn evidence(
    reports: &Ledger,
    epoch: &EpochEntry,
    left_out: &HashSet<ReportId>,
    policy: &Policy,
) -> Evidence {
    let until_ms = epoch.as_of.saturating_mul(1000);
    let covers = |index: u64, at_ms: u64, id: &ReportId| {
        index < epoch.log_size && at_ms <= until_ms && !left_out.contains(id)
    };
    reports.evidence_of(covers, policy)
}

/// Ids that an epoch leaves out although this audit has their bytes.
pub(super) fn left_out(replay: &Replay, epoch: &EpochEntry) -> HashSet<ReportId> {
    if replay.leaves_out_held(epoch.log_size) {
        replay.left_out(epoch.log_size).copied().collect()
    } else {
        HashSet::new()
    }
}

/// Checks an epoch. `reports` are all reports in front of its entry whose bytes there are.
///
/// # Errors
/// `audit.salt_key_wrong`, `audit.score_root_wrong`, `audit.flags_root_wrong`, `audit.statement_wrong`, `audit.epoch_invalid`,
/// `audit.missing`.
pub(super) async fn check(
    source: &dyn Source,
    logged: &Logged,
    policy: &InForce,
    reports: &mut Ledger,
    replay: &Replay,
) -> Result<Outcome, Failure> {
    let entry = &logged.entry;
    let place = || Place::Epoch(entry.number, logged.index);
    let at = |code, detail: String| Failure::at(code, place(), detail);
    let salt_key = source.salt_key(entry.number).await?;
    let salt_key =
        salt_key.ok_or_else(|| at(Code::AuditMissing, "its salt key is not served".to_owned()))?;
    if sha256(&salt_key) != entry.salt_key_sha256 {
        let detail = format!(
            "the served salt key hashes to {}",
            sha256(&salt_key).to_std()
        );
        return Err(at(Code::AuditSaltKey, detail));
    }
    // No detection runs yet, so there are no flags.
    if entry.flags_root.0 != EMPTY_ROOT {
        let detail = format!(
            "flags_root {}, recomputed without flags",
            entry.flags_root.to_std()
        );
        return Err(at(Code::AuditFlagsRoot, detail));
    }
    let erased = replay.lost_to(entry);
    if erased > 0 {
        rebuild(source, logged, &salt_key).await?;
        return Ok(Outcome::NotRecomputable { erased });
    }
    let left_out = left_out(replay, entry);
    let all = std::mem::take(reports);
    let (policy, epoch) = (policy.policy.clone(), entry.clone());
    let terms = Terms {
        number: entry.number,
        as_of: entry.as_of,
        salt_key,
        erased: replay.erasures_below(entry.log_size),
    };
    let (all, computed) = blocking(move || {
        let evidence = evidence(&all, &epoch, &left_out, &policy);
        let computed = from_evidence(terms, evidence, policy.as_ref().clone());
        (all, computed)
    })
    .await?;
    *reports = all;
    let computed = computed.map_err(|fault| Failure::caused(Code::AuditEpoch, place(), fault))?;
    let count = u64::try_from(computed.statements.len()).unwrap_or(u64::MAX);
    let same_root = computed.score_root == entry.score_root.0;
    if same_root && count != entry.statements {
        let detail = format!("statements {}, recomputed {count}", entry.statements);
        return Err(at(Code::AuditEpoch, detail));
    }
    let code = if same_root {
        Code::AuditStatement
    } else {
        Code::AuditScoreRoot
    };
    let mine = computed.statements.iter().map(|(a, _, c)| (*a, c.as_str()));
    compare(source, logged, mine, code).await?;
    if !same_root {
        let detail = format!(
            "score_root {}, recomputed {}; the served statements are the recomputed ones",
            entry.score_root.to_std(),
            goodstanding_verify::digest::Digest(computed.score_root).to_std()
        );
        return Err(at(code, detail));
    }
    let reached = computed.statements.into_iter();
    let reached = reached.filter_map(|(agent, reached, _)| reached.then_some(agent));
    Ok(Outcome::Recomputed(reached.collect()))
}

/// Looks for the first agent whose served statement is not the recomputed one.
async fn compare<'a>(
    source: &dyn Source,
    logged: &Logged,
    mut recomputed: impl Iterator<Item = (Did, &'a str)>,
    code: Code,
) -> Result<(), Failure> {
    let number = logged.entry.number;
    let differs =
        |agent: Did, detail: String| Failure::at(code, Place::Agent(number, agent), detail);
    let mut served = source.statements(number, logged.index);
    loop {
        let next = served.next().await.transpose()?;
        let (theirs, mine) = match (next, recomputed.next()) {
            (None, None) => return Ok(()),
            (Some(theirs), None) => {
                return Err(differs(theirs.agent, "served, not recomputed".to_owned()));
            }
            (None, Some((agent, _))) => {
                return Err(differs(agent, "recomputed, not served".to_owned()));
            }
            (Some(theirs), Some(mine)) => (theirs, mine),
        };
        if theirs.agent < mine.0 {
            return Err(differs(theirs.agent, "served, not recomputed".to_owned()));
        }
        if theirs.agent > mine.0 {
            return Err(differs(mine.0, "recomputed, not served".to_owned()));
        }
        if theirs.claims != mine.1 {
            return Err(differs(mine.0, difference(&theirs.claims, mine.1)));
        }
    }
}

/// The claims that differ, with both values.
fn difference(served: &str, recomputed: &str) -> String {
    let members = |text: &str| match serde_json::from_str(text) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let (served, recomputed) = (members(served), members(recomputed));
    let shown =
        |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let names: std::collections::BTreeSet<&String> =
        served.keys().chain(recomputed.keys()).collect();
    let differing: Vec<String> = names
        .into_iter()
        .filter(|name| served.get(*name) != recomputed.get(*name))
        .map(|name| {
            let (theirs, mine) = (shown(served.get(name)), shown(recomputed.get(name)));
            format!("{name} is {theirs}, recomputed {mine}")
        })
        .collect();
    if differing.is_empty() {
        return "its claims are not in canonical form".to_owned();
    }
    let more = differing.len().saturating_sub(SHOWN);
    let mut text = differing
        .into_iter()
        .take(SHOWN)
        .collect::<Vec<_>>()
        .join("; ");
    if more > 0 {
        text = format!("{text}; and {more} more");
    }
    text
}

/// Rebuilds the score tree from what is served.
async fn rebuild(source: &dyn Source, logged: &Logged, salt_key: &[u8; 32]) -> Result<(), Failure> {
    let entry = &logged.entry;
    let number = entry.number;
    let mut tree = Frontier::default();
    let mut last: Option<Did> = None;
    let mut served = source.statements(number, logged.index);
    while let Some(statement) = served.next().await.transpose()? {
        let place = || Place::Agent(number, statement.agent);
        // Nobody can make us read on for ever.
        if tree.size() >= entry.statements {
            let detail = format!("served beyond the epoch's {} statements", entry.statements);
            return Err(Failure::at(Code::AuditStatement, place(), detail));
        }
        if last.is_some_and(|last| last >= statement.agent) {
            let detail = "served out of order".to_owned();
            return Err(Failure::at(Code::AuditStatement, place(), detail));
        }
        last = Some(statement.agent);
        let leaf = leaf(&statement, number, salt_key)
            .map_err(|fault| Failure::caused(Code::AuditStatement, place(), fault))?;
        tree.push(leaf);
    }
    if tree.root() == entry.score_root.0 && tree.size() == entry.statements {
        return Ok(());
    }
    let detail = format!(
        "the {} served statements do not rebuild to the score_root of {}",
        tree.size(),
        entry.statements
    );
    let place = Place::Epoch(number, logged.index);
    Err(Failure::at(Code::AuditStatement, place, detail))
}

fn leaf(
    served: &ServedStatement,
    number: u64,
    salt_key: &[u8; 32],
) -> Result<goodstanding_verify::merkle::Hash, Fault> {
    let claims: Claims = serde_json::from_str(&served.claims)
        .map_err(|e| Fault::new(Code::AuditStatement, format!("not claims: {e}")))?;
    let disclosures = disclosures(&claims, salt_key, &served.agent)?;
    let digests = disclosures.iter().map(|d| d.digest);
    Ok(Statement::new(served.agent, number, digests)?.leaf_hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_both_values() {
        assert_eq!(
            difference(r#"{"a":1,"b":[2],"c":3}"#, r#"{"a":1,"b":[4],"d":"x"}"#),
            r#"b is [2], recomputed [4]; c is 3, recomputed nothing; d is nothing, recomputed "x""#
        );
        let canonical = difference(r#"{"a": 1}"#, r#"{"a":1}"#);
        assert_eq!(canonical, "its claims are not in canonical form");
    }
}
