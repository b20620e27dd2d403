//! Reports as they come in: what scoring needs of each in a fixed number of bytes, under any policy.
//!
//! A report takes 120 bytes here: a row of 40, its id 32, its trade's key 32, index and log time 8 each. Agents, markets and
//! currencies are held once; an attestation or a signed receipt takes 72 bytes more.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use goodstanding_verify::{
    did::Did,
    digest::Digest,
    report::{Evidence as Document, Report, ReportId},
};

use super::{
    Admitted, Evidence, build, narrow,
    row::{Row, TradeKey},
    wide,
};
use crate::policy::Policy;

/// The reports of a log, compact, without any policy's judgement.
///
/// Reports may be pushed one by one or come in ledgers of their own, parsed in parallel and [appended](Self::append); their
/// order does not matter for the evidence, though log order is fastest. Holds at most 2^32 − 1 reports, some 500 GB of them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    agents: Interner<Did>,
    markets: Interner<String>,
    currencies: Interner<String>,
    columns: Columns,
}

/// What is known of each report, in order of arrival.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// Index of the log entry.
    pub(super) indices: Vec<u64>,
    /// Log time, Unix milliseconds.
    pub(super) at_ms: Vec<u64>,
    pub(super) ids: Vec<ReportId>,
    pub(super) trades: Vec<TradeKey>,
    pub(super) rows: Vec<Row>,
    /// Ascending by report.
    pub(super) documents: Vec<Signed>,
}

/// A document of which a third party's or the counterparty's signature was verified: it lifts one report at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed {
    /// Place of the report.
    pub(super) report: u32,
    /// An attestation lifts only by a third party's key, a receipt by the counterparty's too.
    pub(super) receipt: bool,
    pub(super) signer: Did,
    pub(super) sha256: Digest,
}

/// The names that the numbers of the columns stand for.
pub(super) struct Names {
    pub(super) agents: Vec<Did>,
    pub(super) markets: Vec<String>,
    pub(super) currencies: Vec<String>,
}

impl Ledger {
    /// One more report: index of its log entry, log time in Unix milliseconds.
    pub fn push(&mut self, index: u64, at_ms: u64, report: &Report) {
        let mut row = Row::of(report);
        row.rater = self.agents.place(&report.iss);
        row.subject = self.agents.place(&report.sub);
        row.market = self.markets.place(report.trade.market.as_str());
        row.currency = self.currencies.place(report.trade.currency.as_str());
        let columns = &mut self.columns;
        let place = narrow(columns.rows.len());
        columns.indices.push(index);
        columns.at_ms.push(at_ms);
        columns.ids.push(report.id);
        columns.trades.push(TradeKey::of(&report.trade.id));
        columns.rows.push(row);
        let signed = report
            .evidence
            .iter()
            .filter_map(|document| match document {
                Document::Market { attestor, sha256 } => Some((false, *attestor, *sha256)),
                Document::Receipt {
                    signer: Some(signer),
                    sha256,
                    ..
                } => Some((true, *signer, *sha256)),
                // Terms are in the row; a receipt that nobody signed and a bare digest lift nothing.
                Document::Receipt { signer: None, .. } | Document::Terms(_) | Document::Hash(_) => {
                    None
                }
            });
        columns
            .documents
            .extend(signed.map(|(receipt, signer, sha256)| Signed {
                report: place,
                receipt,
                signer,
                sha256,
            }));
    }

    /// All reports of another ledger, behind those that are here.
    pub fn append(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let agents = self.agents.renumber(other.agents);
        let markets = self.markets.renumber(other.markets);
        let currencies = self.currencies.renumber(other.currencies);
        let (columns, mut theirs) = (&mut self.columns, other.columns);
        let first = narrow(columns.rows.len());
        columns.indices.append(&mut theirs.indices);
        columns.at_ms.append(&mut theirs.at_ms);
        columns.ids.append(&mut theirs.ids);
        columns.trades.append(&mut theirs.trades);
        for row in &mut theirs.rows {
            row.rater = agents[wide(row.rater)];
            row.subject = agents[wide(row.subject)];
            row.market = markets[wide(row.market)];
            row.currency = currencies[wide(row.currency)];
        }
        columns.rows.append(&mut theirs.rows);
        let documents = theirs.documents.into_iter();
        columns.documents.extend(documents.map(|signed| Signed {
            report: first.saturating_add(signed.report),
            ..signed
        }));
    }

