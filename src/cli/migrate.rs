//! `migrate`: the log into another database, or the schema of one up to date.

use super::{
    Ctx,
    output::{self, Usage, count, say},
};
use crate::{
    clock::Clock,
    moving::{self, End, Moved, Request},
    store::{
        Place, Store as _,
        postgres::{Options, PostgresStore},
    },
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "With --from and --to the log goes on in another database: sqlite:DIR is a data directory, postgres://… a database. Nothing may \
                  write to either, and the target is empty. Without them, the schema of the database at --database-url is brought up to date."
)]
pub(super) struct Args {
    /// Where the log is. With a password in it, better by environment
    #[arg(
        long,
        value_name = "DATABASE",
        requires = "to",
        env = "GOODSTANDING_MIGRATE_FROM",
        hide_env_values = true
    )]
    from: Option<End>,
    /// Where it goes on
    #[arg(
        long,
        value_name = "DATABASE",
        requires = "from",
        env = "GOODSTANDING_MIGRATE_TO",
        hide_env_values = true
    )]
    to: Option<End>,
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    match (args.from, args.to) {
        (Some(from), Some(to)) => relocate(ctx, from, to).await,
        _ => schema(ctx).await,
    }
}

async fn schema(ctx: &Ctx) -> anyhow::Result<()> {
    let place = ctx.place()?;
    let Place::Server(url) = &place else {
        let why = "name a database with --database-url, or a move with --from and --to; a SQLite file is brought up to date at every start";
        return Err(Usage(why.to_owned()).into());
    };
    let options = Options {
        migrate: true,
        ..Options::default()
    };
    let store = PostgresStore::connect(url, options).await?;
    store.close().await;
    if ctx.json {
        return output::json(
            &serde_json::json!({"database": place.to_string(), "schema": "current"}),
        );
    }
    say!("the schema of {place} is up to date");
    Ok(())
}

async fn relocate(ctx: &Ctx, from: End, to: End) -> anyhow::Result<()> {
    // A log that comes back to its directory finds its keys there.
    let data = match (&ctx.data, &to) {
        (None, End::Directory(data)) => data.clone(),
        _ => ctx.data(),
    };
    let request = Request {
        from,
        to,
        data,
        now_s: Clock::System.now_s(),
    };
    let moved = moving::run(&request).await?;
    if ctx.json {
        return output::json(&moved);
    }
    show(&moved, &request.to)
}

fn show(moved: &Moved, to: &End) -> anyhow::Result<()> {
    let data = moved.data.display();
    say!(
        "moved        {} from {} to {}{}",
        count(moved.size, "entry"),
        moved.from,
        moved.to,
        if moved.resumed {
            ", ending a move that had been interrupted"
        } else {
            ""
        }
    );
    say!("root         {}", moved.root);
    say!("checked      by fsck, and head, publishing and epochs against the source");
    say!("beside it    {data}: keys, head.guard, settings");
    say!(
        "left         {} is marked as moved and refuses to be written to",
        moved.from
    );
    match to {
        End::Directory(_) => say!("next         goodstanding doctor --data {data}, then serve"),
        End::Server(_) => say!(
            "next         goodstanding doctor --data {data} --database-url URL, then serve; grant the service its rights if it has a role of its own"
        ),
    }
    Ok(())
}
