//! The golden vectors of scoring: reports and a policy in, every number of the outcome compared. They were written by the Python
//! reference and are read here from the file alone.

use std::path::Path;

use goodstanding_score::{
    Scores,
    evidence::{Admitted, Evidence},
    policy::Policy,
    score,
};
use goodstanding_verify::{
    amount::Amount,
    b64,
    did::Did,
    digest::Digest,
    report::{
        Evidence as Document, Outcome, Rail, Report, ReportId, Role, Status, Terms, Trade,
        TradeKind,
    },
};
use serde_json::{Value, json};

fn cases() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/scores.json");
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} of {value}"))
}

fn number(value: &Value, name: &str) -> u64 {
    value[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} of {value}"))
}

fn did(text: &str) -> Did {
    text.parse().unwrap()
}

/// 32 bytes of base64url.
fn bytes(text: &str) -> [u8; 32] {
    b64::url_decode(text).unwrap().try_into().unwrap()
}

fn bp(value: &Value) -> Option<u16> {
    value.as_u64().map(|n| u16::try_from(n).unwrap())
}

/// Documents that were valid for the report, as admission leaves them.
fn document(given: &Value, report: &Value, policy: &Policy) -> Document {
    let sha256 = Digest(bytes(text(given, "digest")));
    match text(given, "grade") {
        "terms" => Document::Terms(Terms {
            iat: 0,
            exp: u64::MAX,
            promise: None,
            sha256,
        }),
        "receipt" => Document::Receipt {
            rail: Rail::X402,
            signer: Some(did(text(report, "subject"))),
            sha256,
        },
        "attested" => Document::Market {
            attestor: policy.attestors[0],
            sha256,
        },
        other => panic!("{other}"),
    }
}

fn admitted(given: &Value, policy: &Policy) -> Admitted {
    let role = match text(given, "role") {
        "buyer" => Role::Buyer,
        _ => Role::Seller,
    };
    let status = match text(given, "status") {
        "fulfilled" => Status::Fulfilled,
        "partial" => Status::Partial,
        "failed" => Status::Failed,
        "disputed" => Status::Disputed,
        "cancelled" => Status::Cancelled,
        other => panic!("{other}"),
    };
    let kinds = [
        TradeKind::DataSwap,
        TradeKind::Purchase,
        TradeKind::ComputeAuction,
        TradeKind::Service,
    ];
    let kind = text(given, "kind");
    let index = number(given, "index");
    let documents = given["documents"].as_array().unwrap();
    Admitted {
        index,
        at_ms: number(given, "at_ms"),
        historical: false,
        report: Report {
            id: ReportId(bytes(text(given, "id"))),
            iss: did(text(given, "reporter")),
            sub: did(text(given, "subject")),
            jti: format!("report-{index}"),
            iat: number(given, "closed_at"),
            supersedes: None,
            trade: Trade {
                id: text(given, "trade_id").to_owned(),
                market: text(given, "market").to_owned(),
                kind: kinds.into_iter().find(|k| k.as_str() == kind).unwrap(),
                role,
                amount: Amount::from_nano(number(given, "amount_nano")).unwrap(),
                currency: text(given, "currency").to_owned(),
                closed_at: number(given, "closed_at"),
                resource: None,
                units: None,
                swap_id: None,
                parent: None,
                negotiation: None,
                auction: None,
                settlement: None,
            },
            outcome: Outcome {
                status,
                quality_bp: bp(&given["quality_bp"]),
                on_time: None,
                claimed_quality_bp: bp(&given["claimed_quality_bp"]),
            },
            evidence: documents
                .iter()
                .map(|one| document(one, given, policy))
                .collect(),
        },
    }
}

/// The reports of a case; a name stands for those of another one.
fn reports<'a>(cases: &'a [Value], case: &'a Value) -> &'a [Value] {
    match &case["reports"] {
        Value::Array(all) => all,
        Value::String(other) => {
            let case = cases.iter().find(|c| c["name"] == other.as_str()).unwrap();
            reports(cases, case)
        }
        other => panic!("{other}"),
    }
}

/// The outcome in the form of the vectors. `shift_q16` and `excess_q16` of a change and a pair are compared by [`compare`].
fn agents(evidence: &Evidence, policy: &Policy, scores: &Scores) -> Vec<Value> {
    let all = scores.all(evidence, policy);
    let one = |(n, score): (usize, &goodstanding_score::AgentScore)| {
        let found = scores.findings(evidence, policy, n);
        let change = |c: &goodstanding_score::ChangePoint| {
            json!({
                "from": c.at, "better": c.quality_q16.1 > c.quality_q16.0, "z_squared_q16": c.z2_q16,
                "bits": if found.oscillates { 0 } else { c.bits },
            })
        };
        let split = found.value_split.map(|(from, _, _, taken)| {
            json!({"amount_nano": u64::try_from(from).unwrap(), "deduction_q16": taken})
        });
        json!({
            "agent": score.agent, "flow_q48": score.flow_q48, "credibility_q32": score.credibility_q32,
            "claims": score.claims, "value_split": split,
            "changes": found.changes.iter().map(change).collect::<Vec<_>>(), "oscillates": found.oscillates,
        })
    };
    all.iter().enumerate().map(one).collect()
}

