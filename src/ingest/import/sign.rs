//! Signing as the agents that an import file names.

use std::collections::{BTreeSet, HashMap};

use goodstanding_verify::{
    b64,
    did::Did,
    digest::sha256,
    report::{AuctionFormat, REPORT_TYP, Role, Status, TaskClass, TradeKind},
};
use rayon::prelude::*;
use serde::Serialize;

use super::row::{Auction, Row};
use crate::{
    code::{Code, Fault},
    keys::SecretKey,
};

/// `typ` of the counterparty's terms.
pub const TERMS_TYP: &str = "trade-terms+jwt";
/// How long the terms of an imported trade stay open after it closed, seconds.
const TERMS_LIFE_S: u64 = 86_400;

/// Agents by alias, with their keys.
#[derive(Debug, Default)]
pub struct Agents(HashMap<String, Agent>);

#[derive(Debug)]
struct Agent {
    key: SecretKey,
    did: Did,
}

impl Agents {
    /// Derives the key of every alias from the key seed.
    pub fn derive(key_seed: &str, aliases: BTreeSet<String>) -> Self {
        let aliases: Vec<_> = aliases.into_iter().collect();
        let agent = |alias: String| {
            let key = SecretKey::of_alias(key_seed, &alias);
            let did = key.did();
            (alias, Agent { key, did })
        };
        Self(aliases.into_par_iter().map(agent).collect())
    }

    /// The DID behind an alias.
    pub fn did(&self, alias: &str) -> Option<Did> {
        self.0.get(alias).map(|agent| agent.did)
    }

    /// The key behind an alias.
    pub fn key(&self, alias: &str) -> Option<&SecretKey> {
        self.0.get(alias).map(|agent| &agent.key)
    }

    /// Every alias and its DID, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Did)> {
        self.0
            .iter()
            .map(|(alias, agent)| (alias.as_str(), agent.did))
    }

    fn agent(&self, alias: &str) -> Result<&Agent, Fault> {
        self.0
            .get(alias)
            .ok_or_else(|| Fault::new(Code::AgentUnknown, format!("no key for {alias}")))
    }

    /// The report of a row as its reporter signs it; the same row and key seed give the same bytes.
    ///
    /// # Errors
    /// `agent.unknown` when the row names an alias that is not among these.
    pub fn sign(&self, row: &Row) -> Result<String, Fault> {
        let (reporter, subject) = (self.agent(&row.reporter)?, self.agent(&row.subject)?);
        let text = row.cells().join("\0");
        let terms = row
            .countersigned
            .then(|| self.sign_terms(row, &text))
            .transpose()?;
        let payload = Payload {
            iss: reporter.did,
            sub: subject.did,
            jti: fixed_id("goodstanding/import/jti\0", &text),
            iat: row.time,
            trade: Trade {
                id: &row.trade_id,
                market: &row.market,
                kind: row.kind,
                role: row.role,
                amount: &row.amount,
                currency: &row.currency,
                closed_at: row.time,
                resource: row.resource.as_deref(),
                units: row.units.as_deref(),
                swap_id: row.swap_id.as_deref(),
                auction: row.auction.as_ref().map(|a| self.auction(a)).transpose()?,
            },
            outcome: Outcome {
                status: row.status,
                quality_bp: row.quality_bp,
                on_time: row.on_time,
                claimed_quality_bp: row.claimed_quality_bp,
            },
            evidence: terms.map(|document| {
                [Evidence {
                    kind: "terms",
                    document,
                }]
            }),
        };
        reporter
            .key
            .sign_agent(REPORT_TYP, &payload)
            .map_err(|e| Fault::new(Code::Internal, e.to_string()))
    }

    /// The subject's consent to be rated on this trade.
    fn sign_terms(&self, row: &Row, text: &str) -> Result<String, Fault> {
        let (reporter, subject) = (self.agent(&row.reporter)?, self.agent(&row.subject)?);
        let (buyer, seller) = match row.role {
            Role::Buyer => (reporter.did, subject.did),
            Role::Seller => (subject.did, reporter.did),
        };
        let terms = Terms {
            iss: subject.did,
            trade_id: &row.trade_id,
            market: &row.market,
            buyer,
            seller,
            kind: row.kind,
            amount: &row.amount,
            currency: &row.currency,
            iat: row.time,
            exp: row.time + TERMS_LIFE_S,
            jti: fixed_id("goodstanding/import/terms\0", text),
        };
        subject
            .key
            .sign_agent(TERMS_TYP, &terms)
            .map_err(|e| Fault::new(Code::Internal, e.to_string()))
    }

    fn auction<'a>(&self, auction: &'a Auction) -> Result<AuctionMember<'a>, Fault> {
        let bids = auction
            .bids
            .iter()
            .map(|(who, amount)| {
                Ok(Bid {
                    bidder: self.agent(who)?.did,
                    amount,
                })
            })
            .collect::<Result<_, Fault>>()?;
        Ok(AuctionMember {
            id: &auction.id,
            format: auction.format,
            reserve: auction.reserve.as_deref(),
            task_class: auction.task_class,
            utilisation_bp: auction.utilisation_bp,
            bids,
        })
    }
}

