//! `doctor`: a table of checks, each with what to do about it.
//!
//! A check is a function from [`Facts`] to [`Check`]s, listed in [`LOCAL`]; what needs a running service is in `remote`.
//! `directory` looks at what stands beside the database, `database` at what that says, `server` at where it is if that is a server.
//! Everything is read only, and works beside a running service.

mod database;
mod directory;
mod facts;
mod remote;
mod server;
mod witnessed;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use super::{
    Ctx,
    output::{self, Unsuccessful, say},
};
use crate::clock::Clock;

use database::{clock, database, epoch, guard, key_life, policy};
use directory::{backup, directory, keys, lock, space, witnesses};
use facts::Facts;

/// A check; it may have more than one thing to say.
type Look = fn(&Facts) -> Vec<Check>;

/// All checks of the directory, in the order in which they are shown.
const LOCAL: [Look; 12] = [
    directory, keys, lock, database, space, guard, clock, policy, epoch, key_life, backup,
    witnesses,
];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also ask the service at this URL
    #[arg(long)]
    url: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Problem,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    /// What was found.
    detail: String,
    /// What to do; empty where nothing is to be done.
    #[serde(skip_serializing_if = "str::is_empty")]
    advice: &'static str,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Ok, detail, "")
    }

    fn warning(name: &'static str, detail: impl Into<String>, advice: &'static str) -> Self {
        Self::new(name, State::Warning, detail, advice)
    }

    fn problem(name: &'static str, detail: impl Into<String>, advice: &'static str) -> Self {
        Self::new(name, State::Problem, detail, advice)
    }

    fn new(
        name: &'static str,
        state: State,
        detail: impl Into<String>,
        advice: &'static str,
    ) -> Self {
        Self {
            name,
            state,
            detail: detail.into(),
            advice,
        }
    }
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let data: PathBuf = ctx.data();
    let place = ctx.place()?;
    let facts = Facts::gather(&data, &place, Clock::System.now_ms()).await;
    let mut checks: Vec<Check> = LOCAL.iter().flat_map(|check| check(&facts)).collect();
    checks.extend(server::checks(&facts, &Clock::System).await);
    checks.extend(witnessed::checks(&data, &facts).await);
    if let Some(url) = &args.url {
        checks.extend(remote::checks(url, &facts).await);
    }
    let worst = checks
        .iter()
        .map(|check| check.state)
        .max()
        .unwrap_or(State::Ok);
    if ctx.json {
        output::json(
            &json!({"ok": worst < State::Problem, "worst": worst, "data": data, "checks": checks}),
        )?;
    } else {
        show(&checks)?;
    }
    if worst < State::Problem {
        Ok(())
    } else {
        Err(Unsuccessful.into())
    }
}

fn show(checks: &[Check]) -> anyhow::Result<()> {
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "PROBLEM",
        };
        say!("{state:<7}  {:<width$}  {}", check.name, check.detail);
        if !check.advice.is_empty() {
            say!("{:<7}  {:<width$}  → {}", "", "", check.advice);
        }
    }
    Ok(())
}
