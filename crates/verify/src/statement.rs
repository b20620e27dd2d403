//! Statements (`docs/FORMATS.md` §5): what an epoch commits to about one agent, claim by claim but hidden by salts.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    MAX_INTEGER, b64,
    claims::Claims,
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

/// HMAC-SHA-256 with a 32-byte key.
fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    // HMAC pads keys with zeros to its block (RFC 2104); doing so here leaves no length that could be wrong.
    let mut block = [0_u8; 64];
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    Hmac::<Sha256>::new(&block.into())
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into()
}

/// The agent's salt key in one epoch: `HMAC-SHA-256(epoch key, agent DID)`.
pub fn agent_key(epoch_key: &[u8; 32], agent: &Did) -> [u8; 32] {
    hmac(epoch_key, agent.to_string().as_bytes())
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
    let key = agent_key(epoch_key, agent);
    let malformed = |why: String| Error::new(Code::ClaimsMalformed, why);
    let Value::Object(members) =
        serde_json::to_value(claims).map_err(|error| malformed(error.to_string()))?
    else {
        return Err(malformed("not an object".to_owned()));
    };
    let mut all = Vec::with_capacity(members.len());
    for (name, value) in members {
        let [salt @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            &hmac(&key, name.as_bytes());
        let text = json::canonical(&json!([b64::url_encode(salt), name, value]))
            .map_err(|fault| malformed(fault.to_string()))?;
        let encoded = b64::url_encode(text);
        all.push(Disclosure {
            digest: sha256(encoded.as_bytes()),
            name,
            encoded,
        });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
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
        if !(1..=MAX_INTEGER).contains(&epoch) {
            return malformed("/epoch: out of range");
        }
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
        // Written out rather than serialized: these members need no escaping and stand in canonical order already.
        let sd: Vec<String> = self
            .sd
            .iter()
            .map(|digest| format!("\"{digest}\""))
            .collect();
        format!(
            r#"{{"agent":"{}","epoch":{},"kind":"statement","sd":[{}],"v":1}}"#,
            self.agent,
            self.epoch,
            sd.join(",")
        )
        .into_bytes()
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