/// An id that the row's text alone decides, so that importing it again changes nothing.
fn fixed_id(domain: &str, text: &str) -> String {
    let mut id = b64::url_encode(sha256(format!("{domain}{text}").as_bytes()).0);
    id.truncate(24);
    id
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: Did,
    sub: Did,
    jti: String,
    iat: u64,
    trade: Trade<'a>,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<[Evidence; 1]>,
}

#[derive(Serialize)]
struct Trade<'a> {
    id: &'a str,
    market: &'a str,
    kind: TradeKind,
    role: Role,
    amount: &'a str,
    currency: &'a str,
    closed_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auction: Option<AuctionMember<'a>>,
}

#[derive(Serialize)]
struct AuctionMember<'a> {
    id: &'a str,
    format: AuctionFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_class: Option<TaskClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utilisation_bp: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bids: Vec<Bid<'a>>,
}

#[derive(Serialize)]
struct Bid<'a> {
    bidder: Did,
    amount: &'a str,
}

#[derive(Serialize)]
struct Outcome {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality_bp: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_time: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_quality_bp: Option<u16>,
}

#[derive(Serialize)]
struct Evidence {
    #[serde(rename = "type")]
    kind: &'static str,
    document: String,
}

#[derive(Serialize)]
struct Terms<'a> {
    iss: Did,
    trade_id: &'a str,
    market: &'a str,
    buyer: Did,
    seller: Did,
    kind: TradeKind,
    amount: &'a str,
    currency: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
}

#[cfg(test)]
mod tests {
    use super::{super::row::Rows, *};
    use goodstanding_verify::report::{Evidence as Verified, Report};

    fn rows(lines: &[&str]) -> Vec<Row> {
        let text = format!(
            "{}\n{}\n",
            super::super::row::COLUMNS.join(","),
            lines.join("\n")
        );
        Rows::read(Box::new(std::io::Cursor::new(text)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn signed_rows_verify_and_are_the_same_every_time() {
        let rows = rows(&[
            "1767270671,t1,query-a,purchase,alice,bob,buyer,0.0001,USDC,143,,fulfilled,9000,true,,,,,,,,,countersigned",
            "1767270671,t1,query-a,purchase,bob,alice,seller,0.0001,USDC,143,,fulfilled,10000,,9500,,,,,,,,",
            "1767270672,t2,gpu,compute_auction,alice,bob,seller,2,CREDIT,,gpu,partial,4000,false,,,au1,forward,0.5,urgent,9000,carol:1.5,countersigned",
        ]);
        let aliases = rows
            .iter()
            .flat_map(Row::aliases)
            .map(str::to_owned)
            .collect();
        let agents = Agents::derive("seed", aliases);
        for row in &rows {
            let jws = agents.sign(row).unwrap();
            assert_eq!(jws, agents.sign(row).unwrap());
            let report = Report::verify(&jws).unwrap();
            assert_eq!(Some(report.iss), agents.did(&row.reporter));
            assert_eq!((report.iat, report.trade.closed_at), (row.time, row.time));
            assert_eq!(
                report
                    .evidence
                    .iter()
                    .any(|e| matches!(e, Verified::Terms(_))),
                row.countersigned
            );
        }
        assert_eq!(
            agents.did("alice"),
            Some(SecretKey::of_alias("seed", "alice").did())
        );
        assert_ne!(
            Agents::derive("other", BTreeSet::from(["alice".into()])).did("alice"),
            agents.did("alice")
        );
        assert!(
            Agents::default()
                .sign(&rows[0])
                .unwrap_err()
                .is(Code::AgentUnknown)
        );
    }
}
