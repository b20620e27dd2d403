//! `explain`: why an agent has its score.

use std::collections::HashMap;

use goodstanding_verify::did::Did;
use serde_json::Value;

use super::{
    Ctx, agent_named,
    output::{self, Refusal, Usage, percent, say, utc},
    remote::Service,
};
use crate::epoch;

/// Counterparties that the table shows; `--json` has all.
const SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An alias of the data directory, or a DID
    agent: String,
    /// Ask the service at this URL instead of the data directory
    #[arg(long)]
    url: Option<String>,
    /// Bearer token from `access grant`, or @FILE: an operator's, for aliases; an auditor's, where only auditors may read scores
    #[arg(long, env = "GOODSTANDING_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let (explanation, aliases) = match &args.url {
        Some(url) => from_service(url, args).await?,
        None => from_directory(ctx, &args.agent).await?,
    };
    if ctx.json {
        return output::json(&explanation);
    }
    show(&explanation, &aliases)
}

/// The explanation, and the names of DIDs.
type Explained = (Value, HashMap<String, String>);

async fn from_directory(ctx: &Ctx, agent: &str) -> anyhow::Result<Explained> {
    ctx.with_app(async |app| {
        let agent = agent_named(app.store.as_ref(), agent).await?;
        let names = app
            .store
            .aliases()
            .await?
            .into_iter()
            .map(|(alias, did)| (did.to_string(), alias));
        Ok((epoch::explain(app, &agent).await?, names.collect()))
    })
    .await
}

fn is_auth(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refusal>()
        .is_some_and(|refusal| refusal.code.starts_with("auth."))
}

async fn from_service(url: &str, args: &Args) -> anyhow::Result<Explained> {
    let service = Service::at(url, args.token.as_deref())?;
    let is_did = args.agent.starts_with("did:key:");
    // Names are the operator's, and a DID needs none: whoever may not see them sees DIDs.
    let names = match service.aliases().await {
        Ok(names) => names,
        Err(error) if !is_auth(&error) => return Err(error),
        Err(_) if is_did => HashMap::new(),
        Err(_) if args.token.is_none() => {
            let why =
                "an alias is known to the operator only: give the DID, or an operator's --token";
            return Err(Usage(why.to_owned()).into());
        }
        Err(error) => return Err(error),
    };
    let agent = if is_did {
        Did::parse(&args.agent)?.to_string()
    } else {
        let named = names.iter().find(|(_, alias)| **alias == args.agent);
        let unknown = || super::unknown_alias(&args.agent);
        named.ok_or_else(unknown)?.0.clone()
    };
    let path = format!("/v1/agents/{agent}/explanation");
    Ok((service.get(&path).await?, names))
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
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

fn show(explanation: &Value, aliases: &HashMap<String, String>) -> anyhow::Result<()> {
    let agent = text(explanation, "agent");
    let share = |name: &str| percent(number(explanation, name));
    match aliases.get(agent) {
        Some(alias) => say!("{alias} ({agent})"),
        None => say!("{agent}"),
    }
    let as_of = number(explanation, "as_of");
    say!(
        "epoch {}, as of {}, {}\n",
        number(explanation, "epoch"),
        utc(as_of),
        text(explanation, "code")
    );
    let bound = match text(explanation, "headline_from") {
        "recent" => "its recent window is the weakest",
        "amount_band" => "its worst amount band is the weakest",
        "value_split" => "its trades above a value split are the weakest",
        "as_buyer" => "its record as a buyer is the weakest",
        _ => "its whole life is the weakest",
    };
    say!(
        "headline     {:>9}   lower bound; {bound}",
        share("lower_bp")
    );
    say!("score        {:>9}   posterior mean", share("score_bp"));
    say!(
        "  lifetime   {:>9}   lower bound over its whole life",
        share("lifetime_lower_bp")
    );
    say!(
        "  recent     {:>9}   lower bound over the recent window",
        share("recent_lower_bp")
    );
    say!(
        "uncertainty  {:>9}   how much of it is the prior",
        share("uncertainty_bp")
    );
    let seed = if explanation.get("seed") == Some(&Value::Bool(true)) {
        ", a trust root of the policy"
    } else {
        ""
    };
    say!("state        {:>9}{seed}", text(explanation, "state"));
    for missing in list(explanation, "missing") {
        say!(
            "             lacks: {}",
            missing.as_str().unwrap_or_default()
        );
    }
    let contributions = list(explanation, "contributions");
    if contributions.is_empty() {
        say!("\nNobody has reported on it.");
        return Ok(());
    }
    say!(
        "\n{:<26} {:>8} {:>9} {:>11}  reports",
        "counterparty",
        "share",
        "rating",
        "credibility"
    );
    for contribution in contributions.iter().take(SHOWN) {
        let rater = text(contribution, "rater");
        let name = aliases
            .get(rater)
            .map_or_else(|| shortened(rater), Clone::clone);
        let levels = contribution
            .get("levels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let levels: Vec<_> = levels
            .map(|(level, count)| format!("{count} {level}"))
            .collect();
        let share = |name: &str| percent(number(contribution, name));
        let (weight, rating, credibility) = (
            share("share_bp"),
            share("mean_quality_bp"),
            share("credibility_bp"),
        );
        say!(
            "{name:<26} {weight:>8} {rating:>9} {credibility:>11}  {}",
            levels.join(", ")
        );
    }
    if contributions.len() > SHOWN {
        say!(
            "… and {} more; --json has them all, with every report",
            contributions.len() - SHOWN
        );
    }
    say!("\nHow to recompute it from the numbers of --json:");
    for step in list(explanation, "steps") {
        say!("  {}", step.as_str().unwrap_or_default());
    }
    Ok(())
}

/// The beginning and end of a DID.
pub(super) fn shortened(did: &str) -> String {
    let key = did.strip_prefix("did:key:").unwrap_or(did);
    match (key.get(..10), key.get(key.len().saturating_sub(6)..)) {
        (Some(head), Some(tail)) if key.len() > 20 => format!("{head}…{tail}"),
        _ => key.to_owned(),
    }
}
