//! `restore`: a data directory from a backup.

use std::path::PathBuf;

use super::{
    Ctx, input,
    output::{self, say, utc},
};
use crate::{
    backup::{self, Restore},
    clock::Clock,
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A log that is restored from a state older than what it signed forks, and whoever holds the newer \
                        checkpoint can prove it. So the newest one known outside has to be given, or that there is none."
)]
pub(super) struct Args {
    /// The backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The newest checkpoint known outside: a saved /checkpoint, a receipt or a trust bundle; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "nothing_newer")]
    newest: Option<String>,
    /// Say that nothing newer than this backup was ever published or acknowledged
    #[arg(long)]
    nothing_newer: bool,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let newest = match &args.newest {
        None => None,
        Some(name) => Some((name.clone(), input::text(name)?)),
    };
    let request = Restore {
        backup: args.backup.clone(),
        data: ctx.data(),
        newest,
        nothing_newer: args.nothing_newer,
        now_s: Clock::System.now_s(),
    };
    let restored = backup::restore(&request).await?;
    if ctx.json {
        return output::json(&restored);
    }
    say!(
        "restored {} entries to {}, from a backup of {}",
        restored.size,
        restored.data.display(),
        utc(restored.made_at)
    );
    say!("root   {}", restored.root);
    if !restored.keys {
        eprintln!("The backup has no keys: put the log's own into keys/ before serving.");
    }
    Ok(())
}
