//! `bench`: the project's own benchmarks, each beside the bound it is measured against.

mod audit;
mod log;

use clap::Subcommand;

use super::Ctx;

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// An audit beside the bare signature check: reports a second, and memory
    Audit(audit::Args),
    /// Appending beside the bare store; proof latency and memory of logs of several sizes
    ///
    /// With --database-url on SQLite and on PostgreSQL, there in schemas of its own that are dropped afterwards. Use a database on
    /// which no service runs: only one process a database writes.
    Log(log::Args),
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    match args {
        Args::Audit(args) => audit::run(ctx, args).await,
        Args::Log(args) => log::run(ctx, args).await,
    }
}
