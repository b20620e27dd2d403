//! `explain`: why an agent has its score.

mod show;

use std::collections::HashMap;

use goodstanding_verify::did::Did;
use serde_json::Value;

use super::{
    Ctx, agent_named,
    output::{self, Refusal, Usage},
    remote::Service,
};
use crate::{
    code::Code,
    epoch::{self, View},
};

/// How often the pages are asked for again because an epoch was logged between two of them.
const AGAIN: u32 = 3;

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
        Some(url) => from_service(url, args, ctx.json).await?,
        None => from_directory(ctx, &args.agent).await?,
    };
    if ctx.json {
        return output::json(&explanation);
    }
    for line in show::lines(&explanation, &aliases) {
        output::line(format_args!("{line}"))?;
    }
    Ok(())
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
        let (explanation, _) = epoch::explain(app, &agent, View::Whole).await?;
        Ok((explanation, names.collect()))
    })
    .await
}

fn is_auth(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refusal>()
        .is_some_and(|refusal| refusal.code.starts_with("auth."))
}

async fn from_service(url: &str, args: &Args, whole: bool) -> anyhow::Result<Explained> {
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
    if !whole {
        let first = format!("{path}?limit={}", show::COUNTERPARTIES);
        return Ok((service.get(&first).await?, names));
    }
    for _ in 1..AGAIN {
        match all_pages(&service, &path).await {
            Err(error) if is_newer(&error) => {}
            other => return Ok((other?, names)),
        }
    }
    Ok((all_pages(&service, &path).await?, names))
}

fn is_newer(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refusal>()
        .is_some_and(|refusal| refusal.code == Code::EpochSuperseded.as_str())
}

/// The explanation as a data directory gives it: the pages of a service put together.
async fn all_pages(service: &Service, path: &str) -> anyhow::Result<Value> {
    let mut whole = service.get(&format!("{path}?limit=1000")).await?;
    loop {
        let next = whole["next_cursor"].as_str().map(str::to_owned);
        let Some(next) = next else { break };
        let page = service
            .get(&format!("{path}?limit=1000&cursor={next}"))
            .await?;
        append(&mut whole, page);
    }
    if let Some(members) = whole.as_object_mut() {
        members.remove("next_cursor");
        members.insert("contributions_left_out".to_owned(), 0.into());
    }
    Ok(whole)
}

/// Adds the contributions of the next page. The first of them may go on with the reports of the last one.
fn append(whole: &mut Value, mut page: Value) {
    whole["next_cursor"] = page["next_cursor"].take();
    let Value::Array(more) = page["contributions"].take() else {
        return;
    };
    let Some(all) = whole["contributions"].as_array_mut() else {
        return;
    };
    for mut contribution in more {
        let of = |c: &Value| (c["rater"].clone(), c["role"].clone());
        match all.last_mut() {
            Some(last) if of(last) == of(&contribution) => {
                let reports = contribution["reports"].take();
                if let (Some(known), Value::Array(reports)) =
                    (last["reports"].as_array_mut(), reports)
                {
                    known.extend(reports);
                }
            }
            _ => all.push(contribution),
        }
    }
}

/// The beginning and end of a DID.
pub(super) fn shortened(did: &str) -> String {
    let key = did.strip_prefix("did:key:").unwrap_or(did);
    match (key.get(..10), key.get(key.len().saturating_sub(6)..)) {
        (Some(head), Some(tail)) if key.len() > 20 => format!("{head}…{tail}"),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_put_together_are_the_whole() {
        let one = |rater: &str, reports: &[u64]| json!({"rater": rater, "role": "buyer", "reports": reports});
        let page = |contributions: Vec<Value>, next: Option<&str>| json!({"score_bp": 1, "contributions": contributions, "next_cursor": next});
        let mut whole = page(vec![one("a", &[1]), one("b", &[2, 3])], Some("x"));
        append(&mut whole, page(vec![one("b", &[4])], Some("y")));
        append(&mut whole, page(vec![one("b", &[5]), one("c", &[6])], None));
        let all = vec![one("a", &[1]), one("b", &[2, 3, 4, 5]), one("c", &[6])];
        assert_eq!(whole, page(all, None));
    }
}
