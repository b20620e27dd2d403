//! `token`: get one, show it to somebody, check one.

mod present;
mod request;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

pub(super) use present::{DEFAULT_DISCLOSED, bind};

use super::Ctx;
use crate::keys::{KeyFile, SecretKey};

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Get a token over an agent's newest score
    Request(request::Args),
    /// Show a token to one verifier: choose what it reveals and prove that it is yours
    Present(present::Args),
    /// Check a token offline
    Verify(verify::Args),
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    match args {
        Args::Request(args) => request::run(ctx, &args).await,
        Args::Present(args) => present::run(ctx, &args),
        Args::Verify(args) => verify::run(ctx, &args),
    }
}

/// Whose key: a key file, or the name under which an import signed.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Holder {
    /// The agent's key file
    #[arg(long, value_name = "KEYFILE", required_unless_present = "alias")]
    agent: Option<PathBuf>,
    /// An imported agent's name, with the --key-seed of the import
    #[arg(
        long,
        value_name = "A",
        conflicts_with = "agent",
        requires = "key_seed"
    )]
    alias: Option<String>,
    /// The key seed of the import
    #[arg(
        long,
        value_name = "S",
        env = "GOODSTANDING_KEY_SEED",
        hide_env_values = true
    )]
    key_seed: Option<String>,
}

impl Holder {
    fn key(&self) -> Result<SecretKey, crate::keys::Error> {
        match (&self.agent, &self.alias) {
            (Some(path), _) => KeyFile::read(path),
            (None, alias) => {
                let (alias, seed) = (
                    alias.as_deref().unwrap_or_default(),
                    self.key_seed.as_deref().unwrap_or_default(),
                );
                Ok(SecretKey::of_alias(seed, alias))
            }
        }
    }
}
