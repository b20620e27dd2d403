//! `import`: trades from a CSV file, signed as the agents it names.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    Ctx,
    client::Client,
    output::{self, Refusal, Unsuccessful, Usage, say},
    remote::bearer,
    with_app,
};
use crate::{
    app::Open,
    clock::Clock,
    code::{Code, Fault},
    ingest::{
        blocking,
        import::{Agents, Summary, Survey, chunks, into_log, is_systemic, name_agents, survey},
    },
};

/// Reports of one request.
const BATCH: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The CSV file, plain or gzip
    file: PathBuf,
    /// The agents' keys are derived from this and their names; whoever knows it can sign as them
    #[arg(
        long,
        value_name = "S",
        env = "GOODSTANDING_KEY_SEED",
        hide_env_values = true
    )]
    key_seed: String,
    /// The trades are old: the log's time is the rows' time, and age limits do not apply
    #[arg(long)]
    historical: bool,
    /// Send the reports to a running service instead of opening the data directory
    #[arg(long)]
    url: Option<String>,
    /// With --url: an operator's bearer token from `access grant`, or @FILE; it also tells the service the agents' names
    #[arg(long, env = "GOODSTANDING_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Issuer URL of a new data directory, as for `serve`; it cannot be changed later
    #[arg(long, conflicts_with = "url")]
    issuer: Option<String>,
    /// Name of a new data directory's log, as for `serve`; it cannot be changed later
    #[arg(long, conflicts_with = "url")]
    origin: Option<String>,
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    if args.historical && args.url.is_some() {
        let why = "--historical does not go with --url: a service sets its log's time by its own clock, and only \
                   whoever owns the data directory may import the past. Stop the service and import with --data";
        return Err(Usage(why.into()).into());
    }
    let client = match (&args.url, &args.token) {
        (None, _) => None,
        (Some(url), None) => Some(Client::new(url)?),
        (Some(url), Some(token)) => Some(Client::new(url)?.with_bearer(&bearer(token)?)),
    };
    let file = args.file.clone();
    let found = blocking(move || survey(&file)).await??;
    let seed = args.key_seed.clone();
    let aliases = found.aliases.clone();
    let agents = Arc::new(blocking(move || Agents::derive(&seed, aliases)).await?);
    let bar = progress_bar(found.rows);
    let started = Instant::now();
    let summary = match client {
        Some(client) => {
            if args.token.is_some() {
                name_over_http(&client, &agents).await?;
            }
            over_http(&client, &args.file, agents, &bar).await
        }
        None => into_directory(ctx, &args, &found, agents, &bar).await,
    };
    bar.finish_and_clear();
    let summary = summary?;
    if args.url.is_some() && args.token.is_none() && !ctx.json {
        eprintln!(
            "The service knows these agents by their DIDs only: with an operator's --token, import tells it their names."
        );
    }
    report(ctx, &summary, started.elapsed().as_secs_f64())
}

/// Names the agents before any report of theirs is sent: a name that is taken stops the import, as it does in a data directory.
async fn name_over_http(client: &Client, agents: &Agents) -> anyhow::Result<()> {
    let mut named: Vec<(&str, String)> = agents
        .iter()
        .map(|(alias, did)| (alias, did.to_string()))
        .collect();
    named.sort_unstable();
    for some in named.chunks(BATCH) {
        let aliases: BTreeMap<_, _> = some.iter().map(|(alias, did)| (alias, did)).collect();
        client
            .post_document("/v1/aliases", &json!({"aliases": aliases}))
            .await?;
    }
    Ok(())
}

fn progress_bar(rows: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} reports, {per_sec}, {eta} left");
    ProgressBar::new(rows).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

