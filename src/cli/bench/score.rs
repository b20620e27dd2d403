//! `bench score`: one epoch of a synthetic market, beside the bare loops that it cannot be faster than.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{
    super::{
        Ctx,
        output::{self, say},
    },
    count,
};
use crate::{
    bench::score::{Measured, measure},
    code::{Code, Fault},
    ingest::blocking,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Agents of the market; `k` and `m` stand for thousands and millions
    #[arg(long, default_value = "1m", value_parser = count)]
    agents: u64,
    /// Ordered pairs of a reporter and its counterparty
    #[arg(long, default_value = "10m", value_parser = count)]
    pairs: u64,
    /// Several numbers of pairs, each in a process of its own, with agents in proportion
    #[arg(long, value_name = "PAIRS", value_delimiter = ',', value_parser = count, conflicts_with = "pairs")]
    sizes: Vec<u64>,
    /// Threads [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    let measured = if args.sizes.is_empty() {
        let done = here(args.agents, args.pairs, args.threads).await?;
        vec![serde_json::to_value(done)?]
    } else {
        let mut all = Vec::new();
        for pairs in &args.sizes {
            // The default is ten pairs an agent.
            let agents = u128::from(args.agents) * u128::from(*pairs) / u128::from(args.pairs);
            let agents = u64::try_from(agents)?.max(100);
            if !ctx.json {
                eprintln!("{agents} agents, {pairs} pairs");
            }
            all.push(alone(agents, *pairs, args.threads).await?);
        }
        all
    };
    if ctx.json {
        return output::json(&json!({"epochs": measured}));
    }
    for value in &measured {
        show(value)?;
    }
    Ok(())
}

/// In this process.
async fn here(agents: u64, pairs: u64, threads: Option<u16>) -> anyhow::Result<Measured> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, usize::from))
        .build()?;
    Ok(blocking(move || pool.install(|| measure(agents, pairs))).await??)
}

/// In a process of its own, so that its memory is its own.
async fn alone(agents: u64, pairs: u64, threads: Option<u16>) -> anyhow::Result<Value> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "score", "--json"]);
    command.arg(format!("--agents={agents}"));
    command.arg(format!("--pairs={pairs}"));
    command.args(threads.map(|n| format!("--threads={n}")));
    command.stderr(Stdio::inherit());
    let done = blocking(move || command.output()).await??;
    if !done.status.success() {
        let detail = format!("measuring {pairs} pairs ended with {}", done.status);
        return Err(Fault::new(Code::Internal, detail).into());
    }
    let mut value: Value = serde_json::from_slice(&done.stdout)?;
    Ok(value["epochs"][0].take())
}

/// One epoch, for people.
fn show(epoch: &Value) -> anyhow::Result<()> {
    let number = |pointer: &str| epoch.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let seconds = |us: u64| format!("{}.{:02}", us / 1_000_000, us / 10_000 % 100);
    let times = |bp: u64| format!("{}.{:02}", bp / 10_000, bp / 100 % 100);
    say!(
        "{} agents, {} pairs, {} reports, {} edges, {} threads",
        number("/agents"),
        number("/pairs"),
        number("/reports"),
        number("/edges"),
        number("/threads")
    );
    let pass = number("/bare_pass_us").max(1);
    for stage in [
        "ledger",
        "evidence",
        "weights",
        "graph",
        "rounds",
        "flow",
        "voices",
        "claims",
        "statements",
    ] {
        let us = number(&format!("/stages/{stage}"));
        let passes = us.saturating_mul(10_000) / pass;
        say!(
            "  {stage:<12} {:>8} s {:>9} bare passes",
            seconds(us),
            times(passes)
        );
    }
    say!("  {:<12} {:>8} s", "epoch", seconds(number("/epoch_us")));
    match epoch["peak_kib"].as_u64() {
        Some(kib) => say!("  {:<12} {:>8} MiB", "peak memory", kib / 1024),
        None => say!("  {:<12}  unknown", "peak memory"),
    }
    say!(
        "  flow, {} passes: {} s, bare loop {} s, {} times",
        number("/passes"),
        seconds(number("/flow/ours_us")),
        seconds(number("/flow/bare_us")),
        times(number("/flow/share_bp"))
    );
    say!(
        "  statements and tree of {} agents: {} s, bare SHA-256 {} s, {} times",
        number("/hashed"),
        seconds(number("/statements/ours_us")),
        seconds(number("/statements/bare_us")),
        times(number("/statements/share_bp"))
    );
    Ok(())
}
