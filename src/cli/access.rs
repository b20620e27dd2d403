//! `access`: bearer tokens for people who operate the service or read more of it.

use clap::Subcommand;
use serde_json::json;

use super::{
    Ctx,
    output::{self, say},
};
use crate::{
    clock::Clock,
    token::{
        access::{Granter, Role},
        access_book::{AccessBook, Grant as Granted},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Print a new bearer token
    Grant(Grant),
    /// Show the tokens that were granted
    List,
    /// Take a token back at once, or all of them; works while the service runs
    Revoke(Revoke),
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

#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// The token's id, from `access list`
    #[arg(value_name = "JTI", required_unless_present = "all")]
    jti: Option<String>,
    /// Every token granted so far
    #[arg(long, conflicts_with = "jti")]
    all: bool,
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    match args {
        Args::Grant(grant) => run_grant(ctx, &grant).await,
        Args::List => run_list(ctx).await,
        Args::Revoke(revoke) => run_revoke(ctx, &revoke).await,
    }
}

async fn run_grant(ctx: &Ctx, args: &Grant) -> anyhow::Result<()> {
    // Only the key and the issuer's name are needed, so this works while the service runs.
    let reader = ctx.reader().await?;
    let (issuer, key) = reader.access().await?;
    reader.store.close().await;
    let granter = Granter {
        book: &AccessBook::new(&ctx.data()),
        key: &key,
        issuer: &issuer,
    };
    let now = Clock::System.now_s();
    let (token, granted) = granter.grant(&args.name, &args.role, now, args.days * 86_400)?;
    if ctx.json {
        return output::json(
            &json!({"token": token, "jti": granted.jti, "expires_at": granted.exp}),
        );
    }
    say!("{token}");
    eprintln!(
        "Whoever has this token may do so until {}, or until: goodstanding access revoke {}",
        output::utc(granted.exp),
        granted.jti
    );
    Ok(())
}

/// The record of an existing data directory.
async fn book(ctx: &Ctx) -> anyhow::Result<AccessBook> {
    let reader = ctx.reader().await?;
    reader.store.close().await;
    Ok(AccessBook::new(&ctx.data()))
}

fn state(grant: &Granted, now: u64) -> &'static str {
    match grant.revoked {
        Some(_) => "revoked",
        None if grant.exp <= now => "expired",
        None => "good",
    }
}

async fn run_list(ctx: &Ctx) -> anyhow::Result<()> {
    let grants = book(ctx).await?.list()?;
    let now = Clock::System.now_s();
    if ctx.json {
        let mut items = Vec::new();
        for grant in &grants {
            let mut item = serde_json::to_value(grant)?;
            item["state"] = state(grant, now).into();
            items.push(item);
        }
        return output::json(&json!({"items": items}));
    }
    for grant in &grants {
        let roles: Vec<_> = grant.roles.iter().map(|role| role.as_str()).collect();
        say!(
            "{}  {:8} until {}  {}  {}",
            grant.jti,
            state(grant, now),
            output::utc(grant.exp),
            roles.join(","),
            grant.name
        );
    }
    if grants.is_empty() {
        eprintln!("No token was granted here.");
    }
    Ok(())
}

async fn run_revoke(ctx: &Ctx, args: &Revoke) -> anyhow::Result<()> {
    let revoked = book(ctx)
        .await?
        .revoke(args.jti.as_deref(), Clock::System.now_s())?;
    if ctx.json {
        let ids: Vec<_> = revoked.iter().map(|grant| &grant.jti).collect();
        return output::json(&json!({"revoked": ids}));
    }
    match revoked.len() {
        0 => say!("nothing to do: revoked before"),
        n => say!("refused from now on: {}", output::count(n, "token")),
    }
    Ok(())
}
