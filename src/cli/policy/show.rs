//! `policy show` and `policy list`: what a policy says, what its members mean, and which ones the log has had.

use goodstanding_score::policy::{Admission, PRESETS, Parameter, Policy, Scoring};
use serde_json::{Value, json};

use super::{Ctx, diff::differences, logged, logged_as};
use crate::{
    cli::output::{self, count, say},
    code::Fault,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A version of the log instead of the newest
    #[arg(long, conflicts_with = "preset")]
    version: Option<u64>,
    /// A preset instead, as it is: agent-market or rating-network
    #[arg(long)]
    preset: Option<String>,
    /// Every constant with its range, the presets' values and its meaning
    #[arg(long)]
    explain: bool,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let (entry, policy) = if let Some(preset) = &args.preset {
        let preset = Policy::preset(preset).map_err(Fault::from)?;
        (None, preset.to_value())
    } else {
        let logged = ctx
            .with_store(async |store| Ok(logged_as(store, args.version).await?))
            .await?;
        (Some((logged.version, logged.index)), logged.policy)
    };
    if ctx.json {
        let mut told = json!({ "policy": policy });
        if let Some((version, index)) = entry {
            told["version"] = version.into();
            told["index"] = index.into();
        }
        if args.explain {
            told["constants"] = constants(&policy)?;
        }
        return output::json(&told);
    }
    if let Some((version, index)) = entry {
        eprintln!("version {version}, log entry {index}");
    }
    if let Err(error) = Policy::parse(&policy) {
        let fault = Fault::from(error);
        let (code, detail) = (fault.code(), fault.detail());
        eprintln!("this program does not read it any more: [{code}] {detail}");
    }
    if args.explain {
        return explain(&policy);
    }
    output::json(&policy)
}

/// The tables of constants, by the name of the object that they are in.
const TABLES: [(&str, &[Parameter]); 2] = [
    ("admission", Admission::PARAMETERS),
    ("scoring", Scoring::PARAMETERS),
];

/// What is known of the member at a JSON pointer.
pub(super) fn parameter_at(pointer: &str) -> Option<&'static Parameter> {
    let (object, name) = pointer.strip_prefix('/')?.split_once('/')?;
    let (_, table) = TABLES.iter().find(|(table, _)| *table == object)?;
    table.iter().find(|parameter| parameter.name == name)
}

/// Every constant as a program reads it.
fn constants(policy: &Value) -> anyhow::Result<Value> {
    let presets = presets()?;
    let mut all = Vec::new();
    for (object, table) in TABLES {
        for p in table {
            let pointer = format!("/{object}/{}", p.name);
            let of_presets: serde_json::Map<String, Value> = presets
                .iter()
                .map(|(name, preset)| ((*name).to_owned(), json!(preset.pointer(&pointer))))
                .collect();
            all.push(json!({
                "pointer": pointer, "value": policy.pointer(&pointer), "min": p.min, "max": p.max,
                "presets": of_presets, "meaning": p.meaning,
            }));
        }
    }
    Ok(all.into())
}

/// The presets by name.
fn presets() -> anyhow::Result<Vec<(&'static str, Value)>> {
    let mut all = Vec::new();
    for name in PRESETS {
        let preset = Policy::preset(name).map_err(Fault::from)?;
        all.push((*name, preset.to_value()));
    }
    Ok(all)
}

/// Every constant as a person reads it; what is not as in the preset that the policy started from is marked.
fn explain(policy: &Value) -> anyhow::Result<()> {
    let presets = presets()?;
    let preset = policy.get("preset").and_then(Value::as_str);
    let own = presets.iter().find(|(name, _)| Some(*name) == preset);
    let mut marked = 0;
    for (object, table) in TABLES {
        say!("{object}");
        for p in table {
            let pointer = format!("/{object}/{}", p.name);
            let value = policy.pointer(&pointer);
            let shown = value.map_or_else(|| "missing".to_owned(), Value::to_string);
            let mark = match own {
                Some((_, own)) if own.pointer(&pointer) != value => {
                    marked += 1;
                    "*"
                }
                _ => " ",
            };
            let others: Vec<String> = (presets.iter())
                .map(|(name, preset)| format!("{name} {}", json!(preset.pointer(&pointer))))
                .collect();
            say!("{mark} {} = {shown}", p.name);
            say!("      {}", p.meaning);
            say!("      {} to {}; {}", p.min, p.max, others.join(", "));
        }
    }
    if let (Some(preset), 1..) = (preset, marked) {
        say!("* {} not as in {preset}", count(marked, "constant"));
    }
    Ok(())
}

pub(super) async fn list(ctx: &Ctx) -> anyhow::Result<()> {
    let all = ctx
        .with_store(async |store| Ok(logged(store).await?))
        .await?;
    let mut versions = Vec::new();
    let mut before: Option<&Value> = None;
    for logged in &all {
        let changed = before.map(|before| differences(before, &logged.policy).len());
        versions.push((logged, changed));
        before = Some(&logged.policy);
    }
    if ctx.json {
        let versions: Vec<Value> = versions
            .iter()
            .map(|(logged, changed)| {
                json!({
                    "version": logged.version, "index": logged.index, "at_ms": logged.at_ms,
                    "preset": logged.policy.get("preset"), "changed": changed,
                })
            })
            .collect();
        return output::json(&json!({ "versions": versions }));
    }
    for (logged, changed) in versions {
        let preset = logged.policy.get("preset").and_then(Value::as_str);
        let changed = match changed {
            Some(n) => format!("{} changed", count(n, "member")),
            None => "the first".to_owned(),
        };
        say!(
            "version {}, log entry {}, {}, {}: {changed}",
            logged.version,
            logged.index,
            output::utc(logged.at_ms / 1000),
            preset.unwrap_or("no preset")
        );
    }
    Ok(())
}
