//! SD-JWT VC type metadata of the token, as one fixed document per issuer.

use goodstanding_verify::b64;
use serde_json::{Value, json};

use super::vct;

/// Every claim with a label, in the order the contract lists them.
const CLAIMS: &[(&str, &str)] = &[
    ("score_bp", "Posterior mean, basis points"),
    ("uncertainty_bp", "Uncertainty of the score, basis points"),
    ("lower_bp", "Headline lower bound, basis points"),
    (
        "lifetime_lower_bp",
        "Lower bound over the whole life, basis points",
    ),
    (
        "recent_lower_bp",
        "Lower bound over the recent window, basis points",
    ),
    ("state", "unproven, established or contested"),
    ("reports", "Reports about the agent that count"),
    ("counterparties", "Distinct counterparties that reported"),
    (
        "effective_counterparties_milli",
        "Inverse Simpson index of counterparties, thousandths",
    ),
    (
        "evidence_milli",
        "Evidence mass, thousandths of a full-weight trade",
    ),
    (
        "attested_bp",
        "Share of trades above unilateral, basis points",
    ),
    ("by_kind", "Scores by trade kind"),
    ("by_amount_band", "Scores by amount band"),
    ("markets", "Markets with most evidence"),
    ("dampening_bp", "10000 = nothing dampened"),
    ("flags", "Kinds of open or upheld flags"),
    ("first_seen", "First seen in the log, Unix seconds"),
    ("rotations", "Key rotations"),
    ("last_rotated", "Last key rotation, Unix seconds, 0 = never"),
    ("erased_reports", "Reports about the agent that were erased"),
    ("lower_gte_2500", "Lower bound at least 2500"),
    ("lower_gte_5000", "Lower bound at least 5000"),
    ("lower_gte_7500", "Lower bound at least 7500"),
    ("lower_gte_9000", "Lower bound at least 9000"),
];

/// The document's text, canonical JSON.
pub fn document(issuer: &str) -> String {
    let claims: Vec<Value> = CLAIMS
        .iter()
        .map(|(name, label)| json!({"path": [name], "sd": "always", "display": [{"locale": "en", "label": label}]}))
        .collect();
    let document = json!({
        "vct": vct(issuer),
        "name": "Agent reputation",
        "description": "What the log of signed trade reports says of one agent in one epoch",
        "display": [{"locale": "en", "name": "Certificate of good standing", "description": "Recomputable reputation of a trading agent"}],
        "claims": claims,
    });
    goodstanding_verify::json::canonical(&document)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// Subresource integrity of the document: `sha256-` and base64.
pub fn integrity(document: &str) -> String {
    format!(
        "sha256-{}",
        b64::std_encode(goodstanding_verify::digest::sha256(document.as_bytes()).0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_every_claim_of_the_schema_and_no_other() {
        let schema: Value =
            serde_json::from_str(include_str!("../../schemas/claims.schema.json")).unwrap();
        let mut known: Vec<&str> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut named: Vec<&str> = CLAIMS.iter().map(|(name, _)| *name).collect();
        known.sort_unstable();
        named.sort_unstable();
        assert_eq!(known, named);
        let document = document("https://issuer.example");
        assert!(document.contains("https://issuer.example/vct/agent-reputation/1"));
        assert!(integrity(&document).starts_with("sha256-"));
    }
}
