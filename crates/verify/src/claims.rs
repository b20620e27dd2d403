//! The claims of a statement: what one epoch says of one agent.
//!
//! Every claim becomes one selective disclosure of the token. Ratios are basis points, 0..=10000.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    MAX_INTEGER,
    code::{Code, Error, excerpt},
    json::{self, JsonFault},
    report::TradeKind,
};

/// All claims about one agent in one epoch. Members that do not apply are zero or empty, never absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the names and types are the wire format"
)]
pub struct Claims {
    /// Posterior mean.
    pub score_bp: u16,
    /// Uncertainty of the posterior mean: 10000 = the prior alone.
    pub uncertainty_bp: u16,
    /// The headline: minimum of the lifetime, the recent and the worst well-evidenced band's lower bound.
    pub lower_bp: u16,
    /// Lower confidence bound over the whole life.
    pub lifetime_lower_bp: u16,
    /// Lower confidence bound over the recent window.
    pub recent_lower_bp: u16,
    /// What the evidence allows to say.
    pub state: State,
    /// Reports about the agent that count.
    pub reports: u64,
    /// Distinct counterparties that reported on it.
    pub counterparties: u64,
    /// Inverse Simpson index of the counterparties' evidence, thousandths.
    pub effective_counterparties_milli: u64,
    /// Evidence mass, thousandths of one full-weight trade.
    pub evidence_milli: u64,
    /// Share of trades about the agent above unilateral.
    pub attested_bp: u16,
    /// Per trade kind, by its wire name.
    pub by_kind: BTreeMap<String, KindScore>,
    /// Per amount band, ascending.
    pub by_amount_band: Vec<BandScore>,
    /// The at most eight markets with the most evidence.
    pub markets: Vec<MarketReports>,
    /// 10000 = nothing dampened.
    pub dampening_bp: u16,
    /// Kinds of the agent's open or upheld flags, ascending.
    pub flags: Vec<String>,
    /// Log time of the first report about or by the agent, Unix seconds.
    pub first_seen: u64,
    /// Key rotations so far.
    pub rotations: u64,
    /// Unix seconds of the last rotation, 0 if never.
    pub last_rotated: u64,
    /// Reports about the agent that were erased.
    pub erased_reports: u64,
    /// `lower_bp` ≥ 2500.
    pub lower_gte_2500: bool,
    /// `lower_bp` ≥ 5000.
    pub lower_gte_5000: bool,
    /// `lower_bp` ≥ 7500.
    pub lower_gte_7500: bool,
    /// `lower_bp` ≥ 9000.
    pub lower_gte_9000: bool,
}

/// `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Too little evidence to say more than the prior.
    Unproven,
    /// Enough evidence from enough counterparties.
    Established,
    /// The evidence contradicts itself: disputes, or parties that disagree.
    Contested,
}

/// One entry of `by_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindScore {
    /// Lower bound over this kind.
    pub lower_bp: u16,
    /// Posterior mean over this kind.
    pub score_bp: u16,
    /// Reports of this kind.
    pub reports: u64,
}

/// One entry of `by_amount_band`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandScore {
    /// Lower edge of the band, milli-units of the reference currency.
    pub from_milli: u64,
    /// Lower bound over this band.
    pub lower_bp: u16,
    /// Posterior mean over this band.
    pub score_bp: u16,
    /// Reports in this band.
    pub reports: u64,
}

/// One entry of `markets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketReports {
    /// The market.
    pub market: String,
    /// Reports about the agent in it.
    pub reports: u64,
}

/// Names of all claims, ascending.
pub const NAMES: [&str; 24] = [
    "attested_bp",
    "by_amount_band",
    "by_kind",
    "counterparties",
    "dampening_bp",
    "effective_counterparties_milli",
    "erased_reports",
    "evidence_milli",
    "first_seen",
    "flags",
    "last_rotated",
    "lifetime_lower_bp",
    "lower_bp",
    "lower_gte_2500",
    "lower_gte_5000",
    "lower_gte_7500",
    "lower_gte_9000",
    "markets",
    "recent_lower_bp",
    "reports",
    "rotations",
    "score_bp",
    "state",
    "uncertainty_bp",
];