    /// Number of reports.
    pub fn len(&self) -> usize {
        self.columns.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.columns.rows.is_empty()
    }

    /// Whether the report of the log entry at `index` is here. The ledger must have been filled in log order.
    pub fn has(&self, index: u64) -> bool {
        self.columns.indices.binary_search(&index).is_ok()
    }

    /// The evidence of all reports under a policy. Takes about as much memory again as agents and markets do, not reports.
    pub fn into_evidence(self, policy: &Policy) -> Evidence {
        let names = Names {
            agents: self.agents.list(),
            markets: self.markets.list(),
            currencies: self.currencies.list(),
        };
        drop((self.agents, self.markets, self.currencies));
        build::evidence(self.columns, names, policy)
    }

    /// The evidence of the reports that `keep` (index, log time in Unix milliseconds, id) wants; the ledger stays as it is.
    pub fn evidence_of(
        &self,
        keep: impl Fn(u64, u64, &ReportId) -> bool,
        policy: &Policy,
    ) -> Evidence {
        let all = &self.columns;
        let mut chosen = Columns::default();
        let mut documents = all.documents.iter().peekable();
        for place in 0..self.len() {
            let (index, at_ms, id) = (all.indices[place], all.at_ms[place], all.ids[place]);
            let kept = keep(index, at_ms, &id);
            let report = narrow(chosen.rows.len());
            if kept {
                chosen.indices.push(index);
                chosen.at_ms.push(at_ms);
                chosen.ids.push(id);
                chosen.trades.push(all.trades[place]);
                chosen.rows.push(all.rows[place]);
            }
            while let Some(signed) = documents.next_if(|d| wide(d.report) == place) {
                chosen
                    .documents
                    .extend(kept.then_some(Signed { report, ..*signed }));
            }
        }
        let names = Names {
            agents: self.agents.list(),
            markets: self.markets.list(),
            currencies: self.currencies.list(),
        };
        build::evidence(chosen, names, policy)
    }
}

impl<'a> Extend<&'a Admitted> for Ledger {
    fn extend<I: IntoIterator<Item = &'a Admitted>>(&mut self, admitted: I) {
        for a in admitted {
            self.push(a.index, a.at_ms, &a.report);
        }
    }
}

impl<'a> FromIterator<&'a Admitted> for Ledger {
    fn from_iter<I: IntoIterator<Item = &'a Admitted>>(admitted: I) -> Self {
        let mut ledger = Self::default();
        ledger.extend(admitted);
        ledger
    }
}

/// Numbers for things that occur often, in order of first occurrence.
#[derive(Clone, Debug)]
struct Interner<T>(HashMap<T, u32>);

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Hash + Eq> Interner<T> {
    fn place<Q: Hash + Eq + ToOwned<Owned = T> + ?Sized>(&mut self, item: &Q) -> u32
    where
        T: Borrow<Q>,
    {
        if let Some(place) = self.0.get(item) {
            return *place;
        }
        let place = narrow(self.0.len());
        self.0.insert(item.to_owned(), place);
        place
    }

    /// Takes in the items of another interner; the numbers here of its numbers.
    fn renumber(&mut self, other: Self) -> Vec<u32> {
        let mut places = vec![0; other.0.len()];
        for (item, theirs) in other.0 {
            let next = narrow(self.0.len());
            places[wide(theirs)] = *self.0.entry(item).or_insert(next);
        }
        places
    }

    /// The items by number.
    fn list(&self) -> Vec<T>
    where
        T: Clone,
    {
        let mut items: Vec<(u32, &T)> = self.0.iter().map(|(item, place)| (*place, item)).collect();
        items.sort_unstable_by_key(|(place, _)| *place);
        items.into_iter().map(|(_, item)| item.clone()).collect()
    }
}
