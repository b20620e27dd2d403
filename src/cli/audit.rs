//! `audit`: hold a log to its word.

use std::{io::IsTerminal as _, path::PathBuf};

use goodstanding_verify::{
    bundle::TrustBundle, did::Did, note::VerifierKey, witness_policy::WitnessPolicy,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    Ctx, input,
    output::{self, Disproved, Unsuccessful, Usage, count, percent, say, utc},
};
use crate::{
    audit::{
        DirSource, Disagreement, Failure, HttpSource, Options, OtherView, Pending, Source, Summary,
        audit, evidence_path,
    },
    clock::Clock,
    code::{Code, Fault, registry},
    store::Place,
};

/// How long a report that is gone may wait for the checkpoint that says why, seconds.
const PATIENCE_S: u32 = 5;
/// Differences that are shown to people; `--json` has all.
const SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A service's URL, or a data directory
    #[arg(value_name = "URL|DIR")]
    target: String,
    /// Remember what was seen in this file, and go on from it next time
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The log's verifier key, `<origin>+<id>+<key>`
    #[arg(long, value_name = "VKEY")]
    log_key: Option<String>,
    /// A trust bundle that names the log's key and its witnesses
    #[arg(long, value_name = "FILE")]
    trust: Option<String>,
    /// The witnesses that count, instead of the trust bundle's (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    witness_policy: Option<String>,
    /// Take a witness policy that asks for less than the one that the log had before
    #[arg(long)]
    accept_weaker: bool,
    /// Score the newest epoch with these trust roots too, and show where they disagree: DIDs (or, for a directory, aliases)
    /// separated by commas, or @FILE
    #[arg(long, value_name = "a,b,…|@FILE", conflicts_with = "no_epochs")]
    seeds: Option<String>,
    /// Read and check everything again from the first entry on, also what an earlier audit had read; the log still has to
    /// be the one that the state file remembers
    #[arg(long, requires = "state")]
    full: bool,
    /// For a log that shows its reports to auditors alone: the file with the bearer token, or - for standard input. The token
    /// itself can be in the environment, as `GOODSTANDING_AUDIT_TOKEN`. It is sent only where reports and scores are asked for,
    /// and only over https or to this machine
    #[arg(long, value_name = "FILE")]
    token: Option<String>,
    /// Leave out recomputing epochs, and with it the only part whose memory grows with the log
    #[arg(long)]
    no_epochs: bool,
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    let log_key = args.log_key.as_deref().map(VerifierKey::parse).transpose();
    let trust = match &args.trust {
        None => None,
        Some(file) => Some(TrustBundle::parse_any_time(
            input::text(file)?.trim(),
            None,
        )?),
    };
    let witness_policy = match &args.witness_policy {
        None => None,
        Some(file) => Some(WitnessPolicy::parse(&input::text(file)?)?),
    };
    let mut options = Options {
        state: args.state.clone(),
        log_key: log_key.map_err(|e| Usage(format!("--log-key: {}", e.detail())))?,
        trust,
        witness_policy,
        accept_weaker: args.accept_weaker,
        no_epochs: args.no_epochs,
        full: args.full,
        seeds: None,
        now_s: Clock::System.now_s(),
        patience_s: PATIENCE_S,
        ..Options::default()
    };
    if args.target.contains("://") {
        let source = match bearer(args.token.as_deref())? {
            Some(token) => HttpSource::new(&args.target)?
                .with_bearer(&token)
                .map_err(|fault| Usage(fault.detail().to_owned()))?,
            None => HttpSource::new(&args.target)?,
        };
        options.seeds = seeds(&source, args.seeds.as_deref()).await?;
        return finish(ctx, &args, audited(&source, &options).await);
    }
    let data = std::path::Path::new(&args.target);
    let place = Place::of(data, ctx.database_url.as_deref())?;
    let source = DirSource::on(data, &place).await?;
    let done = match seeds(&source, args.seeds.as_deref()).await {
        Err(error) => Err(error),
        Ok(seeds) => {
            options.seeds = seeds;
            Ok(audited(&source, &options).await)
        }
    };
    source.close().await;
    finish(ctx, &args, done?)
}

