//! `submit`: signed reports to a service.

use std::path::PathBuf;

use serde_json::json;

use super::{
    Ctx,
    client::Client,
    input,
    output::{self, Unsuccessful, Usage, say},
};
use crate::code::{Code, Fault};

/// Reports of one request.
const BATCH: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file with one signed report a line, or `-` for standard input
    file: String,
    /// Where the service is
    #[arg(long)]
    url: String,
    /// Write the receipt of a single report here
    #[arg(long, value_name = "OUT")]
    receipt: Option<PathBuf>,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let client = Client::new(&args.url)?;
    let text = input::text(&args.file)?;
    // Numbered as in the file, empty lines left out.
    let (numbers, lines): (Vec<usize>, Vec<String>) = (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| (number, line.to_owned()))
        .unzip();
    match lines.as_slice() {
        [] => Err(Fault::new(
            Code::InputUnreadable,
            format!("{} holds no report", args.file),
        )
        .into()),
        [one] => single(ctx, args, &client, one).await,
        many if args.receipt.is_none() => bulk(ctx, &client, many, &numbers).await,
        _ => Err(Usage(
            "--receipt is for a single report; later, GET /v1/reports/<id>/receipt gives any"
                .into(),
        )
        .into()),
    }
}

async fn single(ctx: &Ctx, args: &Args, client: &Client, jws: &str) -> anyhow::Result<()> {
    let stored = client.submit(jws).await?;
    if let Some(path) = &args.receipt {
        let receipt = stored.receipt.as_deref();
        let receipt = receipt
            .ok_or_else(|| Fault::new(Code::ServerRefused, "the service sent no receipt"))?;
        input::write(path, receipt)?;
    }
    if ctx.json {
        return output::json(&stored);
    }
    say!("{} {}", stored.report_id, stored.leaf_index);
    Ok(())
}

async fn bulk(
    ctx: &Ctx,
    client: &Client,
    lines: &[String],
    numbers: &[usize],
) -> anyhow::Result<()> {
    let mut results = Vec::with_capacity(lines.len());
    let mut refused = 0;
    for batch in lines.chunks(BATCH) {
        for answer in client.submit_many(batch).await? {
            let line = numbers.get(results.len()).copied().unwrap_or_default();
            refused += u64::from(answer.is_err());
            let (shown, value) = match answer {
                Ok(stored) => (
                    format!("{} {}", stored.report_id, stored.leaf_index),
                    json!(stored),
                ),
                Err(refusal) => {
                    let value =
                        json!({"line": line, "code": refusal.code, "detail": refusal.detail});
                    (
                        format!("line {line} refused [{}]: {}", refusal.code, refusal.detail),
                        value,
                    )
                }
            };
            if !ctx.json {
                say!("{shown}");
            }
            results.push(value);
        }
    }
    if ctx.json {
        output::json(&json!({"refused": refused, "results": results}))?;
    }
    if refused == 0 {
        return Ok(());
    }
    eprintln!("{refused} of {} reports were refused", lines.len());
    Err(Unsuccessful.into())
}
