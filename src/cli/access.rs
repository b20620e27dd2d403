//! `access`: bearer tokens for people who operate the service or read more of it.

use clap::Subcommand;
use serde_json::json;

use super::{
    Ctx,
    output::{self, say},
};
use crate::{
    app::Reader,
    clock::Clock,
    token::access::{self, Role},
};

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Print a new bearer token
    Grant(Grant),
}

#[derive(Debug, clap::Args)]
pub(super) struct Grant {
    /// What it allows; may be given more than once
    #[arg(long, required = true)]
    role: Vec<Role>,
    /// How many days it is good for
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
    /// Whom it is for
    #[arg(long, value_name = "S", default_value = "operator")]
    name: String,
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    let Args::Grant(grant) = args;
    let life_s = grant.days * 86_400;
    // Only the key and the issuer's name are needed, so this works while the service runs.
    let reader = Reader::open(&ctx.data()).await?;
    let (issuer, key) = reader.access().await?;
    reader.store.close().await;
    let now = Clock::System.now_s();
    let token = access::sign(&key, &issuer, now, &grant.name, &grant.role, life_s)?;
    let expires_at = now + life_s;
    if ctx.json {
        return output::json(&json!({"token": token, "expires_at": expires_at}));
    }
    say!("{token}");
    eprintln!(
        "Whoever has this token may do so until {}: it cannot be taken back before.",
        output::utc(expires_at)
    );
    Ok(())
}
