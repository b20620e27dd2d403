//! `trust-bundle` and `trust`: the root of trust of offline verification.

use std::path::PathBuf;

use clap::Subcommand;
use goodstanding_verify::{bundle::TrustBundle, successor::Notice};
use serde_json::json;

use super::{
    Ctx,
    client::Client,
    input,
    output::{self, say, utc},
};
use crate::clock::Clock;

#[derive(Debug, clap::Args)]
pub(super) struct BundleArgs {
    /// Write it here instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Replace a held trust bundle by the service's newest one, if the held one vouches for it
    Update(Update),
}

#[derive(Debug, clap::Args)]
pub(super) struct Update {
    /// The held trust bundle
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Where the service is
    #[arg(long)]
    url: String,
    /// Take it even if it asks for fewer witnesses or a lower quorum
    #[arg(long)]
    accept_weaker: bool,
}

pub(super) async fn bundle(ctx: &Ctx, args: &BundleArgs) -> anyhow::Result<()> {
    let jws = ctx
        .with_app(async |app| {
            app.log.publish().await?;
            Ok(crate::token::bundle::trust_bundle(app).await?)
        })
        .await?;
    let bundle = TrustBundle::parse_any_time(&jws, None)?;
    if let Some(path) = &args.out {
        input::write(path, &jws)?;
    }
    if ctx.json {
        let text = args.out.is_none().then_some(&jws);
        return output::json(
            &json!({"version": bundle.version(), "signer": bundle.signer(), "trust_bundle": text}),
        );
    }
    match &args.out {
        Some(path) => say!(
            "{} is version {}, signed by {}",
            path.display(),
            bundle.version(),
            bundle.signer()
        ),
        None => say!("{jws}"),
    }
    Ok(())
}

/// Whether the service offers what is held: nothing to update, and nothing wrong.
fn is_same(held: &TrustBundle, offered: &TrustBundle) -> bool {
    held.version() == offered.version()
        && held.iss() == offered.iss()
        && held.log() == offered.log()
}

/// The notice that the log has ended, checked with what is held: a log whose key was stolen may still have a service.
async fn ended(client: &Client, held: &TrustBundle) -> anyhow::Result<Option<Notice>> {
    match client.get("/v1/log/successor").await {
        Ok(jws) => Ok(Some(
            Notice::verify(jws.trim(), held).map_err(output::Rejected)?,
        )),
        Err(error) => match error.downcast_ref::<output::Refusal>() {
            // The second is what a service answers that does not know the question.
            Some(refusal) if matches!(refusal.code, "log.not_ended" | "request.not_found") => {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    let Args::Update(args) = args;
    let held = input::text(&args.trust.to_string_lossy())?;
    let held = TrustBundle::parse_any_time(held.trim(), None)?;
    let client = Client::new(&args.url)?;
    let ended = ended(&client, &held).await?;
    if let Some(notice) = ended.as_ref().filter(|_| !ctx.json) {
        eprintln!("Attention: {}.", super::keys::ended_line(notice));
    }
    let jws = client.get("/v1/trust-bundle").await?;
    if TrustBundle::parse_any_time(jws.trim(), None).is_ok_and(|offered| is_same(&held, &offered)) {
        if ctx.json {
            let payload = held.payload();
            return output::json(
                &json!({"held": held.version(), "version": held.version(), "signer": held.signer(), "exp": payload.exp, "log_ended": ended}),
            );
        }
        say!("version {} is already current", held.version());
        return Ok(());
    }
    let newer = held.accept_update(jws.trim(), args.accept_weaker, Clock::System.now_s());
    let newer = newer.map_err(output::Rejected)?;
    input::write(&args.trust, jws.trim())?;
    if ctx.json {
        let held = held.version();
        return output::json(
            &json!({"held": held, "version": newer.version(), "signer": newer.signer(), "exp": newer.payload().exp, "log_ended": ended}),
        );
    }
    say!(
        "version {} → {}, good until {}",
        held.version(),
        newer.version(),
        utc(newer.payload().exp)
    );
    Ok(())
}