/// The auditor's bearer token, which is never part of the command line: everybody on the machine can read that. Its variable
/// is not the one of the commands that operate a service: who is audited must not get what opens another.
fn bearer(file: Option<&str>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else {
        let set = std::env::var("GOODSTANDING_AUDIT_TOKEN").ok();
        return Ok(set.filter(|token| !token.is_empty()));
    };
    let file = file.strip_prefix('@').unwrap_or(file);
    if file.starts_with("eyJ") && file.split('.').count() == 3 {
        let why = "--token names a file, or - for standard input: a token on the command line is read by everybody on this machine";
        return Err(Usage(why.to_owned()).into());
    }
    Ok(Some(input::text(file)?.trim().to_owned()))
}

async fn audited(source: &dyn Source, options: &Options) -> Result<Summary, Failure> {
    let bar = progress_bar();
    let done = audit(source, options, &|done, all| {
        bar.set_length(all);
        bar.set_position(done);
    })
    .await;
    bar.finish_and_clear();
    done
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} entries, {per_sec}, {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The agents that `--seeds` names.
async fn seeds(source: &dyn Source, given: Option<&str>) -> anyhow::Result<Option<Vec<Did>>> {
    let Some(given) = given else { return Ok(None) };
    let names = match given.strip_prefix('@') {
        Some(file) => input::text(file)?,
        None => given.to_owned(),
    };
    let mut seeds = Vec::new();
    for name in names.split([',', '\n', '\r']).map(str::trim) {
        if name.is_empty() {
            continue;
        }
        if name.starts_with("did:key:") {
            seeds.push(Did::parse(name)?);
            continue;
        }
        let agent = source.agent_of_alias(name).await.map_err(error)?;
        let unknown = || {
            let detail = format!("{name} is no DID, and {} has no such alias", source.name());
            Fault::new(Code::AgentUnknown, detail)
        };
        seeds.push(agent.ok_or_else(unknown)?);
    }
    if seeds.is_empty() {
        return Err(Usage("--seeds names nobody".to_owned()).into());
    }
    Ok(Some(seeds))
}

fn error(failure: Failure) -> anyhow::Error {
    match failure {
        Failure::Fault(fault) => fault.into(),
        Failure::Disagrees(found) => anyhow::Error::new(*found),
        Failure::Pending(pending) => told(&pending),
    }
}

/// What is open, as an error of operation.
fn told(pending: &Pending) -> anyhow::Error {
    Fault::new(Code::AuditErasurePending, pending.to_string()).into()
}

fn finish(ctx: &Ctx, args: &Args, done: Result<Summary, Failure>) -> anyhow::Result<()> {
    match done {
        Ok(summary) if ctx.json => output::json(&json!({"agrees": true, "audit": summary})),
        Ok(summary) => show(&summary),
        Err(Failure::Fault(fault)) => Err(fault.into()),
        Err(Failure::Pending(pending)) => {
            if !ctx.json {
                return Err(told(&pending));
            }
            output::json(&json!({
                "agrees": null,
                "target": args.target,
                "error": {"code": pending.code(), "detail": pending.to_string()},
                "pending": pending,
            }))?;
            eprintln!("error[{}]: {pending}", pending.code());
            Err(Unsuccessful.into())
        }
        Err(Failure::Disagrees(found)) => {
            // First of all: nothing that fails behind it may hide it.
            refute(&found);
            match keep(args, &found) {
                Ok(Some(path)) => eprintln!("kept in {}", path.display()),
                Ok(None) => {}
                Err(error) => eprintln!("warning: the evidence was not kept: {error:#}"),
            }
            if let Some(fault) = found.unsaved() {
                eprintln!("warning: the state was not saved: {}", fault.detail());
            }
            if ctx.json {
                let unsaved = found.unsaved().map(Fault::detail);
                let shown = output::json(&json!({
                    "agrees": false,
                    "target": args.target,
                    "error": {"code": found.code(), "detail": found.to_string()},
                    "disagreement": found.to_json(),
                    "unsaved": unsaved,
                }));
                if let Err(error) = shown {
                    eprintln!("warning: {error:#}");
                }
            }
            Err(Disproved.into())
        }
    }
}

/// Checkpoints that prove something outlive the terminal.
fn keep(args: &Args, found: &Disagreement) -> anyhow::Result<Option<PathBuf>> {
    let Some(state) = args.state.as_ref().filter(|_| !found.notes().is_empty()) else {
        return Ok(None);
    };
    let text = format!("{:#}\n", found.to_json());
    // Never over another one: what proves a fork must not be lost to the next disagreement.
    let mut path = evidence_path(state, 1);
    let mut n = 1;
    while path.exists() && std::fs::read_to_string(&path).is_ok_and(|held| held != text) {
        n += 1;
        path = evidence_path(state, n);
    }
    input::write(&path, &text)?;
    Ok(Some(path))
}

fn refute(found: &Disagreement) {
    eprintln!("disagrees [{}]: {found}", found.code());
    if let Some(row) = registry().iter().find(|row| row.code == found.code()) {
        eprintln!("  {}", row.meaning);
    }
    for note in found.notes() {
        eprintln!("\n{note}");
    }
}

fn show(summary: &Summary) -> anyhow::Result<()> {
    say!("the log agrees with its rules");
    say!("log         {}", summary.origin);
    say!(
        "checkpoint  {}, root {}",
        count(summary.size, "entry"),
        summary.root
    );
    if summary.first_use {
        say!(
            "key         {}\n            NOT CHECKED: the log named it itself ({}).\n            \
             Compare it with what the operator publishes elsewhere, and give it with --log-key or --state next time",
            summary.log_key,
            summary.log_key_from
        );
    } else {
        say!("key         from {}", summary.log_key_from);
    }
    match &summary.witnesses {
        None => say!("witnesses   no policy"),
        Some(w) if w.total == 0 => say!("witnesses   none wanted by the policy"),
        Some(w) if !w.met => say!(
            "witnesses   unwitnessed: too few of {} cosigned, and the log publishes without them",
            w.total
        ),
        Some(w) => {
            say!("witnesses   {} of {} cosigned", w.cosigned.len(), w.total);
            for (name, time) in &w.cosigned {
                say!("            {name} at {}", utc(*time));
            }
        }
    }
    if let Some(version) = summary.trust_bundle {
        say!("bundle      version {version}: its keys are the log's");
    }
    if let Some(notice) = &summary.ended {
        say!(
            "ended       {} at {}, {}",
            notice.reason.as_str(),
            count(notice.size, "entry"),
            utc(notice.iat)
        );
        if let Some(next) = &notice.successor {
            let url = next.url.as_deref().unwrap_or("no URL named");
            say!("            {} goes on: {}, {url}", next.origin, next.vkey);
        }
    }
    if let Some(why) = &summary.restarted {
        say!("restarted   from the first entry: {why}");
    }
    say!(
        "entries     {} audited now, {} before; {}",
        summary.entries,
        summary.resumed_at,
        match summary.checkpoints_seen {
            1 => "1 earlier checkpoint agrees".to_owned(),
            n => format!("{n} earlier checkpoints agree"),
        }
    );
    say!(
        "reports     {} verified, {} erased in all",
        summary.reports,
        summary.erased
    );
    if summary.historical > 0 {
        say!(
            "            {} of them historical: imported, and dated by the operator's word",
            summary.historical
        );
    }
    if !summary.quota_checked {
        say!("            the quota of unilateral reports was not checked throughout");
    }
    say!(
        "epochs      {} recomputed, {} committed but not recomputable, {} left out; {} in all",
        summary.epochs_recomputed,
        summary.epochs_not_recomputable,
        summary.epochs_not_checked,
        summary.epochs
    );
    say!(
        "keys        {}; policies {}",
        count(summary.key_events, "event"),
        summary.policies
    );
    say!(
        "took        {}.{:03} s",
        summary.took_ms / 1000,
        summary.took_ms % 1000
    );
    match &summary.other_view {
        None => Ok(()),
        Some(view) => show_view(view),
    }
}

fn show_view(view: &OtherView) -> anyhow::Result<()> {
    say!("");
    say!(
        "epoch {} with your {} ({} trade): {} of {} differ, {} in state",
        view.epoch,
        count(view.seeds.len(), "trust root"),
        view.taking_part,
        view.moved.len(),
        count(view.agents, "agent"),
        view.state_changes
    );
    for moved in view.moved.iter().take(SHOWN) {
        let state = if moved.state == moved.own_state {
            String::new()
        } else {
            format!(", {} → {}", word(moved.state), word(moved.own_state))
        };
        say!(
            "  {}  lower bound {} → {}{state}",
            moved.agent,
            percent(moved.lower_bp.into()),
            percent(moved.own_lower_bp.into())
        );
    }
    if view.moved.len() > SHOWN {
        say!("  … and {} more, all with --json", view.moved.len() - SHOWN);
    }
    Ok(())
}

fn word(state: goodstanding_verify::claims::State) -> String {
    serde_json::to_value(state)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
