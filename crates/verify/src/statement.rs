//! Statements (`docs/FORMATS.md` §5): what an epoch commits to about one agent, claim by claim but hidden by salts.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    MAX_INTEGER, b64,
    claims::{Claims, NAMES},
    code::{Code, Error},
    did::Did,
    digest::{Digest, sha256},
    fields::{Codes, Obj},
    json,
    merkle::{self, Hash},
};

/// Most disclosures of one statement.
pub const MAX_DISCLOSURES: usize = 64;

const CODES: Codes = Codes::one(Code::StatementMalformed);

/// One claim of a statement, ready to be disclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosure {
    /// Claim name.
    pub name: String,
    /// base64url(JCS([salt, name, value])).
    pub encoded: String,
    /// SHA-256 of the ASCII bytes of `encoded`.
    pub digest: Digest,
}

/// HMAC-SHA-256 with a 32-byte key, ready for any number of messages.
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC pads keys with zeros to its block (RFC 2104); doing so here leaves no length that could be wrong.
    let mut block = [0_u8; 64];
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    Hmac::<Sha256>::new(&block.into())
}

/// The tag of a message under a key that is laid in.
fn tag(mac: &Hmac<Sha256>, message: &[u8]) -> [u8; 32] {
    mac.clone()
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into()
}

/// The agent's salt key in one epoch: `HMAC-SHA-256(epoch key, agent DID)`.
pub fn agent_key(epoch_key: &[u8; 32], agent: &Did) -> [u8; 32] {
    tag(&keyed(epoch_key), agent.to_string().as_bytes())
}

/// All disclosures of an agent's claims, ascending by name.
///
/// # Errors
/// `claims.malformed` if a number is beyond 2^53−1.
pub fn disclosures(
    claims: &Claims,
    epoch_key: &[u8; 32],
    agent: &Did,
) -> Result<Vec<Disclosure>, Error> {
    let mut all = Vec::with_capacity(MAX_DISCLOSURES);
    let mut texts = Texts::default();
    let mac = keyed(&agent_key(epoch_key, agent));
    claims.members(&mut |name, value| {
        let digest = texts.disclose(&mac, name, value);
        all.push(Disclosure {
            name: name.to_owned(),
            encoded: texts.encoded.iter().copied().map(char::from).collect(),
            digest,
        });
    })?;
    Ok(all)
}

/// Room for the texts of one disclosure, used again for the next.
#[derive(Clone, Debug, Default)]
struct Texts {
    plain: Vec<u8>,
    encoded: Vec<u8>,
}

impl Texts {
    /// base64url(JCS([salt, name, value])) into `encoded`; its digest. `value` is canonical JSON.
    fn disclose(&mut self, mac: &Hmac<Sha256>, name: &str, value: &str) -> Digest {
        let [salt @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            &tag(mac, name.as_bytes());
        self.plain.clear();
        self.plain.extend_from_slice(b"[\"");
        b64::url_append(&mut self.plain, salt);
        for part in ["\",\"", name, "\",", value, "]"] {
            self.plain.extend_from_slice(part.as_bytes());
        }
        self.encoded.clear();
        b64::url_append(&mut self.encoded, &self.plain);
        sha256(&self.encoded)
    }
}

/// An agent's statement as an epoch makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The claims, JCS.
    pub claims: String,
    /// Hash of the statement as a leaf of the score tree.
    pub leaf: Hash,
}

/// Makes the statements of one epoch, one after the other: the same bytes as [`disclosures`] and [`Statement`], with nothing kept
/// but what an epoch needs.
#[derive(Clone, Debug)]
pub struct Sealer {
    epoch: u64,
    mac: Hmac<Sha256>,
    texts: Texts,
    /// base64url digests.
    sd: Vec<Vec<u8>>,
    statement: Vec<u8>,
}

impl Sealer {
    /// For epoch `epoch` with its key.
    ///
    /// # Errors
    /// `statement.malformed` if `epoch` is 0 or beyond 2^53−1.
    pub fn new(epoch_key: &[u8; 32], epoch: u64) -> Result<Self, Error> {
        check_epoch(epoch)?;
        Ok(Self {
            epoch,
            mac: keyed(epoch_key),
            texts: Texts::default(),
            sd: vec![Vec::new(); NAMES.len()],
            statement: Vec::new(),
        })
    }

