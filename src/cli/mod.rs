//! The command line: one file per command.
//!
//! Commands return what went wrong; [`run`] alone decides how it is shown and which exit code it becomes: 0 done, 1 an
//! error, 2 wrong usage, 3 a verification that failed.

mod access;
mod audit;
mod backup;
mod bench;
mod client;
mod completions;
mod demo;
mod doctor;
mod epoch;
mod erase;
mod explain;
mod fsck;
mod import;
mod input;
mod keygen;
mod keys;
mod migrate;
mod output;
mod policy;
mod remote;
mod restore;
mod scores;
mod serve;
mod sign;
mod simulate;
mod submit;
mod token;
mod trust;

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{
    app::{App, Open, Reader},
    code::{Code, Fault},
    config::Config,
    store::{Place, Store},
};

/// Certificates of good standing for trading agents.
#[derive(Debug, Parser)]
#[command(name = "goodstanding", version, about, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 ok, 1 error, 2 wrong usage, 3 verification failed.\nStart with `goodstanding demo`."
)]
pub struct Cli {
    /// Data directory [default: ./goodstanding-data; the demo takes a new temporary one]
    #[arg(long, global = true, value_name = "DIR", env = "GOODSTANDING_DATA")]
    data: Option<PathBuf>,
    /// Database on a server, postgres://… [default: a SQLite file in the data directory]. With a password in it, better by environment
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "GOODSTANDING_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// Answer with one JSON document on standard output
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole story on an empty machine: a small market, its scores, a token, its verification
    Demo(demo::Args),
    /// Run the service
    Serve(serve::Args),
    /// Make an agent's key
    Keygen(keygen::Args),
    /// Sign a report, or the terms of a trade, as an agent
    Sign(sign::Args),
    /// Send signed reports to a service, or put them into a data directory
    Submit(submit::Args),
    /// Import trades from a CSV file, signed as the agents it names
    Import(import::Args),
    /// Show, change or compare the policy
    #[command(subcommand)]
    Policy(policy::Args),
    /// Compute all scores now and log them
    Epoch(epoch::Args),
    /// Every agent's newest score
    Scores(scores::Args),
    /// Why an agent has its score
    Explain(explain::Args),
    /// Request, present or verify a token
    #[command(subcommand)]
    Token(token::Args),
    /// Write the trust bundle that verifiers need
    TrustBundle(trust::BundleArgs),
    /// Hold a log to its word: replay it whole, from a service or a data directory
    Audit(audit::Args),
    /// Keep a trust bundle current
    #[command(subcommand)]
    Trust(trust::Args),
    /// The service's own keys: list, rotate, retire, revoke; end the log
    #[command(subcommand)]
    Keys(keys::Args),
    /// Allow somebody to operate the service or read more of it
    #[command(subcommand)]
    Access(access::Args),
    /// Erase a report's bytes for good; its entry stays in the log
    Erase(erase::Args),
    /// Check the data directory: everything in the database re-derived from the log
    Fsck(fsck::Args),
    /// Copy the data directory, also while the service runs
    Backup(backup::Args),
    /// Make a data directory from a backup
    Restore(restore::Args),
    /// Move the log to another database, or bring the schema of one up to date
    Migrate(migrate::Args),
    /// Look at directory, database, guard, keys and clock, and say what to do
    Doctor(doctor::Args),
    /// Make a market in miniature, honest and not, as files to import
    Simulate(simulate::Args),
    /// Measure parts of this program beside the bounds that they are held against
    #[command(subcommand)]
    Bench(bench::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

impl Cli {
    /// Sends the program's log to standard error, at the level that `RUST_LOG` says.
    pub fn start_log(&self) {
        let level = if matches!(self.command, Command::Serve(_)) {
            "info"
        } else {
            "error"
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        // A second subscriber can only be a test's own.
        let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
    }
}

/// What every command is told.
#[derive(Clone, Debug)]
struct Ctx {
    /// `--data`, if given.
    data: Option<PathBuf>,
    /// `--database-url`, if given.
    database_url: Option<String>,
    /// `--json`.
    json: bool,
}

impl Ctx {
    fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| Config::default().data)
    }

    /// Where the database is.
    fn place(&self) -> Result<Place, Fault> {
        Ok(Place::of(&self.data(), self.database_url.as_deref())?)
    }

    /// That the database is a file of the data directory, which `command` copies with it.
    ///
    /// # Errors
    /// `backup.on_server`.
    fn own_file(&self, command: &str) -> Result<(), Fault> {
        match self.place()? {
            Place::File(_) => Ok(()),
            place @ Place::Server(_) => Err(Fault::new(
                Code::BackupOnServer,
                format!("{command} does not copy {place}: PostgreSQL's own tools do"),
            )),
        }
    }

    /// The usual way to open the log.
    fn open(&self) -> Open {
        Open {
            database_url: self.database_url.clone(),
            ..Open::new(&self.data())
        }
    }

    /// The log, to be read only.
    async fn reader(&self) -> Result<Reader, Fault> {
        Reader::open(&self.data(), &self.place()?).await
    }

    /// Works on an existing data directory, publishes what was logged, and closes it whatever happened.
    async fn with_app<T>(
        &self,
        work: impl AsyncFnOnce(&Arc<App>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        with_app(self.open(), work).await
    }
}

impl Ctx {
    /// Reads an existing data directory, also while a service works on it.
    async fn with_store<T>(
        &self,
        work: impl AsyncFnOnce(&dyn Store) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let reader = self.reader().await?;
        let worked = work(reader.store.as_ref()).await;
        reader.store.close().await;
        worked
    }
}

async fn with_app<T>(
    open: Open,
    work: impl AsyncFnOnce(&Arc<App>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let app = App::open(open).await?;
    let worked = work(&app).await;
    let published = app.log.publish().await;
    app.close().await;
    let value = worked?;
    match published {
        // What was done is durable; it becomes public when the witnesses answer.
        Err(fault) if fault.is(Code::WitnessQuorumMissed) => {
            eprintln!(
                "Logged and durable, but not published yet: {}.\n  \
                 A running service asks the witnesses again by itself, and so does the next command that writes here. Until they \
                 answer, receipts, tokens and the trust bundle stay at the last witnessed checkpoint; `doctor` says who is missing.",
                fault.detail()
            );
        }
        published => published?,
    }
    Ok(value)
}

/// Shows help, or what is wrong with the command line; with `--json` also as JSON on standard output.
pub fn misused(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
        let text = error.render().to_string();
        let detail = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let _ = output::json(&serde_json::json!({"error": {"code": "usage", "detail": detail}}));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Runs a command, shows what went wrong, and says how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    let ctx = Ctx {
        database_url: cli.database_url,
        data: cli.data,
        json: cli.json,
    };
    let json = ctx.json;
    let result = match cli.command {
        Command::Demo(args) => demo::run(ctx, args).await,
        Command::Serve(args) => serve::run(ctx, args).await,
        Command::Keygen(args) => keygen::run(&ctx, &args),
        Command::Sign(args) => sign::run(&ctx, &args),
        Command::Submit(args) => submit::run(&ctx, &args).await,
        Command::Import(args) => import::run(&ctx, args).await,
        Command::Policy(args) => policy::run(&ctx, args).await,
        Command::Epoch(args) => epoch::run(&ctx, &args).await,
        Command::Scores(args) => scores::run(&ctx, &args).await,
        Command::Explain(args) => explain::run(&ctx, &args).await,
        Command::Token(args) => token::run(&ctx, args).await,
        Command::TrustBundle(args) => trust::bundle(&ctx, &args).await,
        Command::Audit(args) => audit::run(&ctx, args).await,
        Command::Bench(args) => bench::run(&ctx, args).await,
        Command::Simulate(args) => simulate::run(&ctx, &args),
        Command::Trust(args) => trust::run(&ctx, args).await,
        Command::Keys(args) => keys::run(&ctx, args).await,
        Command::Access(args) => access::run(&ctx, args).await,
        Command::Erase(args) => erase::run(&ctx, &args).await,
        Command::Fsck(args) => fsck::run(&ctx, &args).await,
        Command::Backup(args) => backup::run(&ctx, &args).await,
        Command::Restore(args) => restore::run(&ctx, &args).await,
        Command::Migrate(args) => migrate::run(&ctx, args).await,
        Command::Doctor(args) => doctor::run(&ctx, &args).await,
        Command::Completions(args) => completions::run(&args),
    };
    output::finish(result, json)
}

/// The agent that a command line names: a DID, or an alias known in the data directory.
async fn agent_named(
    store: &dyn Store,
    name: &str,
) -> Result<goodstanding_verify::did::Did, Fault> {
    if name.starts_with("did:key:") {
        return Ok(goodstanding_verify::did::Did::parse(name)?);
    }
    let agent = store.agent_of_alias(name).await?;
    agent.ok_or_else(|| unknown_alias(name))
}

fn unknown_alias(name: &str) -> Fault {
    Fault::new(
        Code::AgentUnknown,
        format!("no agent has the alias {name} here"),
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
