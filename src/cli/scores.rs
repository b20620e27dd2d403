//! `scores`: every agent of the newest epoch.

use std::collections::HashMap;

use clap::ValueEnum;
use goodstanding_verify::{
    claims::{Claims, State},
    did::Did,
};
use serde_json::{Map, Value};

use super::{
    Ctx,
    output::{self, say},
};
use crate::epoch;

/// The kinds of flags, in the order of their columns.
const FLAG_KINDS: [&str; 13] = [
    "sybil_ring",
    "reciprocal_boost",
    "wash_cycle",
    "slander",
    "on_off",
    "whitewash",
    "quality_lie",
    "micro_farm",
    "price_fixing",
    "bidding_war",
    "shill_bidding",
    "closed_loop",
    "reputation_hoarding",
];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let (statements, aliases) = ctx
        .with_store(async |store| {
            let names = store
                .aliases()
                .await?
                .into_iter()
                .map(|(alias, did)| (did, alias));
            Ok((
                epoch::latest_statements(store).await?,
                names.collect::<HashMap<_, _>>(),
            ))
        })
        .await?;
    let rows = statements
        .iter()
        .map(|(agent, claims)| row(agent, aliases.get(agent), claims));
    if ctx.json || args.format == Format::Json {
        return output::json(&rows.map(Value::Object).collect::<Vec<_>>());
    }
    say!("{}", csv(rows)?);
    Ok(())
}

/// One agent, members in the order of the columns.
fn row(agent: &Did, alias: Option<&String>, claims: &Claims) -> Map<String, Value> {
    let state = match claims.state {
        State::Unproven => "unproven",
        State::Established => "established",
        State::Contested => "contested",
    };
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("agent", agent.to_string().into());
    put("alias", alias.cloned().into());
    put("score_bp", claims.score_bp.into());
    put("lower_bp", claims.lower_bp.into());
    put("lifetime_lower_bp", claims.lifetime_lower_bp.into());
    put("recent_lower_bp", claims.recent_lower_bp.into());
    put("uncertainty_bp", claims.uncertainty_bp.into());
    put("state", state.into());
    put("reports", claims.reports.into());
    put("counterparties", claims.counterparties.into());
    put(
        "effective_counterparties_milli",
        claims.effective_counterparties_milli.into(),
    );
    put("evidence_milli", claims.evidence_milli.into());
    put("dampening_bp", claims.dampening_bp.into());
    put("flags", claims.flags.clone().into());
    for kind in FLAG_KINDS {
        // Nothing is suspected before there is detection.
        put(&format!("suspicion_{kind}"), 0.into());
    }
    row
}

/// The columns of the CSV form.
fn columns() -> Vec<String> {
    let plain = [
        "agent",
        "alias",
        "score_bp",
        "lower_bp",
        "lifetime_lower_bp",
        "recent_lower_bp",
        "uncertainty_bp",
        "state",
        "reports",
        "counterparties",
        "effective_counterparties_milli",
        "evidence_milli",
        "dampening_bp",
        "flags",
    ];
    let suspicions = FLAG_KINDS.iter().map(|kind| format!("suspicion_{kind}"));
    plain
        .iter()
        .map(ToString::to_string)
        .chain(suspicions)
        .collect()
}

fn csv(rows: impl Iterator<Item = Map<String, Value>>) -> anyhow::Result<String> {
    let columns = columns();
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(&columns)?;
    for row in rows {
        out.write_record(columns.iter().map(|name| cell(row.get(name))))?;
    }
    let bytes = out.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8(bytes)?.trim_end().to_owned())
}

/// A cell that no spreadsheet takes for a formula.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("|"),
        Some(other) => other.to_string(),
    };
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas_and_lists_are_joined() {
        assert_eq!(cell(Some(&"=1+1".into())), "'=1+1");
        assert_eq!(cell(Some(&"@x".into())), "'@x");
        assert_eq!(cell(Some(&"a=b".into())), "a=b");
        assert_eq!(
            cell(Some(&serde_json::json!(["slander", "on_off"]))),
            "slander|on_off"
        );
        assert_eq!(cell(Some(&Value::Null)), "");
        assert_eq!(columns().len(), 14 + 13);
    }
}
