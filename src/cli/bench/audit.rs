//! `bench audit`: a real audit beside the bare signature check.

use super::Ctx;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {}

pub(super) async fn run(_ctx: &Ctx, _args: Args) -> anyhow::Result<()> {
    Ok(())
}
