//! What Ed25519 alone costs on this machine: the bound beside which admission is measured.
//!
//! `cargo run --release -p goodstanding-verify --example bare`

use std::time::Instant;

use ed25519_dalek::{Signer as _, SigningKey};
use goodstanding_verify::{did::Did, report::Report};

const ROUNDS: u32 = 5000;

fn rate(what: &str, mut work: impl FnMut() -> bool) {
    let started = Instant::now();
    assert!((0..ROUNDS).all(|_| work()), "{what} failed");
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{what:<44} {:>9.0} /s on one core",
        f64::from(ROUNDS) / seconds
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../tests/vectors/reports.json"))?;
    let accepted = |case: &&serde_json::Value| case["code"].is_null() && case["at"].is_null();
    let jws = cases
        .iter()
        .find(accepted)
        .and_then(|case| case["jws"].as_str())
        .ok_or("no accepted report among the vectors")?;
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = jws.as_bytes();
    let signature = key.sign(message);
    let public = key.verifying_key();
    rate("sign", || key.sign(message) == signature);
    rate("verify_strict, key at hand", || {
        public.verify_strict(message, &signature).is_ok()
    });
    rate("verify_strict, key from its 32 bytes", || {
        ed25519_dalek::VerifyingKey::from_bytes(public.as_bytes())
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    });
    rate("a DID from its text, weak keys refused", || {
        Did::parse("did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw").is_ok()
    });
    rate("Report::verify, everything", || Report::verify(jws).is_ok());
    rate("Report::parse_admitted, no signatures", || {
        Report::parse_admitted(jws).is_ok()
    });
    Ok(())
}
