//! `epoch`: compute all scores now.

use super::{
    Ctx,
    output::{self, say, utc},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The time that the scores are of, Unix seconds [default: now, or the newest report's time if that was imported]
    #[arg(long, value_name = "T")]
    as_of: Option<u64>,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let summary = ctx
        .with_app(async |app| Ok(crate::epoch::run(app, args.as_of).await?))
        .await?;
    if ctx.json {
        return output::json(&summary);
    }
    say!(
        "epoch {}: {} agents scored from {} reports",
        summary.number,
        summary.statements,
        summary.reports
    );
    say!("as of       {} ({})", summary.as_of, utc(summary.as_of));
    say!("covers      log entries 0..{}", summary.log_size);
    say!(
        "logged as   entry {}, score root {}",
        summary.index,
        summary.score_root
    );
    say!("took        {} ms", summary.computed_in_ms);
    Ok(())
}
