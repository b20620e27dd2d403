//! An explanation in words, for people. The numbers are those of `--json`, rounded.

use std::collections::HashMap;

use serde_json::Value;

use super::shortened;
use crate::cli::output::{count, percent, utc};

/// Counterparties that the table shows; `--json` has all.
pub(super) const COUNTERPARTIES: usize = 20;
/// Width of the names of numbers.
const NAME: usize = 12;

/// Adds a line to the text.
macro_rules! put {
    ($out:expr) => { $out.push(String::new()) };
    ($out:expr, $($arg:tt)*) => { $out.push(format!($($arg)*)) };
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// A number that is written as a decimal string because it may pass 2^53.
fn long(value: &Value, name: &str) -> u128 {
    text(value, name).parse().unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn is(value: &Value, name: &str) -> bool {
    value.get(name) == Some(&Value::Bool(true))
}

/// Q16 as basis points, to the nearest: a floor of 500 is 3276 / 65536.
fn q16_bp(q16: u64) -> u64 {
    u64::try_from((u128::from(q16) * 10_000 + 0x8000) >> 16).unwrap_or(u64::MAX)
}

/// A fixed-point number with two decimals.
fn decimal(value: u128, fraction_bits: u32) -> String {
    let hundredths = value.saturating_mul(100) >> fraction_bits;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A number of thousandths, or of smaller parts of a unit, without trailing zeros.
fn parts(value: u128, digits: usize) -> String {
    let unit = 10_u128.pow(u32::try_from(digits).unwrap_or_default());
    let (whole, rest) = (value / unit, value % unit);
    let rest = format!("{rest:0digits$}");
    match rest.trim_end_matches('0') {
        "" => whole.to_string(),
        rest => format!("{whole}.{rest}"),
    }
}

/// The whole text, line by line.
pub(super) fn lines(explanation: &Value, aliases: &HashMap<String, String>) -> Vec<String> {
    let mut out = Vec::new();
    heading(&mut out, explanation, aliases);
    numbers(&mut out, explanation);
    changes(&mut out, explanation);
    value_split(&mut out, explanation);
    counterparties(&mut out, explanation, aliases);
    one_more(&mut out, explanation);
    put!(out);
    put!(out, "How to recompute it from the numbers of --json:");
    for step in list(explanation, "steps") {
        put!(out, "  {}", step.as_str().unwrap_or_default());
    }
    out
}

fn heading(out: &mut Vec<String>, explanation: &Value, aliases: &HashMap<String, String>) {
    let agent = text(explanation, "agent");
    match aliases.get(agent) {
        Some(alias) => put!(out, "{alias} ({agent})"),
        None => put!(out, "{agent}"),
    }
    put!(
        out,
        "epoch {}, as of {}, {}",
        number(explanation, "epoch"),
        utc(number(explanation, "as_of")),
        text(explanation, "code")
    );
    put!(out);
}

/// Which of the bounds is the headline.
fn headline(explanation: &Value) -> String {
    match text(explanation, "headline_from") {
        "recent" => "its recent window is the weakest".to_owned(),
        "amount_band" => format!(
            "its trades in the amount band from {} are the weakest",
            parts(number(explanation, "headline_band_from_milli").into(), 3)
        ),
        "value_split" => match explanation.get("value_split") {
            Some(split) => format!(
                "its large trades, from {} on, are the weakest",
                parts(long(split, "from_nano"), 9)
            ),
            None => "its large trades are the weakest".to_owned(),
        },
        "as_buyer" => "its record as a buyer is the weakest".to_owned(),
        _ => "its whole life is the weakest".to_owned(),
    }
}

fn numbers(out: &mut Vec<String>, explanation: &Value) {
    let mut row = |name: &str, value: &str, what: &str| {
        put!(out, "{name:<NAME$} {value:>9}   {what}");
    };
    let share = |name: &str| percent(number(explanation, name));
    let bound = format!("lower bound; {}", headline(explanation));
    row("headline", &share("lower_bp"), &bound);
    row("score", &share("score_bp"), "posterior mean");
    row(
        "  lifetime",
        &share("lifetime_lower_bp"),
        "lower bound over its whole life",
    );
    row(
        "  recent",
        &share("recent_lower_bp"),
        "lower bound over the recent window",
    );
    row(
        "uncertainty",
        &share("uncertainty_bp"),
        "how much of it is the prior",
    );
    let dampened = match number(explanation, "dampening_bp") {
        10_000 => "nothing that was said of it is dampened",
        _ => "what is left of the weight of its ratings: the rest is dampened",
    };
    row("dampening", &share("dampening_bp"), dampened);
    let weight = |record: &str, name: &str| {
        let record = explanation.get(record).unwrap_or(&Value::Null);
        long(record, name)
    };
    let sold = decimal(weight("as_seller", "weight_q32"), 32);
    row("as a seller", &sold, "weight of what its buyers said");
    let (own, counts) = (
        weight("as_buyer", "weight_q32"),
        weight("as_buyer", "counts_q32"),
    );
    if own > 0 {
        let what = format!(
            "weight of what its sellers said; {} of it counts in the score",
            decimal(counts, 32)
        );
        row("as a buyer", &decimal(own, 32), &what);
    }
    let seed = if is(explanation, "seed") {
        "a trust root of the policy"
    } else {
        ""
    };
    put!(
        out,
        "{}",
        format!(
            "{:<NAME$} {:>9}   {seed}",
            "state",
            text(explanation, "state")
        )
        .trim_end()
    );
    for missing in list(explanation, "missing") {
        put!(
            out,
            "             lacks: {}",
            missing.as_str().unwrap_or_default()
        );
    }
}

fn changes(out: &mut Vec<String>, explanation: &Value) {
    let changes = list(explanation, "changes");
    if changes.is_empty() {
        return;
    }
    put!(out);
    put!(out, "It changed:");
    let oscillates = is(explanation, "oscillates");
    for change in changes {
        let (before, after) = (number(change, "before_bp"), number(change, "after_bp"));
        let direction = if after < before { "worse" } else { "better" };
        let forgotten = match number(change, "bits") {
            _ if oscillates => String::new(),
            bits => format!("; what was before counts 1/{}", 1_u64 << bits.min(63)),
        };
        put!(
            out,
            "  {}   {direction}, {} before, {} after{forgotten}",
            day(number(change, "at")),
            percent(before),
            percent(after)
        );
    }
    if oscillates {
        put!(out, "  It goes back and forth, so nothing is forgotten.");
    }
}

/// Unix seconds as a date.
fn day(at: u64) -> String {
    utc(at).chars().take(10).collect()
}

fn value_split(out: &mut Vec<String>, explanation: &Value) {
    let Some(split) = explanation.get("value_split").filter(|s| s.is_object()) else {
        return;
    };
    put!(out);
    put!(
        out,
        "Large trades: from {} of the reference currency on it is {} worse than below ({} standard errors).",
        parts(long(split, "from_nano"), 9),
        percent(q16_bp(number(split, "gap_q16"))),
        decimal(number(split, "z_q16").into(), 16)
    );
    put!(
        out,
        "  For the headline {} is taken from the mean.",
        percent(q16_bp(number(split, "deduction_q16")))
    );
}

fn counterparties(out: &mut Vec<String>, explanation: &Value, aliases: &HashMap<String, String>) {
    let contributions = list(explanation, "contributions");
    put!(out);
    if contributions.is_empty() {
        put!(out, "Nobody has reported on it.");
        return;
    }
    put!(
        out,
        "{:<26} {:>8} {:>9} {:>11} {:>9}  reports",
        "counterparty",
        "share",
        "rating",
        "credibility",
        "left"
    );
    let scale = number(explanation, "scale_q16");
    for contribution in contributions.iter().take(COUNTERPARTIES) {
        let rater = text(contribution, "rater");
        let name = aliases
            .get(rater)
            .map_or_else(|| shortened(rater), Clone::clone);
        let share = |name: &str| percent(number(contribution, name));
        // Not shown to an agent that reads its own.
        let credibility = match contribution.get("credibility_bp") {
            Some(_) => share("credibility_bp"),
            None => "-".to_owned(),
        };
        // What weighs nothing has no mean.
        let rating = match number(contribution, "weight_q32") {
            0 => "-".to_owned(),
            _ => share("mean_quality_bp"),
        };
        let dampened = contribution.get("dampened").unwrap_or(&Value::Null);
        put!(
            out,
            "{name:<26} {:>8} {rating:>9} {credibility:>11} {:>9}  {}{}",
            share("share_bp"),
            percent(q16_bp(number(dampened, "left_q16"))),
            levels(contribution),
            match text(contribution, "role") {
                "seller" => ", as its seller",
                _ => "",
            }
        );
        for reason in reasons(dampened, scale) {
            put!(out, "{:<26} {reason}", "");
        }
    }
    let more = number(explanation, "contributions_total")
        .saturating_sub(u64::try_from(COUNTERPARTIES).unwrap_or_default());
    if more > 0 {
        put!(
            out,
            "… and {more} more; --json has them all, with every report"
        );
    }
}

/// How many reports at which level.
fn levels(contribution: &Value) -> String {
    let levels = contribution.get("levels").and_then(Value::as_object);
    let levels: Vec<_> = levels
        .into_iter()
        .flatten()
        .map(|(level, count)| format!("{count} {level}"))
        .collect();
    levels.join(", ")
}

/// Why less than all is left of what a counterparty said, the most serious first.
fn reasons(dampened: &Value, scale_q16: u64) -> Vec<String> {
    let excess = dampened
        .get("excess_q16")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let how_far = || {
        let times = u128::from(excess.unsigned_abs()) << 16;
        let times = times.checked_div(scale_q16.into()).unwrap_or_default();
        let direction = if excess < 0 { "worse" } else { "better" };
        format!(
            "{} {direction} than others do, {} times what is usual",
            percent(q16_bp(excess.unsigned_abs())),
            decimal(times, 16)
        )
    };
    let statistic = |name: &str| decimal(number(dampened, name).into(), 16);
    list(dampened, "reasons")
        .iter()
        .map(|reason| match reason.as_str().unwrap_or_default() {
            "core" => format!(
                "core: boosts inside a group that boosts itself; rates it {}",
                how_far()
            ),
            "wash" => {
                let links = (u128::from(number(dampened, "wash_q16")) * 6 + 0x8000) >> 16;
                let links = count(u64::try_from(links).unwrap_or(u64::MAX), "link");
                format!(
                    "wash: their trades pass like amounts on in a circle, {links}{}",
                    if number(dampened, "wash_q16") >= 1 << 16 {
                        " or more"
                    } else {
                        ""
                    }
                )
            }
            "reciprocal" => format!(
                "reciprocal: they praise each other; rates it {} (statistic {})",
                how_far(),
                statistic("reciprocal_q16")
            ),
            "slander" => format!(
                "slander: rates it {} (statistic {})",
                how_far(),
                statistic("slander_q16")
            ),
            "boost" => format!(
                "boost: one of several that rate it {} (statistic {})",
                how_far(),
                statistic("boost_q16")
            ),
            other => other.to_owned(),
        })
        .collect()
}

fn one_more(out: &mut Vec<String>, explanation: &Value) {
    let Some(one) = explanation.get("one_more").filter(|one| one.is_object()) else {
        return;
    };
    put!(out);
    put!(
        out,
        "One more trade as a seller, with a new counterparty of credibility {} (weight {}), everything else as it is:",
        percent(q16_bp(number(one, "credibility_q32") >> 16)),
        decimal(number(one, "weight_q32").into(), 32)
    );
    for (name, key) in [("rated perfect", "good"), ("rated zero", "bad")] {
        let outcome = one.get(key).unwrap_or(&Value::Null);
        put!(
            out,
            "  {name:<14} score {} ({}), lifetime bound {} ({})",
            percent(number(outcome, "score_bp")),
            moved(explanation, outcome, "score_bp"),
            percent(number(outcome, "lifetime_lower_bp")),
            moved(explanation, outcome, "lifetime_lower_bp")
        );
    }
}

/// By how much a number would differ.
fn moved(now: &Value, then: &Value, name: &str) -> String {
    let (now, then) = (number(now, name), number(then, name));
    let sign = if then < now { "−" } else { "+" };
    format!("{sign}{}", percent(now.abs_diff(then)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_rounded_for_people() {
        assert_eq!(decimal(3 << 31, 32), "1.50");
        assert_eq!(
            [
                (0, 3),
                (10, 3),
                (1_000, 3),
                (1_234, 3),
                (120_500_000_000, 9)
            ]
            .map(|(n, d)| parts(n, d)),
            ["0", "0.01", "1", "1.234", "120.5"]
        );
        assert_eq!(q16_bp(1 << 16), 10_000);
    }

    #[test]
    fn every_reason_has_words() {
        let dampened = json!({
            "left_q16": 3277, "excess_q16": -19660, "known_q16": 60000,
            "reasons": ["core", "wash", "reciprocal", "slander", "boost"],
            "reciprocal_q16": 65536, "slander_q16": 32768, "boost_q16": 16384, "wash_q16": 65536,
        });
        let said = reasons(&dampened, 6553);
        let begins = [
            "core: boosts inside a group that boosts itself",
            "wash: ",
            "reciprocal: ",
            "slander: ",
            "boost: ",
        ];
        assert_eq!(said.len(), begins.len());
        for (line, begin) in said.iter().zip(begins) {
            assert!(line.starts_with(begin), "{line}");
        }
        assert!(said[1].ends_with("6 links or more"), "{}", said[1]);
        assert!(
            said[3].contains("30.00 % worse than others do, 3.00 times"),
            "{}",
            said[3]
        );
    }

    #[test]
    fn a_change_tells_dates_qualities_and_what_is_forgotten() {
        let change = |at: u64, before: u64, after: u64| json!({"at": at, "before_bp": before, "after_bp": after, "bits": 4});
        let once = json!({"changes": [change(1_767_225_600, 9000, 4000)], "oscillates": false});
        let mut out = Vec::new();
        changes(&mut out, &once);
        assert_eq!(
            out[2],
            "  2026-01-01   worse, 90.00 % before, 40.00 % after; what was before counts 1/16"
        );
        let often = json!({"changes": [change(0, 9000, 4000), change(864_000, 4000, 9000)], "oscillates": true});
        out.clear();
        changes(&mut out, &often);
        assert_eq!(
            out[3],
            "  1970-01-11   better, 40.00 % before, 90.00 % after"
        );
        assert!(out[4].contains("nothing is forgotten"));
    }
}
