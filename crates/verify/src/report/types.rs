//! The trade outcome report, parsed: a value of these types cannot be malformed.
//!
//! Shapes and limits are those of `docs/FORMATS.md` §2.

use crate::{amount::Amount, did::Did, digest::Digest};

/// Content address of a report: SHA-256 of its compact JWS. Shown as unpadded base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportId(pub [u8; 32]);

/// One party's signed account of one trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// SHA-256 of the compact JWS this was parsed from.
    pub id: ReportId,
    /// The reporter.
    pub iss: Did,
    /// The counterparty it reports on; never equal to `iss`.
    pub sub: Did,
    /// The reporter's unique id, 8–128 characters.
    pub jti: String,
    /// Signing time, Unix seconds.
    pub iat: u64,
    /// The reporter's current report on the same trade, which this one replaces.
    pub supersedes: Option<ReportId>,
    /// What was traded.
    pub trade: Trade,
    /// How it ended, in the reporter's eyes.
    pub outcome: Outcome,
    /// Documents that raise the evidence level, verified as far as the report alone allows.
    pub evidence: Vec<Evidence>,
}

/// The trade of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Market-local id, 1–128 characters. A trade is identified by market, id and both parties.
    pub id: String,
    /// Market, 1–256 characters.
    pub market: String,
    /// Kind of trade.
    pub kind: TradeKind,
    /// The reporter's role.
    pub role: Role,
    /// Price of the whole trade; zero only in swaps.
    pub amount: Amount,
    /// Uppercase code or CAIP-19 id.
    pub currency: String,
    /// When the trade ended, Unix seconds; never after `iat`.
    pub closed_at: u64,
    /// What was traded.
    pub resource: Option<String>,
    /// How many units.
    pub units: Option<Amount>,
    /// Shared by the two trades of a barter.
    pub swap_id: Option<String>,
    /// The trade on whose behalf this one was made.
    pub parent: Option<String>,
    /// How the price came about.
    pub negotiation: Option<Negotiation>,
    /// Auction data; losing bids are hearsay.
    pub auction: Option<Auction>,
    /// Where it was settled.
    pub settlement: Option<Settlement>,
}

/// `trade.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TradeKind {
    /// `data_swap`
    DataSwap,
    /// `purchase`
    Purchase,
    /// `compute_auction`
    ComputeAuction,
    /// `service`
    Service,
}

/// `trade.role`: the reporter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The reporter bought.
    Buyer,
    /// The reporter sold.
    Seller,
}

/// `trade.negotiation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiation {
    /// First price named.
    pub opening: Option<Amount>,
    /// Rounds until agreement, 0..=10000.
    pub rounds: Option<u32>,
    /// Digest of the transcript.
    pub transcript_sha256: Option<Digest>,
}

/// `trade.auction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auction {
    /// Auction id.
    pub id: String,
    /// Whether the highest or the lowest bid wins.
    pub format: AuctionFormat,
    /// Reserve price.
    pub reserve: Option<Amount>,
    /// Urgency of the task.
    pub task_class: Option<TaskClass>,
    /// Utilisation of the seller's capacity, basis points 0..=10000.
    pub utilisation_bp: Option<u16>,
    /// Losing bids, at most 64.
    pub bids: Vec<Bid>,
}

/// `trade.auction.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuctionFormat {
    /// Buyers bid, the highest wins.
    Forward,
    /// Sellers bid, the lowest wins.
    Reverse,
}

/// `trade.auction.task_class`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskClass {
    /// `trivial`
    Trivial,
    /// `normal`
    Normal,
    /// `urgent`
    Urgent,
}

/// A losing bid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    /// Who bid.
    pub bidder: Did,
    /// How much.
    pub amount: Amount,
    /// Whether the bidder's own `auction-bid+jwt` came along and was verified.
    pub proven: bool,
}

/// `trade.settlement`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Payment rail.
    pub rail: Rail,
    /// Reference on the rail.
    pub reference: Option<String>,
    /// Batch that settles many trades at once.
    pub batch: Option<String>,
}

/// `trade.settlement.rail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the wire names")]
pub enum Rail {
    X402,
    Ap2,
    Channel,
    Batch,
    Escrow,
    Other,
}

/// How the trade ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Final state.
    pub status: Status,
    /// Rating of what the counterparty did, basis points; present for fulfilled and partial.
    pub quality_bp: Option<u16>,
    /// Whether the counterparty was on time.
    pub on_time: Option<bool>,
    /// Seller only: the quality it says it delivered.
    pub claimed_quality_bp: Option<u16>,
}

/// `outcome.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the wire names")]
pub enum Status {
    Fulfilled,
    Partial,
    Failed,
    Disputed,
    Cancelled,
}

/// One evidence document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The counterparty's consent to be rated on this trade; signature and agreement verified.
    Terms(Terms),
    /// A marketplace's attestation; signature and agreement verified, its key's standing is the policy's business.
    Market {
        /// The marketplace's key.
        attestor: Did,
        /// Digest of the document.
        sha256: Digest,
    },
    /// A payment rail's receipt. `signer` is set when the document is an `EdDSA` JWS by a did:key that names
    /// this report's `settlement.ref`.
    Receipt {
        /// Rail of the receipt: `x402-receipt` or `ap2-receipt`.
        rail: Rail,
        /// Who signed it, if that could be verified.
        signer: Option<Did>,
        /// Digest of the document.
        sha256: Digest,
    },
    /// A bare digest.
    Hash(Digest),
}

/// The counterparty's terms (`trade-terms+jwt`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Signing time, Unix seconds.
    pub iat: u64,
    /// End of consent, Unix seconds.
    pub exp: u64,
    /// What was promised.
    pub promise: Option<Promise>,
    /// Digest of the document.
    pub sha256: Digest,
}

/// `terms.promise`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Promised quality, basis points.
    pub quality_bp: Option<u16>,
    /// Promised delivery time, Unix seconds.
    pub deadline: Option<u64>,
    /// Promised latency, milliseconds.
    pub latency_ms: Option<u64>,
}
