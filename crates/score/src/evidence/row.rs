//! One report as evidence keeps it: forty bytes, everything else by index.

use goodstanding_verify::{
    digest::sha256,
    report::{Evidence as Document, Report, Role, Status, TradeKind},
};

use super::Level;

/// Stands for a number that a report does not give.
pub(super) const NONE: u16 = u16::MAX;

const SELLER: u16 = 1;
const KIND: u16 = 3 << 1;
const STATUS: u16 = 7 << 3;
const LEVEL: u16 = 3 << 6;
const MATCHED: u16 = 1 << 8;
const AMOUNT_DISPUTED: u16 = 1 << 9;
const IN_DISPUTE: u16 = 1 << 10;

/// A report. In a [`super::Ledger`] as it was said; in [`super::Evidence`] as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Unix seconds; in evidence the earlier account of a trade that matches.
    pub(crate) closed_at: u64,
    /// Nano-units of the currency; in evidence the lower account.
    pub(crate) amount_nano: u64,
    /// Place of the currency; in evidence that of its rate.
    pub(super) currency: u32,
    /// Place of the market.
    pub(crate) market: u32,
    /// Place of the reporter.
    pub(crate) rater: u32,
    /// Place of the counterparty.
    pub(crate) subject: u32,
    /// The rating; in a ledger possibly [`NONE`].
    pub(crate) quality_bp: u16,
    /// What the seller says it delivered, possibly [`NONE`].
    pub(super) claimed_bp: u16,
    /// Role, kind, status, level and three flags, from the lowest bit.
    facts: u16,
}

impl Row {
    /// What a report says, but for the four places.
    pub(super) fn of(report: &Report) -> Self {
        let (trade, outcome) = (&report.trade, &report.outcome);
        let kind = match trade.kind {
            TradeKind::DataSwap => 0,
            TradeKind::Purchase => 1,
            TradeKind::ComputeAuction => 2,
            TradeKind::Service => 3,
        };
        let status = match outcome.status {
            Status::Fulfilled => 0,
            Status::Partial => 1,
            Status::Failed => 2,
            Status::Disputed => 3,
            Status::Cancelled => 4,
        };
        let terms = |document: &Document| matches!(document, Document::Terms(_));
        let mut row = Self {
            closed_at: trade.closed_at,
            amount_nano: trade.amount.nano(),
            currency: 0,
            market: 0,
            rater: 0,
            subject: 0,
            quality_bp: outcome.quality_bp.map_or(NONE, |q| q.min(10_000)),
            claimed_bp: outcome
                .claimed_quality_bp
                .map_or(NONE, |claimed| claimed.min(NONE - 1)),
            facts: u16::from(trade.role == Role::Seller) | kind << 1 | status << 3,
        };
        if report.evidence.iter().any(terms) {
            row.lift(Level::Countersigned);
        }
        row
    }

    pub(crate) fn role(self) -> Role {
        if self.facts & SELLER == 0 {
            Role::Buyer
        } else {
            Role::Seller
        }
    }

    pub(crate) fn kind(self) -> TradeKind {
        match (self.facts & KIND) >> 1 {
            0 => TradeKind::DataSwap,
            1 => TradeKind::Purchase,
            2 => TradeKind::ComputeAuction,
            _ => TradeKind::Service,
        }
    }

    pub(crate) fn status(self) -> Status {
        match (self.facts & STATUS) >> 3 {
            0 => Status::Fulfilled,
            1 => Status::Partial,
            2 => Status::Failed,
            3 => Status::Disputed,
            _ => Status::Cancelled,
        }
    }

    pub(crate) fn level(self) -> Level {
        match (self.facts & LEVEL) >> 6 {
            0 => Level::Unilateral,
            1 => Level::Matched,
            2 => Level::Countersigned,
            _ => Level::Receipt,
        }
    }

    /// In evidence: the place of its currency's rate.
    pub(super) fn rate(self) -> usize {
        super::wide(self.currency)
    }

    /// Raises the level; a lower one changes nothing.
    pub(super) fn lift(&mut self, level: Level) {
        if level > self.level() {
            let bits = match level {
                Level::Unilateral => 0,
                Level::Matched => 1,
                Level::Countersigned => 2,
                Level::Receipt => 3,
            };
            self.facts = self.facts & !LEVEL | bits << 6;
        }
    }

    /// Both parties reported the trade, in complementary roles.
    pub(crate) fn matched(self) -> bool {
        self.facts & MATCHED != 0
    }

    /// Both parties reported it in one currency, with different amounts.
    pub(super) fn amount_disputed(self) -> bool {
        self.facts & AMOUNT_DISPUTED != 0
    }

    /// By its status, or because the parties' accounts contradict each other.
    pub(crate) fn in_dispute(self) -> bool {
        self.facts & IN_DISPUTE != 0
    }

    pub(super) fn set_matched(&mut self, amount_disputed: bool) {
        self.facts |= MATCHED | if amount_disputed { AMOUNT_DISPUTED } else { 0 };
        self.lift(Level::Matched);
    }

    pub(super) fn set_in_dispute(&mut self) {
        self.facts |= IN_DISPUTE;
    }
}

/// A trade's market-local id in 32 bytes: an id of up to 31 bytes itself, its length last; a longer one as 31 bytes of its
/// SHA-256, 0xff last. Two ids share a key when they are equal, or when somebody finds a collision of 248 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TradeKey([u8; 32]);

impl TradeKey {
    pub(super) fn of(id: &str) -> Self {
        let mut key = [0; 32];
        let (text, last) = key.split_at_mut(31);
        if let (Some(place), Ok(length)) = (text.get_mut(..id.len()), u8::try_from(id.len())) {
            place.copy_from_slice(id.as_bytes());
            last.fill(length);
        } else {
            key = sha256(id.as_bytes()).0;
            key[31] = 0xff;
        }
        Self(key)
    }

    /// The key as four numbers, for hashing.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        let (words, _) = self.0.as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_forty_bytes() {
        assert_eq!(size_of::<Row>(), 40);
    }

    #[test]
    fn different_ids_have_different_keys() {
        let long = "x".repeat(128);
        let ids = [
            "",
            "\0",
            "a",
            "a\0",
            "b",
            &long[..30],
            &long[..31],
            &long[..32],
            &long,
        ];
        for (i, a) in ids.iter().enumerate() {
            for (j, b) in ids.iter().enumerate() {
                assert_eq!(TradeKey::of(a) == TradeKey::of(b), i == j, "{a:?} {b:?}");
            }
        }
    }
}
