//! `policy diff`: two policies, member by member.

use goodstanding_score::policy::{PRESETS, Policy};
use serde_json::{Value, json};

use super::{Changes, Ctx, logged_as, newest, preset_beside, show::parameter_at};
use crate::{
    cli::{
        input,
        output::{self, count, say},
    },
    code::Fault,
    store::Store,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    changes: Changes,
    /// Compare what the other options name (without any, the policy in force) with this one: a version of the log, a preset or a
    /// file
    #[arg(long, value_name = "VERSION|PRESET|FILE")]
    against: Option<String>,
    /// Say what each of the members means
    #[arg(long)]
    explain: bool,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let (before, after) = match (&args.against, args.without_log()?) {
        (_, Some(sides)) => sides,
        (against, None) => {
            ctx.with_store(async |store| Ok(args.sides(store, against.as_deref()).await?))
                .await?
        }
    };
    let changed = differences(&before, &after);
    if ctx.json {
        return output::json(&json!({"changed": changed}));
    }
    for difference in &changed {
        say!("{difference}");
        if let (true, Some(meaning)) = (args.explain, difference.meaning) {
            say!("  {meaning}");
        }
    }
    if changed.is_empty() {
        say!("nothing differs");
    }
    Ok(())
}

impl Args {
    /// Both sides where neither needs a log: presets and files.
    fn without_log(&self) -> Result<Option<(Value, Value)>, Fault> {
        let Changes {
            preset,
            seeds: None,
            version: None,
            file,
            currency,
        } = &self.changes
        else {
            return Ok(None);
        };
        let Some(against) = &self.against else {
            return Ok(None);
        };
        if !currency.is_empty() || against.parse::<u64>().is_ok() {
            return Ok(None);
        }
        let before = match (preset, file) {
            (Some(preset), _) => Policy::preset(preset)?,
            (_, Some(file)) => read(file)?,
            (None, None) => return Ok(None),
        };
        let after = if PRESETS.contains(&against.as_str()) {
            Policy::preset(against)?
        } else {
            read(against)?
        };
        Ok(Some((before.to_value(), after.to_value())))
    }

    /// Both sides, of a log.
    async fn sides(
        &self,
        store: &dyn Store,
        against: Option<&str>,
    ) -> Result<(Value, Value), Fault> {
        let c = &self.changes;
        // A version of the log is compared as it was logged, also when this program reads it no longer.
        let as_logged = c.seeds.is_none() && c.currency.is_empty();
        let named = match c.version {
            Some(_) if as_logged => logged_as(store, c.version).await?.policy,
            None if as_logged && c.preset.is_none() && c.file.is_none() => {
                logged_as(store, None).await?.policy
            }
            _ => {
                let now = newest(store).await?;
                c.apply(store, &now.policy).await?.to_value()
            }
        };
        let Some(against) = against else {
            return Ok((logged_as(store, None).await?.policy, named));
        };
        let other = match against.parse::<u64>() {
            Ok(version) => logged_as(store, Some(version)).await?.policy,
            Err(_) if PRESETS.contains(&against) => {
                preset_beside(against, &newest(store).await?.policy)?.to_value()
            }
            Err(_) => read(against)?.to_value(),
        };
        Ok((named, other))
    }
}

/// A complete policy in a file.
fn read(file: &str) -> Result<Policy, Fault> {
    Ok(Policy::parse(&input::json(file)?)?)
}

/// One member that differs.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(super) struct Difference {
    /// JSON pointer.
    pointer: String,
    /// Value before; absent when the member is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    /// Value after; absent when the member is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
    /// What the member means, of those that have a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'static str>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            pointer, from, to, ..
        } = self;
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
pub(super) fn differences(before: &Value, after: &Value) -> Vec<Difference> {
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
                meaning: parameter_at(pointer).map(|p| p.meaning),
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
    fn constants_are_told_with_their_meaning() {
        let before = json!({"scoring": {"z_milli": 400}, "rotation_delay_s": 1});
        let after = json!({"scoring": {"z_milli": 1000}, "rotation_delay_s": 2});
        let found = differences(&before, &after);
        let meanings: Vec<_> = found.iter().map(|d| (&*d.pointer, d.meaning)).collect();
        assert_eq!(
            meanings,
            [
                ("/rotation_delay_s", None),
                (
                    "/scoring/z_milli",
                    Some("Standard errors between mean and lower bound, thousandths.")
                )
            ]
        );
    }
}
