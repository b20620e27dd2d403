//! `policy`: show, change or compare the parameters of scoring and admission.

use clap::Subcommand;
use goodstanding_score::policy::Policy;
use goodstanding_verify::{did::Did, entry::Body};
use serde_json::{Value, json};

use super::{
    Ctx, agent_named, input,
    output::{self, count, say},
};
use crate::{
    app::App,
    code::{Code, Fault},
    log::sequencer::{CurrentPolicy, Event},
    store::Store,
};

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Print the policy in force
    Show,
    /// Change the policy and log it; nothing is logged when nothing changes
    Set(Changes),
    /// What `set` with the same options would change
    Diff(Changes),
}

#[derive(Debug, clap::Args)]
pub(super) struct Changes {
    /// Start from a preset: agent-market or rating-network. Seeds, attestors and currencies stay
    #[arg(long, conflicts_with = "file")]
    preset: Option<String>,
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
        Args::Show => show(ctx).await,
        Args::Set(changes) => set_changes(ctx, &changes).await,
        Args::Diff(changes) => diff(ctx, &changes).await,
    }
}

/// The newest policy of a data directory, also while a service works on it.
async fn newest(store: &dyn Store) -> Result<CurrentPolicy, Fault> {
    let size = store.head().await?.map_or(0, |head| head.size);
    crate::epoch::evidence::newest_policy(store, size).await
}

async fn show(ctx: &Ctx) -> anyhow::Result<()> {
    let current = ctx
        .with_store(async |store| Ok(newest(store).await?))
        .await?;
    if ctx.json {
        return output::json(
            &json!({"version": current.version, "index": current.index, "policy": current.policy.to_value()}),
        );
    }
    eprintln!("version {}, log entry {}", current.version, current.index);
    output::json(&current.policy.to_value())
}

async fn diff(ctx: &Ctx, changes: &Changes) -> anyhow::Result<()> {
    let (before, after) = ctx
        .with_store(async |store| {
            let before = newest(store).await?;
            let after = changes.apply(store, &before.policy).await?;
            Ok((before, after))
        })
        .await?;
    let changed = differences(&before.policy.to_value(), &after.to_value());
    if ctx.json {
        return output::json(&json!({"changed": changed}));
    }
    for difference in &changed {
        say!("{difference}");
    }
    if changed.is_empty() {
        say!("nothing changes; version {} stays", before.version);
    }
    Ok(())
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
        let mut policy = match (&self.preset, &self.file) {
            (Some(preset), _) => Policy {
                seeds: now.seeds.clone(),
                attestors: now.attestors.clone(),
                currencies: now.currencies.clone(),
                ..Policy::preset(preset)?
            },
            (None, Some(file)) => Policy::parse(&input::json(file)?)?,
            (None, None) => now.clone(),
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

/// One member that differs.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
struct Difference {
    /// JSON pointer.
    pointer: String,
    /// Value before; absent when the member is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    /// Value after; absent when the member is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pointer, from, to } = self;
        match (from, to) {
            (Some(Value::Array(from)), Some(Value::Array(to))) => {
                write!(f, "{pointer}: {} → {}", from.len(), count(to.len(), "item"))?;
                for gone in from.iter().filter(|item| !to.contains(item)) {
                    write!(f, "\n  - {gone}")?;
                }
                for new in to.iter().filter(|item| !from.contains(item)) {
                    write!(f, "\n  + {new}")?;
                }
                Ok(())
            }
            (Some(from), Some(to)) => write!(f, "{pointer}: {from} → {to}"),
            (None, Some(to)) => write!(f, "{pointer}: new, {to}"),
            (Some(from), None) => write!(f, "{pointer}: gone, was {from}"),
            (None, None) => f.write_str(pointer),
        }
    }
}

/// What differs, member by member; lists are compared as a whole.
fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    fn walk(
        pointer: &str,
        before: Option<&Value>,
        after: Option<&Value>,
        out: &mut Vec<Difference>,
    ) {
        if before == after {
            return;
        }
        let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) else {
            out.push(Difference {
                pointer: pointer.to_owned(),
                from: before.cloned(),
                to: after.cloned(),
            });
            return;
        };
        let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let step = name.replace('~', "~0").replace('/', "~1");
            walk(
                &format!("{pointer}/{step}"),
                old.get(name),
                new.get(name),
                out,
            );
        }
    }
    let mut out = Vec::new();
    walk("", Some(before), Some(after), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_every_member_once() {
        let before = json!({"a": 1, "b": {"x/y": 1, "same": 2}, "list": [1, 2], "gone": 0});
        let after = json!({"a": 1, "b": {"x/y": 3, "same": 2}, "list": [2, 3], "new": 4});
        let found = differences(&before, &after);
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "/b/x~1y: 1 → 3",
                "/gone: gone, was 0",
                "/list: 2 → 2 items\n  - 1\n  + 3",
                "/new: new, 4"
            ]
        );
        assert!(differences(&before, &before).is_empty());
    }

    #[test]
    fn currencies_are_code_and_milli() {
        assert_eq!(currency("EUR=1100"), Ok(("EUR".into(), 1100)));
        assert!(currency("EUR").is_err() && currency("EUR=1.1").is_err());
    }
}
