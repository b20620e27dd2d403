//! Epochs' rows against their entries, and every score tree rebuilt from its statements. Also the tokens over them.

use std::collections::HashSet;

use goodstanding_verify::{
    claims::Claims,
    did::Did,
    digest::sha256,
    entry::EpochEntry,
    json,
    merkle::Hash,
    statement::{self, Statement},
};
use rayon::prelude::*;

use super::{Counted, Findings, tiles::TreeWalk, walk::Told};
use crate::{
    code::Code,
    store::{
        Error,
        snapshot::{EpochRow, Snapshot, StatementRow, Table},
    },
    token::status::LIST_SIZE,
};

/// Statements fetched at a time.
const PAGE: u32 = 1000;

pub(super) async fn check(
    snapshot: &mut dyn Snapshot,
    told: &Told,
    findings: &mut Findings,
    counted: &mut Counted,
) -> Result<(), Error> {
    for (index, entry) in &told.epochs {
        counted.epochs += 1;
        let place = format!("epoch {}", entry.number);
        let row = snapshot.epochs(entry.number, 1).await?.pop();
        let Some(row) = row.filter(|row| row.number == entry.number) else {
            findings.add(
                Code::FsckEpoch,
                place,
                format!("is entry {index} and has no row"),
            );
            continue;
        };
        if row.idx != *index {
            let detail = format!("its row points at entry {}, it is entry {index}", row.idx);
            findings.add(Code::FsckEpoch, &place, detail);
        }
        let Some(salt_key) = salt_key(&row, entry) else {
            findings.add(
                Code::FsckEpoch,
                &place,
                "its salt key is not the one that the entry commits to",
            );
            continue;
        };
        statements(entry, &salt_key, snapshot, findings, counted).await?;
    }
    strays(snapshot, told, findings).await?;
    tokens(snapshot, findings, counted).await
}

/// Epochs that the log does not know.
async fn strays(
    snapshot: &mut dyn Snapshot,
    told: &Told,
    findings: &mut Findings,
) -> Result<(), Error> {
    let logged: HashSet<u64> = told.epochs.iter().map(|(_, epoch)| epoch.number).collect();
    let mut from = 0;
    loop {
        let page = snapshot.epochs(from, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        from = last.number.saturating_add(1);
        for row in page.iter().filter(|row| !logged.contains(&row.number)) {
            findings.add(
                Code::FsckEpoch,
                format_args!("epoch {}", row.number),
                "has a row and no entry",
            );
        }
    }
}

fn salt_key(row: &EpochRow, entry: &EpochEntry) -> Option<[u8; 32]> {
    let key: [u8; 32] = row.salt_key.as_slice().try_into().ok()?;
    (sha256(&key) == entry.salt_key_sha256).then_some(key)
}

async fn statements(
    entry: &EpochEntry,
    salt_key: &[u8; 32],
    snapshot: &mut dyn Snapshot,
    findings: &mut Findings,
    counted: &mut Counted,
) -> Result<(), Error> {
    let epoch = entry.number;
    let mut tree = TreeWalk::new(epoch, entry.statements);
    let mut previous: Option<Vec<u8>> = None;
    let mut next = 0;
    loop {
        let page = snapshot.statements(epoch, next, PAGE).await?;
        let Some(last) = page.last() else { break };
        let after = last.leaf.saturating_add(1);
        let leaves: Vec<Result<Hash, String>> = page
            .par_iter()
            .map(|row| leaf(row, epoch, salt_key))
            .collect();
        for (row, hash) in page.into_iter().zip(leaves) {
            let place = format!("epoch {epoch}, statement {}", row.leaf);
            if row.leaf >= entry.statements {
                findings.add(
                    Code::FsckStatement,
                    place,
                    format!("the epoch has {} statements", entry.statements),
                );
                continue;
            }
            while next < row.leaf {
                findings.add(
                    Code::FsckStatement,
                    format_args!("epoch {epoch}, statement {next}"),
                    "is missing",
                );
                tree.push(None, snapshot, findings).await?;
                next += 1;
            }
            if row.agent.is_some() && row.agent <= previous {
                findings.add(
                    Code::FsckStatement,
                    &place,
                    "agents are not in ascending order",
                );
            }
            previous.clone_from(&row.agent);
            if let Err(why) = &hash {
                findings.add(Code::FsckStatement, &place, why.as_str());
            }
            tree.push(hash.ok(), snapshot, findings).await?;
            counted.statements += 1;
            next += 1;
        }
        next = next.max(after);
    }
    let have = next.min(entry.statements);
    if have < entry.statements {
        let detail = format!("has {have} of {} statements", entry.statements);
        findings.add(Code::FsckStatement, format_args!("epoch {epoch}"), detail);
        return Ok(());
    }
    if !tree.settle(&entry.score_root.0, findings) {
        let detail = "its statements do not rebuild the score root of its entry";
        findings.add(Code::FsckStatement, format_args!("epoch {epoch}"), detail);
    }
    tree.finish(snapshot, findings).await
}

fn leaf(row: &StatementRow, epoch: u64, salt_key: &[u8; 32]) -> Result<Hash, String> {
    let key: &[u8; 32] = row
        .agent
        .as_deref()
        .and_then(|key| key.try_into().ok())
        .ok_or("its agent is unknown")?;
    let agent = Did::from_key_bytes(key).map_err(|e| e.to_string())?;
    json::parse_canonical(row.claims.as_bytes())
        .map_err(|e| format!("its claims are not canonical: {e}"))?;
    let claims: Claims =
        serde_json::from_str(&row.claims).map_err(|e| format!("its claims do not parse: {e}"))?;
    let disclosures =
        statement::disclosures(&claims, salt_key, &agent).map_err(|e| e.to_string())?;
    let statement = Statement::new(agent, epoch, disclosures.iter().map(|d| d.digest))
        .map_err(|e| e.to_string())?;
    Ok(statement.leaf_hash())
}

async fn tokens(
    snapshot: &mut dyn Snapshot,
    findings: &mut Findings,
    counted: &mut Counted,
) -> Result<(), Error> {
    counted.tokens = snapshot.count(Table::Tokens).await?;
    for token in snapshot.odd_tokens(LIST_SIZE).await? {
        let place = format!("token {} of status list {}", token.idx, token.list);
        let detail = if token.stated {
            format!(
                "impossible place or times: iat {}, exp {}",
                token.iat, token.exp
            )
        } else {
            format!("its agent has no statement in epoch {}", token.epoch)
        };
        findings.add(Code::FsckToken, place, detail);
    }
    Ok(())
}
