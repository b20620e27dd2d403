//! Explanations and histories over HTTP, of the market of the golden vectors in which some cheat.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Service, T0, agent, sign, vectors};

/// The case of `scores.json` with the cheats.
fn case() -> Value {
    let name = "agent-market: some cheat";
    let mut all = vectors("scores.json").into_iter();
    all.find(|case| case["name"] == name).unwrap()
}

/// The agents of the vectors in the order in which its reports name them: the place of each is the number of ours that stands for it.
fn numbers(case: &Value) -> Vec<String> {
    let mut seen = Vec::new();
    for report in case["reports"].as_array().unwrap() {
        for who in ["reporter", "subject"] {
            let did = report[who].as_str().unwrap().to_owned();
            if !seen.contains(&did) {
                seen.push(did);
            }
        }
    }
    seen
}

/// One report of the vectors, signed by the agent that stands for its reporter.
fn signed(report: &Value, agents: &[String]) -> (u64, String) {
    let who = |name: &str| {
        let did = report[name].as_str().unwrap();
        let n = agents.iter().position(|known| known == did).unwrap();
        agent(u32::try_from(n).unwrap())
    };
    let nano = report["amount_nano"].as_u64().unwrap();
    let closed_at = report["closed_at"].as_u64().unwrap();
    let payload = json!({
        "iss": who("reporter").did().to_string(),
        "sub": who("subject").did().to_string(),
        "jti": format!("report-{}", report["index"]),
        "iat": closed_at,
        "trade": {
            "id": report["trade_id"], "market": report["market"], "kind": report["kind"], "role": report["role"],
            "amount": format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000), "currency": report["currency"],
            "closed_at": closed_at,
        },
        "outcome": {"status": report["status"], "quality_bp": report["quality_bp"]},
    });
    (closed_at, sign(&who("reporter"), &payload))
}

struct Market {
    service: Service,
    case: Value,
    agents: Vec<String>,
}

impl Market {
    /// Reports are sent soon after their trades, as admission wants them; an epoch at the time of the vectors.
    async fn start() -> Self {
        let case = case();
        let agents = numbers(&case);
        let reports = case["reports"].as_array().unwrap();
        let mut all: Vec<_> = reports.iter().map(|r| signed(r, &agents)).collect();
        all.sort();
        let service = Service::start(all[0].0).await;
        for some in all.chunks(40) {
            let (last, _) = some.last().unwrap();
            service.clock.set_ms((last + 60) * 1000);
            let lines: Vec<String> = some.iter().map(|(_, jws)| jws.clone()).collect();
            let answers = service.submit_lines(&lines).await;
            assert!(
                answers.iter().all(|a| a["leaf_index"].is_u64()),
                "{answers:?}"
            );
        }
        service.clock.set_ms(T0 * 1000);
        let seeds = case["policy"]["seeds"].as_array().unwrap();
        let seeds: Vec<u32> = seeds
            .iter()
            .map(|did| {
                let n = agents
                    .iter()
                    .position(|known| did == known.as_str())
                    .unwrap();
                u32::try_from(n).unwrap()
            })
            .collect();
        service.set_seeds(&seeds).await;
        goodstanding::epoch::run(&service.app, None).await.unwrap();
        Self {
            service,
            case,
            agents,
        }
    }

    /// Our DID of an agent of the vectors.
    fn did(&self, theirs: &Value) -> String {
        let n = self.agents.iter().position(|did| theirs == did.as_str());
        agent(u32::try_from(n.unwrap()).unwrap()).did().to_string()
    }

    /// Our DID of the one agent whose outcome in the vectors is like this.
    fn the_one(&self, is: impl Fn(&Value) -> bool) -> String {
        let agents = self.case["output"]["agents"].as_array().unwrap();
        let mut found = agents.iter().filter(|a| is(a));
        let one = found.next().unwrap();
        assert!(found.next().is_none(), "one only");
        self.did(&one["agent"])
    }

    async fn explained(&self, did: &str, query: &str) -> Value {
        let path = format!("/v1/agents/{did}/explanation{query}");
        self.service.get_json(&path).await
    }

