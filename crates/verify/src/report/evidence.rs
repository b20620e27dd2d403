//! Evidence documents: who signed them, and whether they speak of this very trade.
//!
//! Terms, attestations and bids must be right or the report is refused. Receipts are other people's formats: a receipt
//! that cannot be verified stays, but lifts nothing.

use serde_json::Value;

use super::{
    Evidence, Promise, Rail, Report, Signatures, Status, Terms, TradeKind,
    parse::{EvidenceKind, RawEvidence, currency},
};
use crate::{
    code::{Code, Error},
    did::Did,
    digest::{Digest, sha256},
    fields::{ANY, Codes, Obj},
    json,
    jws::{Compact, agent_read_by},
};

/// `typ` of the counterparty's terms.
pub const TERMS_TYP: &str = "trade-terms+jwt";
/// `typ` of a marketplace's attestation.
pub const ATTESTATION_TYP: &str = "trade-attestation+jwt";
/// `typ` of a bid.
pub const BID_TYP: &str = "auction-bid+jwt";

/// Largest receipt, bytes.
const MAX_RECEIPT_BYTES: usize = 8_192;

const TERMS: Codes = Codes::one(Code::ReportTermsInvalid);
const ATTESTATION: Codes = Codes::one(Code::ReportAttestationInvalid);
const BID: Codes = Codes::one(Code::ReportBidInvalid);

/// Checks every evidence entry against its report.
pub(super) fn all(
    report: &Report,
    raw: &[RawEvidence<'_>],
    signatures: Signatures<'_>,
) -> Result<Vec<Evidence>, Error> {
    if raw
        .iter()
        .filter(|entry| entry.kind == EvidenceKind::Terms)
        .count()
        > 1
    {
        return Err(Error::new(
            Code::ReportEvidenceInvalid,
            "/evidence: terms more than once",
        ));
    }
    raw.iter()
        .map(|entry| one(report, entry, signatures))
        .collect()
}

fn one(
    report: &Report,
    raw: &RawEvidence<'_>,
    signatures: Signatures<'_>,
) -> Result<Evidence, Error> {
    let invalid = |why: &str| {
        Error::new(
            Code::ReportEvidenceInvalid,
            format!("{}: {why}", raw.pointer),
        )
    };
    if raw.kind == EvidenceKind::Hash {
        return match (raw.sha256, raw.document) {
            (Some(digest), None) => Ok(Evidence::Hash(digest)),
            _ => Err(invalid("hash has sha256 and no document")),
        };
    }
    let document = raw.document.ok_or_else(|| invalid("no document"))?;
    let digest = sha256(document.as_bytes());
    if raw.sha256.is_some_and(|claimed| claimed != digest) {
        return Err(invalid("sha256 is not the document's"));
    }
    let rail = match raw.kind {
        EvidenceKind::Terms => {
            return terms(report, raw, document, digest, signatures).map(Evidence::Terms);
        }
        EvidenceKind::Market => {
            let attestor = attestation(report, raw, document, signatures)?;
            return Ok(Evidence::Market {
                attestor,
                sha256: digest,
            });
        }
        EvidenceKind::X402Receipt => Rail::X402,
        EvidenceKind::Ap2Receipt | EvidenceKind::Hash => Rail::Ap2,
    };
    if document.len() > MAX_RECEIPT_BYTES {
        let detail = format!("{}/document: larger than 8,192 bytes", raw.pointer);
        return Err(Error::new(Code::ReportMemberInvalid, detail));
    }
    Ok(Evidence::Receipt {
        rail,
        signer: receipt_signer(report, rail, document),
        sha256: digest,
    })
}

/// A JWS by an agent with its payload; every fault of its own gets `code`.
fn signed(
    document: &str,
    typ: &str,
    pointer: &str,
    code: Code,
    signatures: Signatures<'_>,
) -> Result<(Did, Value), Error> {
    let wrap = |error: Error| Error::new(code, format!("{pointer}/document: {}", error.detail()));
    let compact = Compact::parse(document).map_err(wrap)?;
    let agent = agent_read_by(&compact, typ, |text| signatures.read_did(text)).map_err(wrap)?;
    let iss = agent.payload.get("iss").and_then(Value::as_str);
    if !signatures.is_signed_by(&compact, &agent.iss, iss) {
        return Err(Error::new(
            code,
            format!("{pointer}/document: not signed by iss"),
        ));
    }
    Ok((agent.iss, agent.payload))
}

/// Fails with `code` at the first member that differs.
fn agree(code: Code, pointer: &str, members: &[(&str, bool)]) -> Result<(), Error> {
    match members.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(
            code,
            format!("{pointer}/document: {name} differs from the report"),
        )),
    }
}

