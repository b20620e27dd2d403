//! `bench`: the project's own benchmarks, each beside the bound it is measured against.

mod audit;
mod log;
mod score;

use clap::Subcommand;

use super::Ctx;

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// An audit beside the bare signature check: reports a second, and memory
    Audit(audit::Args),
    /// Appending beside the bare store; proof latency and memory of logs of several sizes
    ///
    /// With --database-url on SQLite and on PostgreSQL, there in schemas of its own that are dropped afterwards. Use a database on
    /// which no service runs: only one process a database writes.
    Log(log::Args),
    /// One epoch of a synthetic market with skewed degrees, stage by stage: the flow beside a bare loop over the same rows, statements
    /// and score tree beside bare SHA-256, and memory
    Score(score::Args),
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    match args {
        Args::Audit(args) => audit::run(ctx, args).await,
        Args::Log(args) => log::run(ctx, args).await,
        Args::Score(args) => score::run(ctx, args).await,
    }
}

/// A number of something, `k` and `m` for thousands and millions.
fn count(text: &str) -> Result<u64, String> {
    let text = text.to_ascii_lowercase();
    let (digits, unit) = match text.strip_suffix('m') {
        Some(digits) => (digits, 1_000_000),
        None => text
            .strip_suffix('k')
            .map_or((text.as_str(), 1), |digits| (digits, 1_000)),
    };
    let number = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    number
        .filter(|n| (100..=1_000_000_000).contains(n))
        .ok_or_else(|| "100 to 1000m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(count("10k"), Ok(10_000));
        assert_eq!(count("10M"), Ok(10_000_000));
        assert_eq!(count("123"), Ok(123));
        for bad in ["", "k", "1", "-1k", "1g", "99999999999m", "1e3"] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }
}
