//! The payload of a report, member by member: unknown, missing and invalid ones each have their code.

use serde_json::Value;

use super::{
    Auction, AuctionFormat, Bid, Negotiation, Outcome, Rail, Report, ReportId, Role, Settlement,
    Signatures, Status, TaskClass, Trade, TradeKind,
};
use crate::{
    code::{Code, Error},
    digest::Digest,
    fields::{ANY, Codes, Obj},
};

const CODES: Codes = Codes {
    unknown: Code::ReportUnknownMember,
    missing: Code::ReportMemberMissing,
    invalid: Code::ReportMemberInvalid,
    amount: Code::ReportAmountInvalid,
    did: Code::ReportDidInvalid,
    weak: Code::ReportKeyWeak,
};

/// Most evidence documents of one report.
const MAX_EVIDENCE: usize = 8;
/// Most bids of one auction.
const MAX_BIDS: usize = 64;

/// A report whose members are well-formed, before its rules and evidence are checked.
pub(super) struct Draft<'a> {
    /// `evidence` is still empty and no bid is proven.
    pub(super) report: Report,
    pub(super) evidence: Vec<RawEvidence<'a>>,
    /// The document of each bid, in the order of the bids.
    pub(super) bids: Vec<Option<&'a str>>,
}

/// One evidence entry as it stands.
pub(super) struct RawEvidence<'a> {
    pub(super) pointer: String,
    pub(super) kind: EvidenceKind,
    pub(super) sha256: Option<Digest>,
    pub(super) document: Option<&'a str>,
}

/// `evidence[].type`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EvidenceKind {
    Terms,
    Market,
    X402Receipt,
    Ap2Receipt,
    Hash,
}

pub(super) fn payload<'a>(
    value: &'a Value,
    id: ReportId,
    signatures: Signatures<'_>,
) -> Result<Draft<'a>, Error> {
    if !value.is_object() {
        return Err(Error::new(
            Code::ReportMalformed,
            "payload is not an object",
        ));
    }
    let known = [
        "iss",
        "sub",
        "jti",
        "iat",
        "supersedes",
        "trade",
        "outcome",
        "evidence",
    ];
    let root = Obj::new(value, "", &CODES, &known)?;
    let (trade, bids) = trade(&root)?;
    let evidence = match root.get("evidence") {
        None => Vec::new(),
        Some(_) => root
            .array("evidence", MAX_EVIDENCE)?
            .into_iter()
            .map(|(pointer, item)| evidence(item, pointer))
            .collect::<Result<_, _>>()?,
    };
    let report = Report {
        id,
        iss: root.did_by("iss", |text| signatures.read_did(text))?,
        sub: root.did_by("sub", |text| signatures.read_did(text))?,
        jti: root.owned("jti", 8..=128)?,
        iat: root.int("iat", ANY)?,
        supersedes: root
            .opt("supersedes", Obj::id)?
            .map(|digest| ReportId(digest.0)),
        trade,
        outcome: outcome(&root)?,
        evidence: Vec::new(),
    };
    Ok(Draft {
        report,
        evidence,
        bids,
    })
}

fn trade<'a>(root: &Obj<'a>) -> Result<(Trade, Vec<Option<&'a str>>), Error> {
    let known = [
        "id",
        "market",
        "kind",
        "role",
        "amount",
        "currency",
        "closed_at",
        "resource",
        "units",
        "swap_id",
        "parent",
        "negotiation",
        "auction",
        "settlement",
    ];
    let trade = root.object("trade", &known)?;
    let (auction, bids) = match trade.get("auction") {
        None => (None, Vec::new()),
        Some(_) => auction(&trade).map(|(auction, bids)| (Some(auction), bids))?,
    };
    let trade = Trade {
        id: trade.owned("id", 1..=128)?,
        market: trade.owned("market", 1..=256)?,
        kind: trade.word("kind", TradeKind::parse)?,
        role: trade.word("role", Role::parse)?,
        amount: trade.amount("amount")?,
        currency: currency(&trade, "currency")?,
        closed_at: trade.int("closed_at", ANY)?,
        resource: trade.opt("resource", |o, n| o.owned(n, 1..=512))?,
        units: trade.opt("units", Obj::amount)?,
        swap_id: trade.opt("swap_id", |o, n| o.owned(n, 1..=128))?,
        parent: trade.opt("parent", |o, n| o.owned(n, 1..=128))?,
        negotiation: trade.opt("negotiation", negotiation)?,
        auction,
        settlement: trade.opt("settlement", settlement)?,
    };
    Ok((trade, bids))
}

fn negotiation(trade: &Obj<'_>, name: &str) -> Result<Negotiation, Error> {
    let object = trade.object(name, &["opening", "rounds", "transcript_sha256"])?;
    let rounds = object.opt("rounds", |o, n| {
        u32::try_from(o.int(n, 0..=10_000)?).map_err(|_| o.invalid(n, "too many rounds"))
    })?;
    Ok(Negotiation {
        opening: object.opt("opening", Obj::amount)?,
        rounds,
        transcript_sha256: object.opt("transcript_sha256", Obj::digest)?,
    })
}