impl Claims {
    /// Every claim's name and its value as canonical JSON, ascending by name: the members of the claims' own canonical form.
    ///
    /// Written by hand, because an epoch writes them by the million; a test holds it against the general way.
    ///
    /// # Errors
    /// `claims.malformed` if a number is beyond 2^53−1.
    pub(crate) fn members(&self, each: &mut dyn FnMut(&'static str, &str)) -> Result<(), Error> {
        let mut text = Text::default();
        let mut member = |name, write: &dyn Fn(&mut Text)| {
            text.out.clear();
            write(&mut text);
            each(name, &text.out);
        };
        let bp = |bp: u16| move |text: &mut Text| text.number(u64::from(bp));
        let int = |n: u64| move |text: &mut Text| text.number(n);
        let flag =
            |flag: bool| move |text: &mut Text| text.raw(if flag { "true" } else { "false" });
        member("attested_bp", &bp(self.attested_bp));
        member("by_amount_band", &|text| {
            text.list(&self.by_amount_band, |text, band| {
                text.raw("{\"from_milli\":");
                text.number(band.from_milli);
                text.raw(",");
                text.segment(band.lower_bp, band.reports, band.score_bp);
            });
        });
        member("by_kind", &|text| {
            text.raw("{");
            let mut kinds: Vec<_> = self.by_kind.iter().collect();
            // RFC 8785 orders names by UTF-16, which only differs where no kind is.
            if !kinds.iter().all(|(kind, _)| kind.is_ascii()) {
                kinds.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            }
            for (place, (kind, score)) in kinds.into_iter().enumerate() {
                text.raw(if place == 0 { "" } else { "," });
                text.string(kind);
                text.raw(":{");
                text.segment(score.lower_bp, score.reports, score.score_bp);
            }
            text.raw("}");
        });
        member("counterparties", &int(self.counterparties));
        member("dampening_bp", &bp(self.dampening_bp));
        let effective = self.effective_counterparties_milli;
        member("effective_counterparties_milli", &int(effective));
        member("erased_reports", &int(self.erased_reports));
        member("evidence_milli", &int(self.evidence_milli));
        member("first_seen", &int(self.first_seen));
        member("flags", &|text| {
            text.list(&self.flags, |text, flag| text.string(flag));
        });
        member("last_rotated", &int(self.last_rotated));
        member("lifetime_lower_bp", &bp(self.lifetime_lower_bp));
        member("lower_bp", &bp(self.lower_bp));
        member("lower_gte_2500", &flag(self.lower_gte_2500));
        member("lower_gte_5000", &flag(self.lower_gte_5000));
        member("lower_gte_7500", &flag(self.lower_gte_7500));
        member("lower_gte_9000", &flag(self.lower_gte_9000));
        member("markets", &|text| {
            text.list(&self.markets, |text, market| {
                text.raw("{\"market\":");
                text.string(&market.market);
                text.raw(",\"reports\":");
                text.number(market.reports);
                text.raw("}");
            });
        });
        member("recent_lower_bp", &bp(self.recent_lower_bp));
        member("reports", &int(self.reports));
        member("rotations", &int(self.rotations));
        member("score_bp", &bp(self.score_bp));
        member("state", &|text| {
            text.raw(match self.state {
                State::Unproven => "\"unproven\"",
                State::Established => "\"established\"",
                State::Contested => "\"contested\"",
            });
        });
        member("uncertainty_bp", &bp(self.uncertainty_bp));
        if text.out_of_range {
            let detail = JsonFault::NumberOutOfRange.to_string();
            return Err(Error::new(Code::ClaimsMalformed, detail));
        }
        Ok(())
    }
}

/// Canonical JSON (RFC 8785) in the making.
#[derive(Default)]
struct Text {
    out: String,
    /// A number was beyond 2^53−1.
    out_of_range: bool,
}

impl Text {
    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn number(&mut self, n: u64) {
        self.out_of_range |= n > MAX_INTEGER;
        // The last digit first; a number that is not refused has at most 16.
        let mut digits = ['0'; 16];
        let (mut rest, mut length) = (n, 0_usize);
        for slot in &mut digits {
            let digit = u32::try_from(rest % 10).unwrap_or_default();
            *slot = char::from_digit(digit, 10).unwrap_or('0');
            length = length.saturating_add(1);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.out.extend(digits.iter().take(length).rev());
    }

    fn string(&mut self, text: &str) {
        // What is printable and neither quote nor backslash stands for itself.
        if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            for part in ["\"", text, "\""] {
                self.raw(part);
            }
            return;
        }
        // A string is JSON, whatever is in it.
        let escaped = json::canonical(&Value::from(text)).unwrap_or_default();
        self.raw(&String::from_utf8(escaped).unwrap_or_default());
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.raw("[");
        for (place, item) in items.iter().enumerate() {
            self.raw(if place == 0 { "" } else { "," });
            write(self, item);
        }
        self.raw("]");
    }

    /// The members that a band and a kind have both, and the end of their object.
    fn segment(&mut self, lower_bp: u16, reports: u64, score_bp: u16) {
        self.raw("\"lower_bp\":");
        self.number(u64::from(lower_bp));
        self.raw(",\"reports\":");
        self.number(reports);
        self.raw(",\"score_bp\":");
        self.number(u64::from(score_bp));
        self.raw("}");
    }
}

/// Whether this is the name of a claim.
pub fn is_name(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

/// Checks one disclosed claim: a known name, and a value of its type and range.
///
/// # Errors
/// `claims.malformed`.
pub fn check(name: &str, value: &Value) -> Result<(), Error> {
    let malformed = |why: &str| {
        Err(Error::new(
            Code::ClaimsMalformed,
            format!("{}: {why}", excerpt(name)),
        ))
    };
    if !is_name(name) {
        return malformed("no such claim");
    }
    let bp = |bp: u16| bp <= 10_000;
    let int = |n: u64| n <= MAX_INTEGER;
    let fits = match name {
        "state" => read::<State>(value).is_some(),
        "flags" => read::<Vec<String>>(value).is_some(),
        "by_kind" => read::<BTreeMap<String, KindScore>>(value).is_some_and(|kinds| {
            kinds.iter().all(|(kind, s)| {
                TradeKind::parse(kind).is_some()
                    && bp(s.lower_bp)
                    && bp(s.score_bp)
                    && int(s.reports)
            })
        }),
        "by_amount_band" => read::<Vec<BandScore>>(value).is_some_and(|bands| {
            bands.is_sorted_by(|a, b| a.from_milli < b.from_milli)
                && bands.iter().all(|s| {
                    int(s.from_milli) && bp(s.lower_bp) && bp(s.score_bp) && int(s.reports)
                })
        }),
        "markets" => read::<Vec<MarketReports>>(value).is_some_and(|markets| {
            markets.len() <= 8 && markets.iter().all(|market| int(market.reports))
        }),
        _ if name.starts_with("lower_gte_") => value.is_boolean(),
        _ if name.ends_with("_bp") => read(value).is_some_and(bp),
        _ => value.as_u64().is_some_and(int),
    };
    if fits {
        Ok(())
    } else {
        malformed("value of another type or out of range")
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}
