//! `bench`: the project's own benchmarks.

mod log;

use clap::Subcommand;

use super::Ctx;

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Appending beside the bare store; proof latency and memory of logs of several sizes
    Log(log::Args),
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    match args {
        Args::Log(args) => log::run(ctx, args).await,
    }
}
