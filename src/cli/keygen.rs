//! `keygen`: a key for an agent.

use std::path::PathBuf;

use serde_json::json;

use super::{
    Ctx,
    output::{self, say},
};
use crate::keys::{KeyFile, SecretKey};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write the key; an existing file is never overwritten
    #[arg(long, value_name = "FILE", default_value = "agent.json")]
    out: PathBuf,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let key = SecretKey::generate()?;
    KeyFile::create(&key, &args.out)?;
    if ctx.json {
        return output::json(&json!({"did": key.did(), "file": args.out}));
    }
    say!("{}", key.did());
    eprintln!(
        "The secret key is in {}. Whoever has this file is this agent; nobody can restore it.",
        args.out.display()
    );
    Ok(())
}
