//! `backup`: a verified copy, also while the service runs.

use std::path::PathBuf;

use super::{
    Ctx,
    output::{self, count, say},
};
use crate::{backup, clock::Clock};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// New folder for the copy
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Leave the secret keys out; they have to be kept elsewhere then
    #[arg(long)]
    without_keys: bool,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    ctx.own_file("backup")?;
    let made = backup::make(
        &ctx.data(),
        &args.out,
        !args.without_keys,
        Clock::System.now_s(),
    )
    .await?;
    if ctx.json {
        return output::json(&made);
    }
    say!(
        "backup of {} in {}, verified",
        count(made.size, "entry"),
        made.backup.display()
    );
    say!("root   {}", made.root);
    say!("bytes  {}", made.bytes);
    if made.keys {
        eprintln!("It holds the log's secret keys: keep it as safe as the data directory.");
    } else {
        eprintln!(
            "It holds no keys: without keys/log.json of the data directory the log cannot go on."
        );
    }
    Ok(())
}