fn terms(
    report: &Report,
    raw: &RawEvidence<'_>,
    document: &str,
    sha256: Digest,
    signatures: Signatures<'_>,
) -> Result<Terms, Error> {
    let pointer = raw.pointer.as_str();
    let (iss, payload) = signed(
        document,
        TERMS_TYP,
        pointer,
        Code::ReportTermsInvalid,
        signatures,
    )?;
    let known = [
        "iss", "trade_id", "market", "buyer", "seller", "kind", "amount", "currency", "promise",
        "iat", "exp", "jti",
    ];
    let object = Obj::new(&payload, &format!("{pointer}/document"), &TERMS, &known)?;
    object.text("jti", 8..=128)?;
    let promise = object.opt("promise", |object, name| {
        let promise = object.object(name, &["quality_bp", "deadline", "latency_ms"])?;
        Ok(Promise {
            quality_bp: promise.opt("quality_bp", Obj::bp)?,
            deadline: promise.opt("deadline", |o, n| o.int(n, ANY))?,
            latency_ms: promise.opt("latency_ms", |o, n| o.int(n, ANY))?,
        })
    })?;
    let terms = Terms {
        iat: object.int("iat", ANY)?,
        exp: object.int("exp", ANY)?,
        promise,
        sha256,
    };
    let trade = &report.trade;
    let members = [
        ("iss", iss == report.sub),
        ("trade_id", object.text("trade_id", 1..=128)? == trade.id),
        ("market", object.text("market", 1..=256)? == trade.market),
        ("buyer", object.did("buyer")? == report.buyer()),
        ("seller", object.did("seller")? == report.seller()),
        ("kind", object.word("kind", TradeKind::parse)? == trade.kind),
        ("amount", object.amount("amount")? == trade.amount),
        ("currency", currency(&object, "currency")? == trade.currency),
    ];
    agree(Code::ReportTermsMismatch, pointer, &members)?;
    if !(terms.iat..=terms.exp).contains(&trade.closed_at) {
        let detail = format!(
            "/trade/closed_at {} outside {}..{}",
            trade.closed_at, terms.iat, terms.exp
        );
        return Err(Error::new(Code::ReportTermsTime, detail));
    }
    Ok(terms)
}

fn attestation(
    report: &Report,
    raw: &RawEvidence<'_>,
    document: &str,
    signatures: Signatures<'_>,
) -> Result<Did, Error> {
    let pointer = raw.pointer.as_str();
    let (iss, payload) = signed(
        document,
        ATTESTATION_TYP,
        pointer,
        Code::ReportAttestationInvalid,
        signatures,
    )?;
    let known = [
        "iss", "trade_id", "market", "buyer", "seller", "amount", "currency", "outcome", "iat",
    ];
    let object = Obj::new(
        &payload,
        &format!("{pointer}/document"),
        &ATTESTATION,
        &known,
    )?;
    object.int("iat", ANY)?;
    let trade = &report.trade;
    let members = [
        ("trade_id", object.text("trade_id", 1..=128)? == trade.id),
        ("market", object.text("market", 1..=256)? == trade.market),
        ("buyer", object.did("buyer")? == report.buyer()),
        ("seller", object.did("seller")? == report.seller()),
        ("amount", object.amount("amount")? == trade.amount),
        ("currency", currency(&object, "currency")? == trade.currency),
        (
            "outcome",
            object.word("outcome", Status::parse)? == report.outcome.status,
        ),
    ];
    agree(Code::ReportAttestationMismatch, pointer, &members)?;
    Ok(iss)
}

/// Checks the bid documents and marks the bids that have one as proven.
pub(super) fn bids(
    report: &mut Report,
    documents: &[Option<&str>],
    signatures: Signatures<'_>,
) -> Result<(), Error> {
    let trade = &mut report.trade;
    let Some(auction) = &mut trade.auction else {
        return Ok(());
    };
    for (index, (bid, document)) in auction.bids.iter_mut().zip(documents).enumerate() {
        let Some(document) = document else { continue };
        let pointer = format!("/trade/auction/bids/{index}");
        let (iss, payload) = signed(
            document,
            BID_TYP,
            &pointer,
            Code::ReportBidInvalid,
            signatures,
        )?;
        let known = [
            "iss",
            "auction_id",
            "market",
            "amount",
            "currency",
            "iat",
            "jti",
        ];
        let object = Obj::new(&payload, &format!("{pointer}/document"), &BID, &known)?;
        object.int("iat", ANY)?;
        object.text("jti", 8..=128)?;
        let members = [
            ("iss", iss == bid.bidder),
            (
                "auction_id",
                object.text("auction_id", 1..=128)? == auction.id,
            ),
            ("market", object.text("market", 1..=256)? == trade.market),
            ("amount", object.amount("amount")? == bid.amount),
            ("currency", currency(&object, "currency")? == trade.currency),
        ];
        agree(Code::ReportBidInvalid, &pointer, &members)?;
        bid.proven = true;
    }
    Ok(())
}

/// Who signed a receipt, if it is an `EdDSA` JWS by a did:key that names this report's settlement. Always checked, since
/// nobody refused the report if it was not so.
fn receipt_signer(report: &Report, rail: Rail, document: &str) -> Option<Did> {
    let reference = report.trade.settlement.as_ref()?.reference.as_deref()?;
    let compact = Compact::parse(document).ok()?;
    if compact.header_str("alg") != Some("EdDSA") || compact.header().contains_key("crit") {
        return None;
    }
    let signer = Did::parse_method_id(compact.header_str("kid")?).ok()?;
    let payload = json::parse_foreign(compact.payload()).ok()?;
    let member = if rail == Rail::X402 {
        "transaction"
    } else {
        "reference"
    };
    let names_it = payload.get(member).and_then(Value::as_str) == Some(reference);
    (names_it && compact.is_signed_by(signer.key_bytes())).then_some(signer)
}
