//! The schema of an explanation. `docs/SCORING.md` says what its numbers are; `steps` in every answer, how they make the score.

use serde_json::{Map, Value, json};

/// An object of which every member is always there.
#[expect(
    clippy::needless_pass_by_value,
    reason = "every caller makes it in place"
)]
fn object(description: &str, properties: Value) -> Value {
    let names: Vec<String> = properties
        .as_object()
        .map(|all| all.keys().cloned().collect())
        .unwrap_or_default();
    json!({"type": "object", "description": description, "required": names, "properties": properties})
}

fn integer(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": description})
}

fn signed(description: &str) -> Value {
    json!({"type": "integer", "description": description})
}

fn bp(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": 10_000, "description": description})
}

/// An integer that may pass 2^53 − 1.
fn decimal(description: &str) -> Value {
    json!({"type": "string", "pattern": "^[0-9]+$", "description": description})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn list(of: &Value) -> Value {
    json!({"type": "array", "items": of})
}

fn or_null(schema: &Value) -> Value {
    json!({"oneOf": [schema, {"type": "null"}]})
}

fn totals(description: &str) -> Value {
    let properties = json!({
        "weight_q32": decimal("sum of weights, 2^-32"),
        "weighted_quality": decimal("sum of weight times quality, 2^-48"),
    });
    object(description, properties)
}

/// Members that are in every explanation; `next_cursor` is added to them.
pub(super) fn schema() -> Value {
    let mut properties = Map::new();
    for part in [bounds(), found(), parts()] {
        properties.extend(part.as_object().cloned().unwrap_or_default());
    }
    object("What made one agent's score", properties.into())
}

fn bounds() -> Value {
    json!({
        "agent": text(),
        "epoch": integer("number of the epoch"),
        "code": {"type": "string", "description": "version of the scoring function"},
        "as_of": integer("time of the scores, Unix seconds"),
        "steps": list(&text()),
        "score_bp": bp("posterior mean"),
        "lower_bp": bp("the headline"),
        "headline_from": {"enum": ["lifetime", "recent", "value_split", "amount_band", "as_buyer"]},
        "headline_band_from_milli": or_null(&integer("where the amount band begins that is the headline, milli-units of the reference currency")),
        "lifetime_lower_bp": bp("bound over the whole life"),
        "recent_lower_bp": bp("bound over the recent window"),
        "uncertainty_bp": bp("the prior's share of all evidence"),
        "state": {"enum": ["unproven", "established", "contested"]},
        "dampening_bp": bp("10000: nothing dampened"),
        "seed": {"type": "boolean", "description": "a trust root of the policy"},
        "flow_q48": integer("flow that reaches the agent, 2^-48 of all"),
        "credibility_q32": integer("of what the agent says, 2^-32"),
        "missing": list(&text()),
    })
}

fn found() -> Value {
    let change = object(
        "A change of quality",
        json!({
            "at": integer("Unix seconds: trades that closed earlier are before it"),
            "before_bp": bp("mean quality before"),
            "after_bp": bp("mean quality after"),
            "z2_q16": integer("square of its z statistic, 2^-16"),
            "bits": integer("reports before it weigh 2^-bits"),
        }),
    );
    let split = object(
        "From which amount on the agent is worse",
        json!({
            "from_nano": decimal("1e-9 of the reference currency"),
            "z_q16": integer("its z statistic, 2^-16"),
            "gap_q16": integer("how much worse, 2^-16"),
            "deduction_q16": integer("what is taken from the mean for the headline, 2^-16"),
        }),
    );
    let outcome = object(
        "The score after one more trade",
        json!({"score_bp": bp("posterior mean"), "lifetime_lower_bp": bp("its bound")}),
    );
    let one_more = object(
        "What one more trade as a seller would change",
        json!({
            "credibility_q32": integer("of that counterparty, 2^-32"),
            "weight_q32": integer("of its report, 2^-32"),
            "good": outcome,
            "bad": outcome,
        }),
    );
    json!({
        "prior": object("The prior as evidence", json!({
            "quality_bp": bp("its quality"),
            "quality_q16": integer("the same, 2^-16"),
            "weight_q32": integer("its weight, 2^-32"),
        })),
        "as_buyer": object("What the record as a buyer weighs", json!({
            "weight_q32": decimal("by itself, 2^-32"),
            "counts_q32": decimal("in the score, 2^-32"),
        })),
        "as_seller": totals("The record as a seller"),
        "changes": list(&change),
        "oscillates": {"type": "boolean", "description": "goes back and forth, so that nothing is forgotten"},
        "value_split": or_null(&split),
        "scale_q16": or_null(&integer("how far ratings in this market usually lie from each other, 2^-16")),
        "one_more": one_more,
    })
}

fn parts() -> Value {
    json!({
        "totals": totals("Sums over all contributions, also those that are not in this answer"),
        "scoring": {"type": "object", "additionalProperties": {"type": "integer"}, "description": "the policy's constants"},
        "contributions": list(&json!({"$ref": "#/components/schemas/Contribution"})),
        "contributions_total": integer("how many contributions there are"),
        "contributions_left_out": integer("how many of them are not in this answer, not even in part"),
        "reports_total": integer("how many reports they are made of"),
        "next_cursor": {"type": ["string", "null"]},
    })
}

/// One counterparty's part.
pub(super) fn contribution() -> Value {
    let dampened = object(
        "What is left of the counterparty's word, and the statistics that this is from, 2^-16",
        json!({
            "left_q16": integer("65536 is all"),
            "excess_q16": signed("how far it praises more than others do; negative: blames more"),
            "known_q16": integer("how much others have said"),
            "reasons": list(&json!({"enum": ["core", "wash", "reciprocal", "slander", "boost"]})),
            "reciprocal_q16": integer("mutual praise"),
            "slander_q16": integer("blame"),
            "boost_q16": integer("one of several boosts"),
            "wash_q16": integer("amounts passed on in a circle"),
        }),
    );
    let report = object(
        "One report's part",
        json!({
            "id": text(),
            "index": integer("of its log entry"),
            "role": {"enum": ["buyer", "seller"]},
            "quality_bp": bp("the rating that counts"),
            "level": {"enum": ["unilateral", "matched", "countersigned", "receipt"]},
            "closed_at": integer("when the trade ended, Unix seconds"),
            "band_from_milli": integer("lower edge of its amount band, milli-units of the reference currency"),
            "in_dispute": {"type": "boolean"},
            "fresh_q32": integer("decay, level and status, 2^-32"),
            "value_milli": integer("value of the trade, thousandths"),
            "quality_q16": integer("its rating as read, 2^-16"),
            "segment": integer("between change points, from 0"),
            "plain_weight_q32": integer("before change points, 2^-32"),
            "own_weight_q32": integer("in its own record, 2^-32"),
            "weight_q32": integer("in the score, 2^-32"),
        }),
    );
    let mut schema = object(
        "One counterparty's part, in one role, of all its reports",
        json!({
            "rater": text(),
            "role": {"enum": ["buyer", "seller"]},
            "weight_q32": integer("in the score, 2^-32"),
            "share_bp": bp("of the weight of all contributions"),
            "mean_quality_bp": bp("mean of its ratings as read"),
            "weighted_quality": decimal("sum of weight times quality, 2^-48"),
            "flow_q48": integer("flow that reaches the counterparty, 2^-48 of all"),
            "credibility_q32": integer("of the counterparty, 2^-32"),
            "credibility_bp": bp("the same"),
            "mass_q32": decimal("sum of the fresh weights, 2^-32"),
            "size_q16": integer("log2(1 + mass) up to the cap, 2^-16"),
            "plain_voice_q32": integer("what it would weigh if nothing spoke against it, 2^-32"),
            "voice_q32": integer("what it weighs, 2^-32"),
            "leniency_q16": integer("factor by which it is read as stricter, 2^-16"),
            "dampened": dampened,
            "levels": {"type": "object", "additionalProperties": {"type": "integer"}},
            "amount_milli": integer("sum of the amounts, milli-units of the reference currency"),
            "reports_total": integer("how many reports there are, on this page or others"),
            "reports": list(&report),
        }),
    );
    // An agent that reads its own under `visibility = "auditors"` is not shown these.
    if let Some(required) = schema["required"].as_array_mut() {
        let hidden = ["flow_q48", "credibility_q32", "credibility_bp"];
        required.retain(|name| !hidden.iter().any(|hidden| name == hidden));
    }
    schema
}
