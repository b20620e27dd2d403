//! `token present`.

use goodstanding_verify::{
    jws::Compact,
    sdjwt::{self, Revealed, SdJwt},
    token::{ALWAYS_REQUIRED, KB_TYP},
};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use super::Holder;
use crate::{
    cli::{
        Ctx, input,
        output::{self, say},
    },
    clock::Clock,
    code::{Code, Fault},
    keys::{SecretKey, jwt},
};

/// What a presentation reveals if nothing is named: what every verifier asks for.
pub(in crate::cli) const DEFAULT_DISCLOSED: [&str; 3] = ALWAYS_REQUIRED;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The token as issued: a file, `-` for standard input, or the token itself
    token: String,
    #[command(flatten)]
    holder: Holder,
    /// Claims to reveal, exactly these, or `all` [default: `lower_bp,state,flags`]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    disclose: Vec<String>,
    /// The verifier, exactly as it names itself
    #[arg(long)]
    aud: String,
    /// The nonce that the verifier gave
    #[arg(long)]
    nonce: String,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let key = args.holder.key()?;
    let token = input::token(&args.token)?;
    check_subject(&token, &key)?;
    let all = if args.disclose == ["all"] {
        names(&token)?
    } else {
        args.disclose.clone()
    };
    let chosen: Vec<&str> = if all.is_empty() {
        DEFAULT_DISCLOSED.to_vec()
    } else {
        all.iter().map(String::as_str).collect()
    };
    let missing: Vec<_> = ALWAYS_REQUIRED
        .iter()
        .copied()
        .filter(|name| !chosen.contains(name))
        .collect();
    if !missing.is_empty() {
        eprintln!(
            "warning: without {} no verifier will accept this (claims.required_missing)",
            missing.join(", ")
        );
    }
    let presented = bind(
        &sdjwt::select(&token, &chosen)?,
        &key,
        &args.aud,
        &args.nonce,
        Clock::System.now_s(),
    )?;
    if ctx.json {
        return output::json(&json!({"presentation": presented, "disclosed": chosen}));
    }
    say!("{presented}");
    Ok(())
}

/// Appends the proof that the presenter holds the key, for one verifier and one nonce.
pub(in crate::cli) fn bind(
    presentation: &str,
    key: &SecretKey,
    aud: &str,
    nonce: &str,
    now_s: u64,
) -> Result<String, jsonwebtoken::errors::Error> {
    let header = Header {
        typ: Some(KB_TYP.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    let claims =
        json!({"iat": now_s, "aud": aud, "nonce": nonce, "sd_hash": sdjwt::sd_hash(presentation)});
    Ok(format!(
        "{presentation}{}",
        jwt::sign_with_header(key.signing(), &header, &claims)?
    ))
}

/// A token that is somebody else's would only be refused later, with less to say about why.
fn check_subject(token: &str, key: &SecretKey) -> Result<(), Fault> {
    let payload = Compact::parse(SdJwt::parse(token)?.jwt)?.payload_json()?;
    let sub = payload
        .get("sub")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if sub == key.did().to_string() {
        return Ok(());
    }
    Err(Fault::new(
        Code::NotHolder,
        format!("the token is about {sub}, the key is that of {}", key.did()),
    ))
}

/// Every claim that the token can reveal.
fn names(token: &str) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for disclosure in SdJwt::parse(token)?.disclosures {
        names.extend(Revealed::parse(disclosure)?.name);
    }
    Ok(names)
}
