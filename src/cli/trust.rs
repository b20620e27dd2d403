//! `trust-bundle` and `trust`: the root of trust of offline verification.

use std::path::PathBuf;

use clap::Subcommand;
use goodstanding_verify::{bundle::TrustBundle, note::VerifierKey, successor::Notice};
use serde_json::json;

use super::{
    Ctx,
    client::Client,
    input,
    output::{self, Rejected, Usage, say, utc},
};
use crate::clock::Clock;

#[derive(Debug, clap::Args)]
pub(super) struct BundleArgs {
    /// Write it here instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Ask the service at this URL instead of the data directory
    #[arg(long)]
    url: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Fetch the first trust bundle, held to a key that you know; later replace it by the newest one, if it vouches for that
    Update(Update),
}

#[derive(Debug, clap::Args)]
pub(super) struct Update {
    /// The held trust bundle; if there is none yet, the first one is fetched, and --log-key or --pin has to say whose it is
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Where the service is
    #[arg(long)]
    url: String,
    /// The log's verifier key, `<origin>+<id>+<key>`, from a place that you trust. The bundle has to be of this log. That
    /// shows that the log announced every key of a first bundle, not that it has revoked none since: who stole the bundle key
    /// leaves the revocation out. Against that, --pin a thumbprint that is good today, or `audit --trust` what you got
    #[arg(long, value_name = "VKEY", value_parser = vkey)]
    log_key: Option<VerifierKey>,
    /// Thumbprint that the signing key of the first bundle must have. Later ones are vouched for by the one held
    #[arg(long, value_name = "THUMBPRINT")]
    pin: Option<String>,
    /// Take it even if it asks for fewer witnesses or a lower quorum
    #[arg(long)]
    accept_weaker: bool,
}

pub(super) async fn bundle(ctx: &Ctx, args: &BundleArgs) -> anyhow::Result<()> {
    let jws = match &args.url {
        Some(url) => Client::new(url)?
            .get("/v1/trust-bundle")
            .await?
            .trim()
            .to_owned(),
        None => {
            ctx.with_app(async |app| {
                app.log.publish().await?;
                Ok(crate::token::bundle::trust_bundle(app).await?)
            })
            .await?
        }
    };
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
        Ok(jws) => Ok(Some(Notice::verify(jws.trim(), held).map_err(Rejected)?)),
        Err(error) => match error.downcast_ref::<output::Refusal>() {
            // The second is what a service answers that does not know the question.
            Some(refusal) if matches!(refusal.code, "log.not_ended" | "request.not_found") => {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

fn vkey(text: &str) -> Result<VerifierKey, String> {
    VerifierKey::parse(text).map_err(|e| e.detail().to_owned())
}

/// Refuses a bundle of another log than the one that the relying party named.
fn is_of(bundle: &TrustBundle, wanted: Option<&VerifierKey>) -> Result<(), Rejected> {
    match wanted {
        Some(wanted) if wanted != bundle.log() => {
            let detail = format!("its log is {}, and --log-key is {wanted}", bundle.log());
            let code = goodstanding_verify::code::Code::BundleLogChanged;
            Err(Rejected(goodstanding_verify::Error::new(code, detail)))
        }
        _ => Ok(()),
    }
}

/// The first bundle. Nothing held vouches for it, so a key that is known from elsewhere has to: the log's, whose entries have
/// announced every key of the bundle, or the one that signed the bundle. The log's key does not show that a key was not
/// revoked: a bundle brings the key events itself and can leave some out, so a stolen bundle key is good for it for ever.
async fn first(ctx: &Ctx, args: &Update, client: &Client) -> anyhow::Result<()> {
    if args.log_key.is_none() && args.pin.is_none() {
        let why = format!(
            "{} is not there, and a first trust bundle is believed for nothing but a key that you know: say --log-key or --pin (which \
             alone protects against a stolen bundle key that was revoked since). The operator's `keys list` shows the log's key, `trust-bundle --json` the thumbprint; get one from a second place",
            args.trust.display()
        );
        return Err(Usage(why).into());
    }
    let jws = client.get("/v1/trust-bundle").await?;
    let bundle = TrustBundle::parse(jws.trim(), args.pin.as_deref(), Clock::System.now_s());
    let bundle = bundle.map_err(Rejected)?;
    is_of(&bundle, args.log_key.as_ref())?;
    let ended = ended(client, &bundle).await?;
    input::write(&args.trust, jws.trim())?;
    let (version, exp) = (bundle.version(), bundle.payload().exp);
    if ctx.json {
        return output::json(&json!({
            "held": null, "version": version, "signer": bundle.signer(), "exp": exp, "log_ended": ended,
            "revocation_checked": args.pin.is_some(),
        }));
    }
    if let Some(notice) = &ended {
        eprintln!("Attention: {}.", super::keys::ended_line(notice));
    }
    let by = match (&args.log_key, &args.pin) {
        (Some(_), Some(_)) => "--log-key and --pin",
        (Some(_), None) => "--log-key",
        _ => "--pin",
    };
    say!(
        "version {version} of {}, as {by} wants it; good until {}",
        bundle.iss(),
        utc(exp)
    );
    say!("log     {}", bundle.log());
    say!("signer  {}", bundle.signer());
    if args.pin.is_none() {
        say!(
            "NOT CHECKED: that the log has not revoked the signer. Compare its thumbprint with what the operator publishes \
             today and say --pin, or run `audit {} --trust {}`",
            args.url,
            args.trust.display()
        );
    }
    Ok(())
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    let Args::Update(args) = args;
    let client = Client::new(&args.url)?;
    if !args.trust.exists() {
        return first(ctx, &args, &client).await;
    }
    let held = input::text(&args.trust.to_string_lossy())?;
    let held = TrustBundle::parse_any_time(held.trim(), None)?;
    is_of(&held, args.log_key.as_ref())?;
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
    let newer = newer.map_err(Rejected)?;
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
