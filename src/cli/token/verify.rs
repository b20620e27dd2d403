//! `token verify`.

use std::path::PathBuf;

use goodstanding_verify::{
    bundle::TrustBundle,
    token::{self, Holder, HolderCheck, Requirement, Requirements, Status, Verdict, Witnessed},
};

use crate::{
    cli::{
        Ctx, input,
        output::{self, Rejected, say, utc},
    },
    clock::Clock,
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("binding").required(true).args(["aud", "no_key_binding"]))]
pub(in crate::cli) struct Args {
    /// The token as presented: a file, `-` for standard input, or the token itself
    token: String,
    /// The trust bundle: the root of trust
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Thumbprint that the trust bundle's signing key must have
    #[arg(long, value_name = "THUMBPRINT")]
    pin: Option<String>,
    /// Who is verifying, exactly as the holder was told
    #[arg(long, requires = "nonce")]
    aud: Option<String>,
    /// The nonce that the holder was given
    #[arg(long, requires = "aud")]
    nonce: Option<String>,
    /// Do not ask whether the presenter is the agent; the verdict says so
    #[arg(long, conflicts_with = "nonce")]
    no_key_binding: bool,
    /// The status list that the token refers to
    #[arg(long, value_name = "FILE")]
    status: Option<PathBuf>,
    /// Least acceptable lower bound, basis points
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=10_000))]
    min_lower_bp: Option<u16>,
    /// Oldest acceptable score, seconds
    #[arg(long, value_name = "S")]
    max_age: Option<u64>,
    /// A further requirement: NAME, NAME=VALUE, NAME>=N or NAME<=N; may be given more than once
    #[arg(long, value_name = "REQUIREMENT", value_parser = Requirement::parse)]
    require: Vec<Requirement>,
    /// Witnesses to rely on instead of the trust bundle's
    #[arg(long, value_name = "FILE")]
    witness_policy: Option<PathBuf>,
    /// Take that witness policy even if it asks for less than the trust bundle's
    #[arg(long, requires = "witness_policy")]
    accept_weaker: bool,
    /// The time to verify at, Unix seconds [default: now]
    #[arg(long, value_name = "T")]
    now: Option<u64>,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let token = input::token(&args.token)?;
    let read =
        |path: &PathBuf| input::text(&path.to_string_lossy()).map(|text| text.trim().to_owned());
    let trust = read(&args.trust)?;
    let status = args.status.as_ref().map(read).transpose()?;
    let witnesses = args
        .witness_policy
        .as_ref()
        .map(|path| input::text(&path.to_string_lossy()))
        .transpose()?;
    let holder = match (&args.aud, &args.nonce) {
        (Some(aud), Some(nonce)) => HolderCheck::Required {
            aud: aud.clone(),
            nonce: nonce.clone(),
        },
        _ => HolderCheck::Waived,
    };
    let requirements = Requirements {
        holder,
        min_lower_bp: args.min_lower_bp,
        max_age_s: args.max_age,
        require: args.require.clone(),
    };
    let now = args.now.unwrap_or_else(|| Clock::System.now_s());
    let verdict = verify(
        &token,
        &trust,
        args,
        witnesses.as_deref(),
        &requirements,
        status.as_deref(),
        now,
    );
    let verdict = verdict.map_err(Rejected)?;
    if ctx.json {
        let mut shown = serde_json::to_value(&verdict)?;
        if let Some(members) = shown.as_object_mut() {
            members.insert("valid".into(), true.into());
            let age_s = now.saturating_sub(verdict.as_of);
            members.insert("score_age_s".into(), age_s.into());
        }
        output::json(&shown)
    } else {
        show(&verdict, now)
    }
}

fn verify(
    token: &str,
    trust: &str,
    args: &Args,
    witnesses: Option<&str>,
    requirements: &Requirements,
    status: Option<&str>,
    now: u64,
) -> Result<Verdict, goodstanding_verify::Error> {
    let mut bundle = TrustBundle::parse(trust, args.pin.as_deref(), now)?;
    if let Some(text) = witnesses {
        bundle = bundle.with_witness_policy(text, args.accept_weaker)?;
    }
    token::verify(token, &bundle, requirements, status, now)
}

fn show(verdict: &Verdict, now: u64) -> anyhow::Result<()> {
    say!("valid");
    say!("agent:     {}", verdict.subject);
    say!("issuer:    {}", verdict.issuer);
    let logged = verdict.entry_at / 1000;
    let age = |then: u64| output::age(now.saturating_sub(then));
    say!(
        "score of:  {} ({} old)",
        utc(verdict.as_of),
        age(verdict.as_of)
    );
    say!(
        "epoch:     {}, logged {} ({} ago)",
        verdict.epoch,
        utc(logged),
        age(logged)
    );
    say!("expires:   {}", utc(verdict.exp));
    let holder = match verdict.holder {
        Holder::Proven => "proven",
        Holder::NotProven => "not proven",
    };
    say!("holder: {holder}");
    let status = match verdict.status {
        Status::Valid => "valid",
        Status::Unchecked => "unchecked",
    };
    say!("status: {status}");
    match &verdict.witnessed {
        Witnessed::Unwitnessed => say!("witnesses: unwitnessed"),
        quorum @ Witnessed::Quorum { .. } => say!("witnesses: {quorum}"),
    }
    say!("claims:");
    for (name, value) in &verdict.claims {
        say!("  {name}: {value}");
    }
    Ok(())
}
