//! `fsck`: is the data directory what its log says?

use super::{
    Ctx,
    output::{self, Disproved, count, say},
};
use crate::{
    clock::Clock,
    fsck::{self, Options},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Describe at most this many problems; the rest is counted
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let options = Options {
        limit: usize::try_from(args.limit).unwrap_or(usize::MAX),
        place: Some(ctx.place()?),
        ..Options::new(Clock::System.now_s())
    };
    let outcome = fsck::run(&ctx.data(), &options).await?;
    if ctx.json {
        output::json(&outcome)?;
    } else {
        show(&outcome)?;
    }
    if outcome.ok {
        Ok(())
    } else {
        Err(Disproved.into())
    }
}

fn show(outcome: &fsck::Outcome) -> anyhow::Result<()> {
    for problem in &outcome.problems {
        say!("[{}] {}: {}", problem.code, problem.place, problem.detail);
    }
    let all: u64 = outcome.counts.values().sum();
    let shown = u64::try_from(outcome.problems.len()).unwrap_or(u64::MAX);
    if all > shown {
        say!("and {} more (--limit)", count(all - shown, "problem"));
    }
    let seen = &outcome.checked;
    say!(
        "{}, {} ({} erased), {}, {}, {} with {}, {}",
        count(seen.entries, "entry"),
        count(seen.reports, "report"),
        seen.erased,
        count(seen.checkpoints, "checkpoint"),
        count(seen.tiles, "tile"),
        count(seen.epochs, "epoch"),
        count(seen.statements, "statement"),
        count(seen.tokens, "token")
    );
    if outcome.ok {
        say!("ok: size {}, root {}", outcome.size, outcome.root);
    } else if outcome.complete {
        say!("{}", count(all, "problem"));
    } else {
        say!(
            "{}, and not everything could be looked at",
            count(all, "problem")
        );
    }
    Ok(())
}
