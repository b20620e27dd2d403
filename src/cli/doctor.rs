//! Placeholder.
use super::Ctx;
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) async fn run(_ctx: &Ctx, _args: &Args) -> anyhow::Result<()> {
    Ok(())
}
