//! `token request`.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    cli::{
        Ctx, agent_named,
        client::Client,
        input,
        output::{self, say, utc},
    },
    clock::Clock,
    keys::KeyFile,
    token::issue,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The agent's key file, to ask a running service
    #[arg(
        long,
        value_name = "KEYFILE",
        requires = "url",
        required_unless_present = "alias"
    )]
    agent: Option<PathBuf>,
    /// Where the service is
    #[arg(long, requires = "agent")]
    url: Option<String>,
    /// An agent of the data directory, by alias or DID, to issue without a service
    #[arg(long, value_name = "A", conflicts_with_all = ["agent", "url"])]
    alias: Option<String>,
    /// Write the token here instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let issued = match (&args.agent, &args.url, &args.alias) {
        (Some(agent), Some(url), _) => {
            let key = KeyFile::read(agent)?;
            Client::new(url)?
                .request_token(&key, Clock::System.now_s())
                .await?
        }
        (_, _, alias) => {
            let alias = alias.as_deref().unwrap_or_default();
            let issued = ctx
                .with_app(async |app| {
                    let agent = agent_named(app.store.as_ref(), alias).await?;
                    app.log.publish().await?;
                    Ok(issue::issue(app, &agent).await?)
                })
                .await?;
            serde_json::to_value(issued)?
        }
    };
    let token = issued
        .get("token")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if let Some(path) = &args.out {
        input::write(path, token)?;
    }
    if ctx.json {
        return output::json(&issued);
    }
    match &args.out {
        Some(path) => {
            let until = issued
                .get("expires_at")
                .and_then(Value::as_u64)
                .unwrap_or_default();
            say!("{} is good until {}", path.display(), utc(until));
        }
        None => say!("{token}"),
    }
    Ok(())
}
