//! `epoch`: compute all scores now.

use serde_json::{Value, json};

use super::{
    Ctx,
    output::{self, count_of, say, utc},
    remote::Remote,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The time that the scores are of, Unix seconds [default: now, or the newest report's time if that was imported]
    #[arg(long, value_name = "T")]
    as_of: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let summary: Value = if let Some(service) = args.remote.service()? {
        let query = args.as_of.map(|as_of| format!("?as_of={as_of}"));
        let path = format!("/v1/epochs{}", query.unwrap_or_default());
        service.post(&path, &Value::Null).await?
    } else {
        let summary = ctx
            .with_app(async |app| Ok(crate::epoch::run(app, args.as_of).await?))
            .await?;
        json!(summary)
    };
    if ctx.json {
        return output::json(&summary);
    }
    let number = |name: &str| summary[name].as_u64().unwrap_or_default();
    say!(
        "epoch {}: {} scored from {}",
        number("number"),
        count_of(&summary["statements"], "agent"),
        count_of(&summary["reports"], "report")
    );
    say!("as of       {} ({})", number("as_of"), utc(number("as_of")));
    say!("covers      log entries 0..{}", number("log_size"));
    say!(
        "logged as   entry {}, score root {}",
        number("leaf_index"),
        summary["score_root"].as_str().unwrap_or_default()
    );
    say!("took        {} ms", number("computed_in_ms"));
    Ok(())
}