    async fn refused(&self, path: &str) -> (u16, String) {
        let response = self.service.get(path).await;
        let status = response.status().as_u16();
        let problem: Value = response.json().await.unwrap();
        (status, problem["code"].as_str().unwrap().to_owned())
    }
}

fn number(value: &Value) -> u128 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_u64().unwrap().into(),
    }
}

/// Sums, mean and score from the cited numbers, by the formulas of section 11 and not by the crate.
fn recompute(explained: &Value) {
    let (mut weight, mut quality) = (0, 0);
    for contribution in explained["contributions"].as_array().unwrap() {
        let (mut w, mut q) = (0, 0);
        for report in contribution["reports"].as_array().unwrap() {
            w += number(&report["weight_q32"]);
            q += number(&report["weight_q32"]) * number(&report["quality_q16"]);
        }
        assert_eq!(w, number(&contribution["weight_q32"]));
        assert_eq!(q, number(&contribution["weighted_quality"]));
        weight += w;
        quality += q;
    }
    assert_eq!(weight, number(&explained["totals"]["weight_q32"]));
    assert_eq!(quality, number(&explained["totals"]["weighted_quality"]));
    let prior = &explained["prior"];
    let (w0, q0) = (number(&prior["weight_q32"]), number(&prior["quality_q16"]));
    let mean = (quality + w0 * q0) / (weight + w0);
    assert_eq!((mean * 10_000) >> 16, number(&explained["score_bp"]));
    assert_eq!(
        w0 * 10_000 / (weight + w0),
        number(&explained["uncertainty_bp"])
    );
    let constant = |name: &str| number(&explained["scoring"][name]);
    let bound = |mean: u128| {
        let root = ((weight + w0) << 32).isqrt();
        let spread = ((constant("z_milli") * constant("spread_bp")) << 48) / (10_000_000 * root);
        let error = constant("model_error_bp") * 65_536 / 10_000;
        (mean.saturating_sub(spread).saturating_sub(error) * 10_000) >> 16
    };
    assert_eq!(bound(mean), number(&explained["lifetime_lower_bp"]));
    if explained["headline_from"] == "value_split" {
        let deduction = number(&explained["value_split"]["deduction_q16"]);
        assert_eq!(
            bound(mean.saturating_sub(deduction)),
            number(&explained["lower_bp"])
        );
    }
}

#[tokio::test]
async fn every_score_is_that_of_the_vectors_and_recomputes_from_what_is_cited() {
    let market = Market::start().await;
    for theirs in market.case["output"]["agents"].as_array().unwrap() {
        let did = market.did(&theirs["agent"]);
        let explained = market.explained(&did, "").await;
        let claims = &theirs["claims"];
        for name in [
            "score_bp",
            "lower_bp",
            "lifetime_lower_bp",
            "recent_lower_bp",
            "uncertainty_bp",
            "state",
            "dampening_bp",
        ] {
            assert_eq!(explained[name], claims[name], "{name} of {did}");
        }
        assert_eq!(explained["reports_total"], claims["reports"]);
        assert_eq!(explained["contributions_left_out"], 0);
        assert_eq!(explained["next_cursor"], Value::Null);
        recompute(&explained);
    }
    market.service.stop().await;
}

#[tokio::test]
async fn what_was_dampened_is_told_with_its_reason() {
    let market = Market::start().await;
    let pairs = market.case["output"]["pairs"].as_array().unwrap();
    let mut reasons = BTreeSet::new();
    let mut dampened = 0;
    for pair in pairs.iter().filter(|p| p["role"] == "buyer") {
        let explained = market.explained(&market.did(&pair["subject"]), "").await;
        let rater = market.did(&pair["rater"]);
        let all = explained["contributions"].as_array().unwrap();
        let one = all
            .iter()
            .find(|c| c["rater"] == rater.as_str() && c["role"] == "buyer")
            .unwrap();
        let told = &one["dampened"];
        assert_eq!(told["left_q16"], pair["dampening_q16"]);
        let why = told["reasons"].as_array().unwrap();
        assert_eq!(why.is_empty(), told["left_q16"] == 65_536, "{told}");
        dampened += usize::from(!why.is_empty());
        reasons.extend(why.iter().map(|reason| reason.as_str().unwrap().to_owned()));
    }
    assert!(dampened >= 6, "{dampened}");
    for reason in ["core", "wash", "reciprocal", "slander"] {
        assert!(
            reasons.contains(reason),
            "{reason} is not among {reasons:?}"
        );
    }
    market.service.stop().await;
}