fn auction<'a>(trade: &Obj<'a>) -> Result<(Auction, Vec<Option<&'a str>>), Error> {
    let known = [
        "id",
        "format",
        "reserve",
        "task_class",
        "utilisation_bp",
        "bids",
    ];
    let object = trade.object("auction", &known)?;
    let raw = match object.get("bids") {
        None => Vec::new(),
        Some(_) => object.array("bids", MAX_BIDS)?,
    };
    let mut bids = Vec::with_capacity(raw.len());
    let mut documents = Vec::with_capacity(raw.len());
    for (pointer, item) in raw {
        let bid = Obj::new(item, &pointer, &CODES, &["bidder", "amount", "document"])?;
        documents.push(bid.opt("document", Obj::string)?);
        bids.push(Bid {
            bidder: bid.did("bidder")?,
            amount: bid.amount("amount")?,
            proven: false,
        });
    }
    let auction = Auction {
        id: object.owned("id", 1..=128)?,
        format: object.word("format", AuctionFormat::parse)?,
        reserve: object.opt("reserve", Obj::amount)?,
        task_class: object.opt("task_class", |o, n| o.word(n, TaskClass::parse))?,
        utilisation_bp: object.opt("utilisation_bp", Obj::bp)?,
        bids,
    };
    Ok((auction, documents))
}

fn settlement(trade: &Obj<'_>, name: &str) -> Result<Settlement, Error> {
    let object = trade.object(name, &["rail", "ref", "batch"])?;
    Ok(Settlement {
        rail: object.word("rail", Rail::parse)?,
        reference: object.opt("ref", |o, n| o.owned(n, 1..=256))?,
        batch: object.opt("batch", |o, n| o.owned(n, 1..=256))?,
    })
}

fn outcome(root: &Obj<'_>) -> Result<Outcome, Error> {
    let object = root.object(
        "outcome",
        &["status", "quality_bp", "on_time", "claimed_quality_bp"],
    )?;
    Ok(Outcome {
        status: object.word("status", Status::parse)?,
        quality_bp: object.opt("quality_bp", Obj::bp)?,
        on_time: object.opt("on_time", Obj::boolean)?,
        claimed_quality_bp: object.opt("claimed_quality_bp", Obj::bp)?,
    })
}

fn evidence(item: &Value, pointer: String) -> Result<RawEvidence<'_>, Error> {
    let object = Obj::new(item, &pointer, &CODES, &["type", "sha256", "document"])?;
    let kind = object.word("type", |name| match name {
        "terms" => Some(EvidenceKind::Terms),
        "market" => Some(EvidenceKind::Market),
        "x402-receipt" => Some(EvidenceKind::X402Receipt),
        "ap2-receipt" => Some(EvidenceKind::Ap2Receipt),
        "hash" => Some(EvidenceKind::Hash),
        _ => None,
    })?;
    let sha256 = object.opt("sha256", Obj::digest)?;
    let document = object.opt("document", Obj::string)?;
    Ok(RawEvidence {
        pointer,
        kind,
        sha256,
        document,
    })
}

/// A currency: an uppercase code or a CAIP-19 asset id.
pub(super) fn currency(object: &Obj<'_>, name: &str) -> Result<String, Error> {
    let text = object.text(name, 1..=128)?;
    if is_code(text) || is_caip19(text) {
        Ok(text.to_owned())
    } else {
        Err(object.invalid(name, "neither an uppercase code nor a CAIP-19 id"))
    }
}

/// `^[A-Z][A-Z0-9]{1,15}$`
fn is_code(text: &str) -> bool {
    (2..=16).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// CAIP-19: `chain namespace:reference/asset namespace:reference[/token id]`.
fn is_caip19(text: &str) -> bool {
    let part = |text: &str, length: std::ops::RangeInclusive<usize>, allowed: fn(u8) -> bool| {
        length.contains(&text.len()) && text.bytes().all(allowed)
    };
    let namespace = |b: u8| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit();
    let chain = |b: u8| matches!(b, b'-' | b'_') || b.is_ascii_alphanumeric();
    let asset = |b: u8| matches!(b, b'-' | b'.' | b'%') || b.is_ascii_alphanumeric();
    let mut slashes = text.split('/');
    let pair = |text: Option<&str>| {
        text.and_then(|text| text.split_once(':'))
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    let (Some(chain_id), Some(asset_id), token, None) = (
        pair(slashes.next()),
        pair(slashes.next()),
        slashes.next(),
        slashes.next(),
    ) else {
        return false;
    };
    part(&chain_id.0, 3..=8, namespace)
        && part(&chain_id.1, 1..=32, chain)
        && part(&asset_id.0, 3..=8, namespace)
        && part(&asset_id.1, 1..=128, asset)
        && token.is_none_or(|token| part(token, 1..=78, asset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies() {
        for good in [
            "USD",
            "US",
            "A234567890123456",
            "eip155:1/slip44:60",
            "eip155:8453/erc20:0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
            "eip155:1/erc721:0x06012c8cf97BEaD5deAe237070F9587f8E7A266d/771769",
        ] {
            assert!(is_code(good) || is_caip19(good), "{good}");
        }
        for bad in [
            "",
            "U",
            "usd",
            "1US",
            "A2345678901234567",
            "US-D",
            "eip155:1",
            "ei:1/slip44:60",
            "eip155:1/slip44:60/1/2",
            "eip155:/slip44:60",
            "eip155:1/slip44:60/",
            "eip155:1:2/slip44:60",
            "eip155:1/slip44:6_0",
        ] {
            assert!(!is_code(bad) && !is_caip19(bad), "{bad}");
        }
    }
}