    /// The statement of one agent.
    ///
    /// # Errors
    /// `claims.malformed` if a number is beyond 2^53−1.
    pub fn seal(&mut self, claims: &Claims, agent: &Did) -> Result<Sealed, Error> {
        let agent = agent.to_string();
        let mac = keyed(&tag(&self.mac, agent.as_bytes()));
        let mut all = String::with_capacity(1024);
        let mut slots = self.sd.iter_mut();
        claims.members(&mut |name, value| {
            let digest = self.texts.disclose(&mac, name, value);
            if let Some(slot) = slots.next() {
                slot.clear();
                b64::url_append(slot, &digest.0);
            }
            all.push_str(if all.is_empty() { "{\"" } else { ",\"" });
            for part in [name, "\":", value] {
                all.push_str(part);
            }
        })?;
        all.push('}');
        // The order is that of the text, which base64url does not share with the bytes.
        self.sd.sort_unstable();
        self.statement.clear();
        write_statement(&mut self.statement, &agent, self.epoch, &self.sd);
        Ok(Sealed {
            claims: all,
            leaf: merkle::leaf_hash(&self.statement),
        })
    }
}

/// A statement's canonical bytes. Written out rather than serialized: these members need no escaping and stand in canonical order
/// already.
fn write_statement<S: AsRef<[u8]>>(out: &mut Vec<u8>, agent: &str, epoch: u64, sd: &[S]) {
    let epoch = epoch.to_string();
    for part in ["{\"agent\":\"", agent, "\",\"epoch\":", &epoch] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b",\"kind\":\"statement\",\"sd\":[");
    for (place, digest) in sd.iter().enumerate() {
        let before: &[u8] = if place == 0 { b"\"" } else { b",\"" };
        for part in [before, digest.as_ref(), b"\""] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"],\"v\":1}");
}

fn check_epoch(epoch: u64) -> Result<(), Error> {
    if (1..=MAX_INTEGER).contains(&epoch) {
        Ok(())
    } else {
        Err(Error::new(Code::StatementMalformed, "/epoch: out of range"))
    }
}

/// One agent's commitment in one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    agent: Did,
    epoch: u64,
    /// Ascending by their base64url text, without repetition.
    sd: Vec<Digest>,
}

impl Statement {
    /// The statement over these digests, in any order.
    ///
    /// # Errors
    /// `statement.malformed` for epoch 0, a repeated digest, or more than 64 of them.
    pub fn new(
        agent: Did,
        epoch: u64,
        digests: impl IntoIterator<Item = Digest>,
    ) -> Result<Self, Error> {
        let mut sd: Vec<(String, Digest)> = digests
            .into_iter()
            .map(|digest| (digest.to_string(), digest))
            .collect();
        // The order is that of the text, which base64url does not share with the bytes.
        sd.sort();
        Self::ordered(
            agent,
            epoch,
            sd.into_iter().map(|(_, digest)| digest).collect(),
        )
    }

    fn ordered(agent: Did, epoch: u64, sd: Vec<Digest>) -> Result<Self, Error> {
        let malformed = |why: &str| Err(Error::new(Code::StatementMalformed, why));
        check_epoch(epoch)?;
        if sd.len() > MAX_DISCLOSURES {
            return malformed("/sd: more than 64 digests");
        }
        let texts: Vec<String> = sd.iter().map(Digest::to_string).collect();
        if !texts.is_sorted_by(|a, b| a < b) {
            return malformed("/sd: not ascending");
        }
        Ok(Self { agent, epoch, sd })
    }

    /// Reads a statement; its bytes must be canonical.
    ///
    /// # Errors
    /// `statement.malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(Code::StatementMalformed, why);
        let value = json::parse_canonical(bytes).map_err(|fault| malformed(&fault.to_string()))?;
        let object = Obj::new(&value, "", &CODES, &["agent", "epoch", "kind", "sd", "v"])?;
        object.int("v", 1..=1)?;
        object.word("kind", |kind| (kind == "statement").then_some(()))?;
        let sd = parse_digests(&object, "sd")?;
        Self::ordered(
            object.did("agent")?,
            object.int("epoch", 1..=MAX_INTEGER)?,
            sd,
        )
    }

    /// The agent.
    pub fn agent(&self) -> Did {
        self.agent
    }

    /// The epoch's number.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The digests, in the statement's order.
    pub fn sd(&self) -> &[Digest] {
        &self.sd
    }

    /// The canonical bytes, a leaf of the score tree.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sd: Vec<String> = self.sd.iter().map(Digest::to_string).collect();
        let mut out = Vec::new();
        write_statement(&mut out, &self.agent.to_string(), self.epoch, &sd);
        out
    }

    /// Hash of the leaf that this statement is in the score tree.
    pub fn leaf_hash(&self) -> Hash {
        merkle::leaf_hash(&self.to_bytes())
    }
}