async fn into_directory(
    ctx: &Ctx,
    args: &Args,
    found: &Survey,
    agents: Arc<Agents>,
    bar: &ProgressBar,
) -> anyhow::Result<Summary> {
    let (file, historical) = (&args.file, args.historical);
    // Before anything is made: a log that begins in the future takes nothing until then.
    if let Some(time) = found
        .first_time
        .filter(|t| historical && *t > Clock::System.now_s())
    {
        let detail = format!("the first row's time {time} is later than now");
        return Err(Fault::new(Code::HistoricalFuture, detail).into());
    }
    let begin_ms = found.first_time.filter(|_| historical).map(|s| s * 1000);
    let open = Open {
        create: true,
        begin_ms,
        issuer: args.issuer.clone(),
        origin: args.origin.clone(),
        ..ctx.open()
    };
    with_app(open, async |app| {
        name_agents(app, agents.iter()).await?;
        Ok(into_log(app, file, agents, historical, |rows| bar.set_position(rows)).await?)
    })
    .await
}

async fn over_http(
    client: &Client,
    file: &Path,
    agents: Arc<Agents>,
    bar: &ProgressBar,
) -> anyhow::Result<Summary> {
    // Reports below the head that the service has now were there before.
    let size = log_size(client).await?;
    let mut summary = Summary::default();
    let mut failed = None;
    let work = move |row: &crate::ingest::import::Row| (row.line, agents.sign(row));
    let sent = chunks(
        file,
        BATCH,
        work,
        async |chunk: Vec<(u64, Result<String, Fault>)>| {
            let mut lines = Vec::with_capacity(chunk.len());
            let mut reports = Vec::with_capacity(chunk.len());
            for (line, jws) in chunk {
                lines.push(line);
                reports.push(jws?);
            }
            let answers = client
                .submit_many(&reports)
                .await
                .map_err(|error| stop(&mut failed, error))?;
            for (line, answer) in lines.into_iter().zip(answers) {
                match answer {
                    Ok(stored) => summary.admitted(stored.leaf_index >= size),
                    Err(refusal) if is_systemic(refusal.code) => {
                        return Err(stop(&mut failed, refusal.into()));
                    }
                    Err(Refusal { code, detail, .. }) => summary.refuse(line, code, &detail),
                }
            }
            bar.set_position(summary.rows);
            Ok(())
        },
    )
    .await;
    match (failed, sent) {
        (Some(error), _) => Err(error),
        (None, Err(fault)) => Err(fault.into()),
        (None, Ok(())) => Ok(summary),
    }
}

/// Keeps the true reason while a stand-in ends the reading.
fn stop(kept: &mut Option<anyhow::Error>, error: anyhow::Error) -> Fault {
    let stand_in = Fault::new(crate::code::Code::ServerRefused, error.to_string());
    *kept = Some(error);
    stand_in
}

/// How many entries the service has. Its checkpoint, which is a moment behind, says so where the rest is not shown to us; 0 when
/// that cannot be read either, so that everything counts as new.
async fn log_size(client: &Client) -> anyhow::Result<u64> {
    match client.get_json("/readyz").await {
        Ok(ready) if ready["log_size"].is_u64() => {
            return Ok(ready["log_size"].as_u64().unwrap_or_default());
        }
        Ok(_) => {}
        Err(error) if error.is::<Refusal>() => {}
        Err(error) => return Err(error),
    }
    let checkpoint = client.get("/checkpoint").await?;
    let size = checkpoint.lines().nth(1).and_then(|size| size.parse().ok());
    Ok(size.unwrap_or(0))
}

fn report(ctx: &Ctx, summary: &Summary, seconds: f64) -> anyhow::Result<()> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "shown with one decimal, counts stay far below 2^52"
    )]
    let per_second = summary.rows as f64 / seconds.max(0.001);
    if ctx.json {
        output::json(&json!({
            "rows": summary.rows,
            "new": summary.new,
            "already_there": summary.already_there,
            "refused": summary.refused,
            "seconds": (seconds * 1000.0).round() / 1000.0,
            "reports_per_second": per_second.round(),
        }))?;
    } else {
        say!(
            "{}: {} new, {} already there, {} refused",
            output::count(summary.rows, "row"),
            summary.new,
            summary.already_there,
            summary.refusals()
        );
        for (code, refused) in &summary.refused {
            say!("  {} × {code}", refused.count);
            for example in &refused.examples {
                say!("      line {}: {}", example.line, example.detail);
            }
        }
        say!("{seconds:.1} s, {per_second:.0} reports/s");
    }
    if summary.refused.is_empty() {
        Ok(())
    } else {
        Err(Unsuccessful.into())
    }
}
