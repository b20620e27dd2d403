//! `restore`: a data directory from a backup, or for a database on a server.

use std::path::PathBuf;

use super::{
    Ctx, input,
    output::{self, Usage, count, say, utc},
};
use crate::{
    backup::{self, HeldAgainst, Join, Joined, Restore, Restored},
    clock::Clock,
    store::Place,
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A log that is restored from a state older than what it signed forks, and whoever holds the newer \
                        checkpoint can prove it. So the newest one known outside has to be given, or that there is none.\n\
                  With --database-url and no BACKUP the database stays where it is: it is held against that checkpoint, and the data directory, \
                  which has the log's keys, gets the head.guard that it needs to serve it."
)]
pub(super) struct Args {
    /// The backup; none where the database is on a server
    #[arg(value_name = "BACKUP")]
    backup: Option<PathBuf>,
    /// The newest checkpoint known outside: a saved /checkpoint, a receipt or a trust bundle; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "nothing_newer")]
    newest: Option<String>,
    /// Say that nothing newer than this backup was ever published or acknowledged
    #[arg(long)]
    nothing_newer: bool,
}

impl Args {
    /// Name and text of what `--newest` names.
    fn newest(&self) -> anyhow::Result<Option<(String, String)>> {
        Ok(match &self.newest {
            None => None,
            Some(name) => Some((name.clone(), input::text(name)?)),
        })
    }
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let place = ctx.place()?;
    let backup = match (&args.backup, &place) {
        (None, Place::File(_)) => {
            let why = "name the backup, or with --database-url the database that the data directory is to serve";
            return Err(Usage(why.to_owned()).into());
        }
        (None, Place::Server(_)) => return join(ctx, args, place).await,
        (Some(backup), _) => backup.clone(),
    };
    ctx.own_file("restore")?;
    let request = Restore {
        backup,
        data: ctx.data(),
        newest: args.newest()?,
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
    show_held(&restored.held_against, restored.size, "the backup")?;
    say!(
        "newest       {}",
        match restored.vouched_by {
            "guard" =>
                "by head.guard and a clean stop: the newest head was published before the directory was closed",
            by => newest_by(by),
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

async fn join(ctx: &Ctx, args: &Args, place: Place) -> anyhow::Result<()> {
    let request = Join {
        data: ctx.data(),
        place,
        newest: args.newest()?,
        nothing_newer: args.nothing_newer,
    };
    let joined = backup::join(&request).await?;
    if ctx.json {
        return output::json(&joined);
    }
    show_joined(&joined)
}

fn show_joined(joined: &Joined) -> anyhow::Result<()> {
    let data = joined.data.display();
    say!(
        "database     {} with {}",
        joined.database,
        count(joined.size, "entry")
    );
    say!("root         {}", joined.root);
    show_held(&joined.held_against, joined.size, "the database")?;
    say!(
        "newest       {}",
        match joined.vouched_by {
            "guard" => "by the head.guard that was there",
            by => newest_by(by),
        }
    );
    say!(
        "guard        {data}/head.guard says {}",
        count(joined.guard, "published entry")
    );
    say!("next         goodstanding doctor --data {data} --database-url URL, then serve");
    Ok(())
}

fn show_held(against: &[HeldAgainst], size: u64, what: &str) -> anyhow::Result<()> {
    for held in against {
        let beyond = size.saturating_sub(held.size);
        say!(
            "held against {}: {}, root {}; {what} has it, and {beyond} more",
            held.from,
            count(held.size, "entry"),
            held.root
        );
    }
    if against.is_empty() {
        say!("held against nothing: no checkpoint was at hand");
    }
    Ok(())
}

fn newest_by(vouched_by: &str) -> &'static str {
    match vouched_by {
        "newest" => {
            "by the document that you gave: nothing newer may be known to anybody, or the log forks"
        }
        _ => "by your word alone (--nothing-newer)",
    }
}
