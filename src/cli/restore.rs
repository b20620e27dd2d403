//! `restore`: a data directory from a backup.

use std::path::PathBuf;

use super::{
    Ctx, input,
    output::{self, count, say, utc},
};
use crate::{
    backup::{self, Restore, Restored},
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
    ctx.own_file("restore")?;
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
    show(&restored)
}

fn show(restored: &Restored) -> anyhow::Result<()> {
    let data = restored.data.display();
    say!(
        "restored     {} ({} bytes) to {data}, from a backup of {}",
        count(restored.size, "entry"),
        restored.bytes,
        utc(restored.made_at)
    );
    say!("root         {}", restored.root);
    for held in &restored.held_against {
        let beyond = restored.size.saturating_sub(held.size);
        say!(
            "held against {}: {}, root {}; the backup has it, and {beyond} more",
            held.from,
            count(held.size, "entry"),
            held.root
        );
    }
    if restored.held_against.is_empty() {
        say!("held against nothing: no checkpoint was at hand");
    }
    say!(
        "newest       {}",
        match restored.vouched_by {
            "guard" =>
                "by head.guard and a clean stop: the newest head was published before the directory was closed",
            "newest" =>
                "by the document that you gave: nothing newer may be known to anybody, or the log forks",
            _ => "by your word alone (--nothing-newer)",
        }
    );
    if restored.keys {
        say!("next         goodstanding doctor --data {data}, then serve");
    } else {
        say!(
            "next         put the log's keys into {data}/keys (the backup has none), then goodstanding doctor --data {data}, then serve"
        );
    }
    say!("             bearer tokens are not restored: access grant makes new ones");
    Ok(())
}
