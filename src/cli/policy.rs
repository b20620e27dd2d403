//! `policy`: show, change or compare the parameters of scoring and admission.

mod diff;
mod show;

use clap::Subcommand;
use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    did::Did,
    entry::{Body, Entry},
};
use serde_json::{Value, json};

use self::diff::differences;
use super::{
    Ctx, agent_named, input,
    output::{self, say},
};
use crate::{
    app::App,
    code::{Code, Fault},
    log::sequencer::{CurrentPolicy, Event},
    store::Store,
};

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Print the policy in force, another version of the log, or a preset
    Show(show::Args),
    /// Every version that the log has had, and how many members each changed
    List,
    /// Change the policy and log it; nothing is logged when nothing changes. Past epochs keep the policy they were computed with
    Set(Changes),
    /// What `set` with the same options would change; with --against, two policies side by side
    Diff(diff::Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct Changes {
    /// Start from a preset: agent-market or rating-network. Seeds, attestors and currencies stay
    #[arg(long, conflicts_with_all = ["file", "version"])]
    preset: Option<String>,
    /// Start from an earlier version of the log, seeds included
    #[arg(long, conflicts_with = "file")]
    version: Option<u64>,
    /// Trust roots, as aliases or DIDs: a,b,… or @FILE
    #[arg(long, value_name = "A,B|@FILE")]
    seeds: Option<String>,
    /// Milli-units of the reference currency in one unit of CODE; may be given more than once
    #[arg(long, value_name = "CODE=MILLI", value_parser = currency)]
    currency: Vec<(String, u64)>,
    /// Start from a complete policy in a JSON file
    #[arg(long)]
    file: Option<String>,
}

fn currency(text: &str) -> Result<(String, u64), String> {
    let (code, milli) = text
        .split_once('=')
        .ok_or("write CODE=MILLI, for example EUR=1100")?;
    let milli = milli
        .parse()
        .map_err(|_| format!("{milli:?} is not a whole number of milli-units"))?;
    Ok((code.to_owned(), milli))
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    match args {
        Args::Show(args) => show::run(ctx, &args).await,
        Args::List => show::list(ctx).await,
        Args::Set(changes) => set_changes(ctx, &changes).await,
        Args::Diff(args) => diff::run(ctx, &args).await,
    }
}

/// The newest policy of a data directory, also while a service works on it.
async fn newest(store: &dyn Store) -> Result<CurrentPolicy, Fault> {
    let size = store.head().await?.map_or(0, |head| head.size);
    crate::epoch::evidence::newest_policy(store, size).await
}

/// A policy as the log has it: perhaps of another version of this program, so not read any further.
#[derive(Clone, Debug)]
struct Logged {
    version: u64,
    index: u64,
    /// Unix milliseconds.
    at_ms: u64,
    policy: Value,
}

/// Every policy of the log, oldest first.
async fn logged(store: &dyn Store) -> Result<Vec<Logged>, Fault> {
    let size = store.head().await?.map_or(0, |head| head.size);
    let mut all = Vec::new();
    for (index, bytes) in store.events("policy", size).await? {
        let entry = Entry::parse(&bytes)?;
        if let Body::Policy { version, policy } = entry.body {
            all.push(Logged {
                version,
                index,
                at_ms: entry.at,
                policy,
            });
        }
    }
    Ok(all)
}

/// One policy of the log; the newest without a version.
async fn logged_as(store: &dyn Store, version: Option<u64>) -> Result<Logged, Fault> {
    let mut all = logged(store).await?;
    let newest = all.last().map_or(0, |newest| newest.version);
    let wanted = version.unwrap_or(newest);
    let place = all.iter().position(|logged| logged.version == wanted);
    place.map(|place| all.swap_remove(place)).ok_or_else(|| {
        let detail = format!("version {wanted}; the newest is {newest}");
        Fault::new(Code::PolicyUnknown, detail)
    })
}

async fn set_changes(ctx: &Ctx, changes: &Changes) -> anyhow::Result<()> {
    let (before, after, logged) = ctx
        .with_app(async |app| {
            let before = current(app)?;
            let after = changes.apply(app.store.as_ref(), &before.policy).await?;
            let logged = if after == before.policy {
                None
            } else {
                Some(set(app, before.version + 1, &after).await?)
            };
            Ok((before, after, logged))
        })
        .await?;
    let changed = differences(&before.policy.to_value(), &after.to_value());
    if ctx.json {
        let version = before.version + u64::from(logged.is_some());
        let index = logged.unwrap_or(before.index);
        return output::json(&json!({"version": version, "index": index, "changed": changed}));
    }
    for difference in &changed {
        say!("{difference}");
    }
    match logged {
        Some(index) => say!("version {} is log entry {index}", before.version + 1),
        None => say!("nothing changes; version {} stays", before.version),
    }
    Ok(())
}

/// The policy in force.
fn current(app: &App) -> Result<CurrentPolicy, Fault> {
    let policy = app.log.shared().policy();
    policy
        .map(|p| p.as_ref().clone())
        .ok_or_else(|| Fault::new(Code::Internal, "the log has no policy"))
}

/// Logs a policy and returns the index of its entry.
pub(super) async fn set(app: &App, version: u64, policy: &Policy) -> Result<u64, Fault> {
    let body = Body::Policy {
        version,
        policy: policy.to_value(),
    };
    app.log
        .log(Event {
            body,
            at_ms: None,
            epoch: None,
        })
        .await
}

/// Logs the policy in force with other seeds.
pub(super) async fn set_seeds(app: &App, seeds: Vec<Did>) -> Result<u64, Fault> {
    let before = current(app)?;
    let policy = Policy {
        seeds: ascending(seeds),
        ..before.policy
    };
    set(app, before.version + 1, &policy).await
}

fn ascending(mut seeds: Vec<Did>) -> Vec<Did> {
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}

impl Changes {
    /// The policy that these changes make of the one in force, checked.
    async fn apply(&self, store: &dyn Store, now: &Policy) -> Result<Policy, Fault> {
        let mut policy = match (&self.preset, &self.file, self.version) {
            (Some(preset), _, _) => preset_beside(preset, now)?,
            (_, Some(file), _) => Policy::parse(&input::json(file)?)?,
            (_, _, Some(version)) => Policy::parse(&logged_as(store, Some(version)).await?.policy)?,
            (None, None, None) => now.clone(),
        };
        if let Some(seeds) = &self.seeds {
            policy.seeds = resolve(store, seeds).await?;
            if policy.seeds.is_empty() {
                let detail = format!(
                    "--seeds {seeds} names nobody, and without trust roots there is no epoch"
                );
                return Err(Fault::new(Code::SeedsEmpty, detail));
            }
        }
        policy.currencies.extend(self.currency.iter().cloned());
        // Every change has to be one that the service and every auditor would read back.
        Ok(Policy::parse(&policy.to_value())?)
    }
}

/// A preset for this log: whom it trusts and what its currencies are worth is nobody's preset.
fn preset_beside(preset: &str, now: &Policy) -> Result<Policy, Fault> {
    Ok(Policy {
        seeds: now.seeds.clone(),
        attestors: now.attestors.clone(),
        currencies: now.currencies.clone(),
        ..Policy::preset(preset)?
    })
}

/// Seeds from a list of aliases and DIDs, or from a file of them.
async fn resolve(store: &dyn Store, seeds: &str) -> Result<Vec<Did>, Fault> {
    let names = match seeds.strip_prefix('@') {
        Some(file) => input::text(file)?,
        None => seeds.to_owned(),
    };
    let mut resolved = Vec::new();
    for name in names
        .split([',', '\n', '\r'])
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        resolved.push(agent_named(store, name).await?);
    }
    Ok(ascending(resolved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_code_and_milli() {
        assert_eq!(currency("EUR=1100"), Ok(("EUR".into(), 1100)));
        assert!(currency("EUR").is_err() && currency("EUR=1.1").is_err());
    }
}