/// A member that is an array of base64url digests.
pub(crate) fn parse_digests(object: &Obj<'_>, name: &str) -> Result<Vec<Digest>, Error> {
    let items = object.array(name, MAX_DISCLOSURES)?;
    let digests = items
        .iter()
        .map(|(_, item)| item.as_str().and_then(|text| Digest::parse_url(text).ok()));
    digests
        .collect::<Option<_>>()
        .ok_or_else(|| object.invalid(name, "an item is not a base64url digest"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claims::{BandScore, KindScore, MarketReports, State};

    fn agent() -> Did {
        Did::parse("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp").unwrap()
    }

    fn claims() -> impl Strategy<Value = Claims> {
        let bp = || proptest::collection::vec(0..=10_000_u16, 8);
        let numbers = proptest::collection::vec(0..=MAX_INTEGER, 8);
        // Any characters, so those too that JSON escapes and that UTF-8 and UTF-16 order differently.
        let texts = || proptest::collection::vec(any::<String>(), 0..4);
        let flags = any::<[bool; 4]>();
        (bp(), numbers, texts(), texts(), texts(), flags, 0..3_usize).prop_map(
            |(bp, n, kinds, flags, markets, gte, state)| Claims {
                score_bp: bp[0],
                uncertainty_bp: bp[1],
                lower_bp: bp[2],
                lifetime_lower_bp: bp[3],
                recent_lower_bp: bp[4],
                state: [State::Unproven, State::Established, State::Contested][state],
                reports: n[0],
                counterparties: n[1],
                effective_counterparties_milli: n[2],
                evidence_milli: n[3] % 10,
                attested_bp: bp[5],
                by_kind: kinds
                    .into_iter()
                    .map(|kind| {
                        let score = KindScore {
                            lower_bp: bp[6],
                            score_bp: bp[7],
                            reports: n[4],
                        };
                        (kind, score)
                    })
                    .collect(),
                by_amount_band: bp
                    .iter()
                    .map(|bp| BandScore {
                        from_milli: n[5],
                        lower_bp: *bp,
                        score_bp: 10_000 - bp,
                        reports: 0,
                    })
                    .collect(),
                markets: markets
                    .into_iter()
                    .map(|market| MarketReports { market, reports: 9 })
                    .collect(),
                dampening_bp: 10_000,
                flags,
                first_seen: n[6],
                rotations: 0,
                last_rotated: n[7],
                erased_reports: 10,
                lower_gte_2500: gte[0],
                lower_gte_5000: gte[1],
                lower_gte_7500: gte[2],
                lower_gte_9000: gte[3],
            },
        )
    }

    /// `docs/FORMATS.md` §5 by way of general JSON.
    fn in_general(claims: &Claims, key: &[u8; 32]) -> Vec<Disclosure> {
        let value = serde_json::to_value(claims).unwrap();
        let key = agent_key(key, &agent());
        let members = value.as_object().unwrap().iter();
        let mut all: Vec<Disclosure> = members
            .map(|(name, value)| {
                let salt = &tag(&keyed(&key), name.as_bytes())[..16];
                let array = serde_json::json!([b64::url_encode(salt), name, value]);
                let encoded = b64::url_encode(crate::json::canonical(&array).unwrap());
                Disclosure {
                    digest: sha256(encoded.as_bytes()),
                    name: name.clone(),
                    encoded,
                }
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    proptest! {
        #[test]
        fn what_is_written_by_hand_is_what_json_writes(claims in claims(), key: [u8; 32], epoch in 1..=MAX_INTEGER) {
            let all = in_general(&claims, &key);
            prop_assert_eq!(&disclosures(&claims, &key, &agent()).unwrap(), &all);
            let names: Vec<&str> = all.iter().map(|d| d.name.as_str()).collect();
            prop_assert_eq!(names, NAMES);
            let statement = Statement::new(agent(), epoch, all.iter().map(|d| d.digest)).unwrap();
            prop_assert_eq!(&Statement::parse(&statement.to_bytes()).unwrap(), &statement);
            let canonical = crate::json::canonical(&serde_json::to_value(&claims).unwrap()).unwrap();
            let mut sealer = Sealer::new(&key, epoch).unwrap();
            // A second time from the same sealer: nothing of the first is left in it.
            for _ in 0..2 {
                let sealed = sealer.seal(&claims, &agent()).unwrap();
                prop_assert_eq!(sealed.leaf, statement.leaf_hash());
                prop_assert_eq!(sealed.claims.as_bytes(), &canonical[..]);
            }
        }

        #[test]
        fn numbers_beyond_what_json_has_are_refused(mut claims in claims(), n in MAX_INTEGER + 1..) {
            claims.first_seen = n;
            let key = [1; 32];
            let code = |error: Error| error.code();
            prop_assert_eq!(disclosures(&claims, &key, &agent()).map_err(code), Err(Code::ClaimsMalformed));
            let mut sealer = Sealer::new(&key, 1).unwrap();
            prop_assert_eq!(sealer.seal(&claims, &agent()).map_err(code), Err(Code::ClaimsMalformed));
        }
    }

    #[test]
    fn there_is_no_epoch_zero() {
        for epoch in [0, MAX_INTEGER + 1] {
            let refused = Sealer::new(&[0; 32], epoch).map_err(|e| e.code());
            assert_eq!(refused.err(), Some(Code::StatementMalformed));
        }
    }
}
