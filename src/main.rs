//! The `goodstanding` command; everything it can do is in [`goodstanding::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use goodstanding::cli::{Cli, run};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return goodstanding::cli::misused(&error),
    };
    cli.start_log();
    goodstanding::net::install();
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => {
            eprintln!("error[internal]: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