/// By rater, subject and role, as the reference sorts them.
fn pairs(evidence: &Evidence, policy: &Policy, scores: &Scores) -> Vec<Value> {
    let mut out = Vec::new();
    for (n, subject) in evidence.agents.iter().enumerate() {
        let of_agent = scores.contributions(evidence, policy, n);
        // The record as a buyer counts in the score with a factor of its own: section 11, both roles.
        let explained = goodstanding_score::explain(evidence, policy, scores, subject).unwrap();
        for c in of_agent {
            let role = if c.as_buyer { "seller" } else { "buyer" };
            let rater = evidence.agents[c.rater];
            let part = explained
                .contributions
                .iter()
                .find(|e| e.rater == rater && e.role == role)
                .unwrap();
            out.push(json!({
                "rater": rater, "subject": subject, "role": role, "dampening_q16": c.dampened.left_q16,
                "weight_q32": part.weight_q32, "excess_q16": c.dampened.excess_q16,
            }));
        }
    }
    out.sort_by(|a, b| {
        ["rater", "subject", "role"]
            .map(|name| text(a, name))
            .cmp(&["rater", "subject", "role"].map(|name| text(b, name)))
    });
    out
}

/// Compares what the vectors have; a null excess is of a pair that has none.
fn compare(name: &str, mut theirs: Vec<Value>, ours: &[Value]) {
    theirs.sort_by_key(|one| ["agent", "rater", "subject", "role"].map(|n| one[n].to_string()));
    assert_eq!(theirs.len(), ours.len(), "{name}");
    let mut ours = ours.to_vec();
    ours.sort_by_key(|one| ["agent", "rater", "subject", "role"].map(|n| one[n].to_string()));
    for (theirs, mut ours) in theirs.into_iter().zip(ours) {
        if theirs["excess_q16"].is_null() && ours.get("excess_q16").is_some() {
            ours["excess_q16"] = Value::Null;
        }
        assert_eq!(theirs, ours, "{name}");
    }
}

#[test]
fn every_market_has_exactly_the_outcome_of_its_vector() {
    let cases = cases();
    assert!(cases.len() >= 8);
    for case in &cases {
        let name = text(case, "name");
        let policy = Policy::parse(&case["policy"]).unwrap();
        let log: Vec<Admitted> = reports(&cases, case)
            .iter()
            .map(|given| admitted(given, &policy))
            .collect();
        let evidence = Evidence::build(&log, &policy);
        let scores = match score(&evidence, &policy, number(case, "as_of"), None) {
            Ok(scores) => scores,
            Err(error) => {
                assert_eq!(case["code"], error.code(), "{name}");
                continue;
            }
        };
        assert_eq!(case["code"], Value::Null, "{name}");
        let output = &case["output"];
        assert_eq!(output["scale_q16"], json!(scores.scale_q16()), "{name}");
        let mut told = output["agents"].as_array().unwrap().clone();
        for agent in &mut told {
            for change in agent["changes"].as_array_mut().unwrap() {
                // The explanation has the qualities on both sides instead.
                change.as_object_mut().unwrap().remove("shift_q16").unwrap();
            }
        }
        compare(name, told, &agents(&evidence, &policy, &scores));
        let told = output["pairs"].as_array().unwrap().clone();
        compare(name, told, &pairs(&evidence, &policy, &scores));
    }
}

#[test]
fn the_band_that_is_the_headline_is_named() {
    let cases = cases();
    let mut named = 0;
    for case in cases.iter().filter(|case| case["code"].is_null()) {
        let policy = Policy::parse(&case["policy"]).unwrap();
        let log: Vec<Admitted> = reports(&cases, case)
            .iter()
            .map(|given| admitted(given, &policy))
            .collect();
        let evidence = Evidence::build(&log, &policy);
        let scores = score(&evidence, &policy, number(case, "as_of"), None).unwrap();
        for told in case["output"]["agents"].as_array().unwrap() {
            let agent = did(text(told, "agent"));
            let why = goodstanding_score::explain(&evidence, &policy, &scores, &agent).unwrap();
            let band = why.headline_band_from_milli;
            assert_eq!(band.is_some(), why.headline_from == "amount_band");
            let Some(from) = band else { continue };
            let bands = told["claims"]["by_amount_band"].as_array().unwrap();
            let band = bands.iter().find(|b| b["from_milli"] == from).unwrap();
            assert_eq!(band["lower_bp"], why.lower_bp, "{agent}");
            named += 1;
        }
    }
    assert!(named >= 3, "{named}");
}
