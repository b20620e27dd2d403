//! `completions`: a script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, output::say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "goodstanding", &mut script);
    say!("{}", String::from_utf8_lossy(&script).trim_end());
    Ok(())
}
