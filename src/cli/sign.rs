//! `sign`: an agent's report on a trade, or its terms for one.

use std::path::PathBuf;

use goodstanding_verify::{
    b64,
    digest::sha256,
    report::{REPORT_TYP, Report},
};
use serde_json::{Map, Value, json};

use super::{
    Ctx, input,
    output::{self, say},
};
use crate::{
    clock::Clock,
    code::{Code, Fault},
    ingest::import::TERMS_TYP,
    keys::{KeyFile, SecretKey},
};

/// How long terms are good for if they do not say, seconds.
const TERMS_LIFE_S: u64 = 30 * 86_400;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The payload as JSON, or `-` for standard input; iss, iat and jti are filled in where missing
    file: String,
    /// The agent's key file
    #[arg(long, value_name = "KEYFILE")]
    agent: PathBuf,
    /// Sign trade-terms as the counterparty that will be reported on, instead of a report
    #[arg(long)]
    terms: bool,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let key = KeyFile::read(&args.agent)?;
    let Value::Object(mut payload) = input::json(&args.file)? else {
        return Err(Fault::new(
            Code::InputUnreadable,
            format!("{} is not a JSON object", args.file),
        )
        .into());
    };
    fill_in(&mut payload, &key, args.terms)?;
    if args.terms {
        let jws = key.sign_agent(TERMS_TYP, &payload)?;
        check_terms(&payload, &jws)?;
        let sha256 = sha256(jws.as_bytes()).to_string();
        return if ctx.json {
            output::json(&json!({"jws": jws, "sha256": sha256}))
        } else {
            print(&jws)
        };
    }
    let jws = key.sign_agent(REPORT_TYP, &payload)?;
    let report = Report::verify(&jws)?;
    if ctx.json {
        output::json(&json!({"jws": jws, "report_id": report.id}))
    } else {
        print(&jws)
    }
}

fn print(jws: &str) -> anyhow::Result<()> {
    say!("{jws}");
    Ok(())
}

/// Adds what the signer knows better than whoever wrote the payload.
fn fill_in(
    payload: &mut Map<String, Value>,
    key: &SecretKey,
    terms: bool,
) -> Result<(), crate::keys::Error> {
    let now = Clock::System.now_s();
    let iat = payload
        .entry("iat")
        .or_insert_with(|| now.into())
        .as_u64()
        .unwrap_or(now);
    payload
        .entry("iss")
        .or_insert_with(|| key.did().to_string().into());
    if terms {
        payload
            .entry("exp")
            .or_insert_with(|| (iat + TERMS_LIFE_S).into());
    }
    if !payload.contains_key("jti") {
        let mut jti = [0; 16];
        getrandom::fill(&mut jti).map_err(crate::keys::Error::Random)?;
        payload.insert("jti".into(), b64::url_encode(jti).into());
    }
    Ok(())
}

/// Reads terms as the evidence of a report that they would allow: the checks of the service, before it is too late.
fn check_terms(payload: &Map<String, Value>, jws: &str) -> Result<(), Fault> {
    let text = |name: &str| payload.get(name).cloned().unwrap_or_default();
    let signer_sells = text("iss") == text("seller");
    let (reporter, role) = if signer_sells {
        (text("buyer"), "buyer")
    } else {
        (text("seller"), "seller")
    };
    let report = json!({
        "iss": reporter,
        "sub": text("iss"),
        "jti": "a report that may come",
        "iat": text("iat"),
        "trade": {
            "id": text("trade_id"),
            "market": text("market"),
            "kind": text("kind"),
            "role": role,
            "amount": text("amount"),
            "currency": text("currency"),
            "closed_at": text("iat"),
            // Whether it is a swap, and so may be free, is not in the terms.
            "swap_id": "may be one",
        },
        "outcome": {"status": "cancelled"},
        "evidence": [{"type": "terms", "document": jws}],
    });
    // Nobody signed this report and nobody will see it; only its terms are of interest.
    let kid = reporter.as_str().unwrap_or_default();
    let kid = format!("{kid}#{}", kid.strip_prefix("did:key:").unwrap_or_default());
    let header = json!({"alg": "EdDSA", "typ": REPORT_TYP, "kid": kid});
    let unsigned = format!(
        "{}.{}.{}",
        b64::url_encode(header.to_string()),
        b64::url_encode(report.to_string()),
        b64::url_encode([0; 64])
    );
    Report::parse_admitted(&unsigned)?;
    goodstanding_verify::jws::verify_agent(jws, TERMS_TYP)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), Fault> {
        let (seller, buyer) = (
            SecretKey::from_seed(&[1; 32]),
            SecretKey::from_seed(&[2; 32]),
        );
        let mut payload = json!({
            "trade_id": "t1", "market": "https://m.example", "buyer": buyer.did(), "seller": seller.did(),
            "kind": "service", "amount": "1.5", "currency": "USD", "promise": {"quality_bp": 9000},
        })
        .as_object()
        .cloned()
        .unwrap();
        change(&mut payload);
        fill_in(&mut payload, &seller, true).unwrap();
        let jws = seller.sign_agent(TERMS_TYP, &payload).unwrap();
        check_terms(&payload, &jws)
    }

    #[test]
    fn terms_are_checked_before_they_leave() {
        terms(|_| {}).unwrap();
        terms(|p| drop(p.insert("amount".into(), "0".into()))).unwrap();
        let stranger = SecretKey::from_seed(&[3; 32]).did().to_string();
        for (name, value) in [
            ("exp", json!(5)),
            ("kind", json!("gift")),
            ("jti", json!("x")),
            ("seller", json!(stranger)),
            ("more", json!(1)),
        ] {
            assert!(
                terms(|p| drop(p.insert(name.into(), value))).is_err(),
                "{name}"
            );
        }
    }
}