#[tokio::test]
async fn a_change_a_value_split_and_one_more_trade_are_told() {
    let market = Market::start().await;
    let changed = market.the_one(|a| !a["changes"].as_array().unwrap().is_empty());
    let explained = market.explained(&changed, "").await;
    let change = &explained["changes"][0];
    assert!(
        number(&change["before_bp"]) > 8500 && number(&change["after_bp"]) < 4500,
        "{change}"
    );
    assert_eq!(explained["oscillates"], false);
    let bits = change["bits"].as_u64().unwrap();
    for contribution in explained["contributions"].as_array().unwrap() {
        for report in contribution["reports"].as_array().unwrap() {
            let forgotten = if report["segment"] == 0 { bits } else { 0 };
            let plain = report["plain_weight_q32"].as_u64().unwrap();
            if contribution["role"] == "buyer" {
                assert_eq!(report["own_weight_q32"], plain >> forgotten, "{report}");
            }
        }
    }

    let cheat = market.the_one(|a| a["value_split"].is_object());
    let explained = market.explained(&cheat, "").await;
    assert_eq!(explained["headline_from"], "value_split");
    assert_eq!(explained["headline_band_from_milli"], Value::Null);
    let split = &explained["value_split"];
    assert!(number(&split["from_nano"]) > 50_000_000_000, "{split}");

    let one_more = &explained["one_more"];
    let of = |outcome: &str| number(&one_more[outcome]["score_bp"]);
    assert!(
        of("bad") < number(&explained["score_bp"]) && number(&explained["score_bp"]) < of("good")
    );
    let (totals, prior) = (&explained["totals"], &explained["prior"]);
    let added = number(&one_more["weight_q32"]);
    let whole = number(&totals["weight_q32"]) + number(&prior["weight_q32"]) + added;
    let before = number(&totals["weighted_quality"])
        + number(&prior["weight_q32"]) * number(&prior["quality_q16"]);
    assert_eq!(
        (((before + added * 65_536) / whole) * 10_000) >> 16,
        of("good")
    );
    assert_eq!(((before / whole) * 10_000) >> 16, of("bad"));
    market.service.stop().await;
}

#[tokio::test]
async fn contributions_come_in_pages_and_the_totals_are_always_whole() {
    let market = Market::start().await;
    let cheat = market.the_one(|a| a["value_split"].is_object());
    let whole = market.explained(&cheat, "?limit=1000").await;
    let all = whole["contributions"].as_array().unwrap();
    assert!(all.len() > 4);
    let mut read = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let mut page = market.explained(&cheat, &query).await;
        let next = page["next_cursor"].take();
        let some = page["contributions"].take();
        let some = some.as_array().unwrap();
        assert!(!some.is_empty() && some.len() <= 2);
        assert_eq!(page["contributions_left_out"], all.len() - some.len());
        read.extend(some.iter().cloned());
        for (name, value) in page.as_object().unwrap() {
            if !["contributions", "contributions_left_out", "next_cursor"].contains(&name.as_str())
            {
                assert_eq!(value, &whole[name], "{name}");
            }
        }
        let Some(next) = next.as_str() else { break };
        query = format!("?limit=2&cursor={next}");
    }
    assert_eq!(&read, all);
    let weights: Vec<_> = all.iter().map(|c| number(&c["weight_q32"])).collect();
    assert!(weights.is_sorted_by(|a, b| a >= b), "{weights:?}");

    let path = format!("/v1/agents/{cheat}/explanation");
    for wrong in [
        "?limit=0",
        "?limit=1001",
        "?limits=3",
        "?cursor=AAAA",
        "?cursor=x",
    ] {
        let refused = market.refused(&format!("{path}{wrong}")).await;
        assert_eq!(
            refused,
            (400, "request.parameter_invalid".to_owned()),
            "{wrong}"
        );
    }
    // The pages of one epoch do not go on in the next one.
    let first = market.explained(&cheat, "?limit=2").await;
    let next = first["next_cursor"].as_str().unwrap();
    market.service.clock.set_ms((T0 + 3600) * 1000);
    market.service.set_seeds(&[0, 1, 2]).await;
    goodstanding::epoch::run(&market.service.app, None)
        .await
        .unwrap();
    let refused = market
        .refused(&format!("{path}?limit=2&cursor={next}"))
        .await;
    assert_eq!(refused, (409, "epoch.superseded".to_owned()));
    market.service.stop().await;
}

