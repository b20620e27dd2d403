//! Signed reports to measure with.

use goodstanding_verify::report::Report;
use rayon::prelude::*;
use serde_json::json;

use crate::{code::Fault, keys::SecretKey, log::sequencer::Submission};

/// Reports a trader files here; below the daily quota of reports on one's word alone.
const PER_TRADER: usize = 50;

/// `count` reports that closed at `now_s` (Unix seconds), each of a trade of its own, signed and parsed: what waits in the
/// writer's queue once signatures are verified.
///
/// # Errors
/// When a report cannot be signed or does not parse.
pub fn submissions(count: usize, now_s: u64) -> Result<Vec<Submission>, Fault> {
    let traders: Vec<SecretKey> = (0..count.div_ceil(PER_TRADER).max(2))
        .into_par_iter()
        .map(|n| SecretKey::of_alias("bench", &n.to_string()))
        .collect();
    (0..count)
        .into_par_iter()
        .map(|n| {
            let reporter = &traders[n % traders.len()];
            let subject = &traders[(n + 1 + n / traders.len()) % traders.len()];
            let subject = if subject.public() == reporter.public() {
                &traders[(n + 1) % traders.len()]
            } else {
                subject
            };
            let payload = json!({
                "iss": reporter.did().to_string(),
                "sub": subject.did().to_string(),
                "jti": format!("bench-{n:012}"),
                "iat": now_s,
                "trade": {
                    "id": format!("order-{n:012}"), "market": format!("https://market-{}.example", n % 7), "kind": "purchase",
                    "role": if n % 2 == 0 { "buyer" } else { "seller" },
                    "amount": "12.50", "currency": "USDC", "closed_at": now_s,
                },
                "outcome": {"status": "fulfilled", "quality_bp": 9000, "on_time": true},
            });
            let jws = reporter
                .sign_agent("trade-outcome+jwt", &payload)
                .map_err(|e| Fault::new(crate::code::Code::Internal, e.to_string()))?;
            Ok(Submission {
                report: Report::verify(&jws)?,
                jws,
                historical_ms: None,
            })
        })
        .collect()
}