#[tokio::test]
async fn a_history_has_every_epoch_with_its_time_newest_first() {
    let market = Market::start().await;
    for later in 1..=3 {
        market
            .service
            .clock
            .set_ms((T0 + later * 30 * 86_400) * 1000);
        market
            .service
            .set_seeds(&[0, 1, u32::try_from(later).unwrap() + 1])
            .await;
        goodstanding::epoch::run(&market.service.app, None)
            .await
            .unwrap();
    }
    let changed = market.the_one(|a| !a["changes"].as_array().unwrap().is_empty());
    let path = format!("/v1/agents/{changed}/history");
    let all = market.service.get_json(&path).await;
    let items = all["items"].as_array().unwrap();
    let told: Vec<_> = items
        .iter()
        .map(|i| (i["epoch"].as_u64().unwrap(), i["as_of"].as_u64().unwrap()))
        .collect();
    let expected: Vec<_> = (0..4)
        .rev()
        .map(|n| (n + 1, T0 + n * 30 * 86_400))
        .collect();
    assert_eq!(told, expected);
    for item in items {
        for name in ["score_bp", "lower_bp", "dampening_bp"] {
            assert!(item["claims"][name].is_u64(), "{name}");
        }
        assert!(item["claims"]["state"].is_string());
        let epoch = market
            .service
            .get_json(&format!("/v1/epochs/{}", item["epoch"]))
            .await;
        assert_eq!(epoch["as_of"], item["as_of"]);
    }
    let newest = market
        .service
        .get_json(&format!("/v1/agents/{changed}"))
        .await;
    assert_eq!(
        (&newest["claims"], &newest["as_of"]),
        (&items[0]["claims"], &items[0]["as_of"])
    );
    let first = market.service.get_json(&format!("{path}?limit=3")).await;
    assert_eq!(first["items"].as_array().unwrap()[..], items[..3]);
    let rest = format!(
        "{path}?limit=3&cursor={}",
        first["next_cursor"].as_str().unwrap()
    );
    let rest = market.service.get_json(&rest).await;
    assert_eq!(rest["items"].as_array().unwrap()[..], items[3..]);
    market.service.stop().await;
}

/// Members of an answer, and those that its schema names.
fn same_members(answer: &Value, schema: &Value, what: &str) {
    let described = schema["properties"].as_object().unwrap();
    let answered: BTreeSet<_> = answer.as_object().unwrap().keys().collect();
    assert_eq!(answered, described.keys().collect(), "{what}");
    for (name, value) in answer.as_object().unwrap() {
        let schema = &described[name];
        match value {
            Value::Object(_) if schema["properties"].is_object() => {
                same_members(value, schema, name);
            }
            Value::Array(items) if schema["items"]["properties"].is_object() => {
                for item in items {
                    same_members(item, &schema["items"], name);
                }
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_explanation_has_exactly_the_members_that_are_described() {
    let market = Market::start().await;
    let document = market.service.get_json("/openapi.json").await;
    let schemas = &document["components"]["schemas"];
    for theirs in market.case["output"]["agents"].as_array().unwrap() {
        let explained = market.explained(&market.did(&theirs["agent"]), "").await;
        same_members(&explained, &schemas["Explanation"], "explanation");
        for contribution in explained["contributions"].as_array().unwrap() {
            same_members(contribution, &schemas["Contribution"], "contribution");
        }
        if explained["value_split"].is_object() {
            let split = &schemas["Explanation"]["properties"]["value_split"]["oneOf"][0];
            same_members(&explained["value_split"], split, "value_split");
        }
    }
    market.service.stop().await;
}
