//! `submit`: signed reports to a service, or straight into a data directory.

use std::{path::PathBuf, sync::Arc};

use serde_json::json;

use super::{
    Ctx,
    client::{Client, LineAnswer, Stored},
    input,
    output::{self, Refusal, Unsuccessful, Usage, say},
};
use crate::{
    app::App,
    code::{Code, Fault},
    ingest,
};

/// Reports of one request.
const BATCH: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file with one signed report a line, or `-` for standard input
    file: String,
    /// Where the service is; without it, the reports go into the data directory, which no service may have open then
    #[arg(long)]
    url: Option<String>,
    /// Write the receipt of a single report here
    #[arg(long, value_name = "OUT")]
    receipt: Option<PathBuf>,
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let client = args.url.as_deref().map(Client::new).transpose()?;
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
        [one] => {
            let stored = match &client {
                Some(client) => client.submit(one).await?,
                // Shown only after the checkpoint that covers it is published and the directory closed.
                None => ctx.with_app(async |app| into_log(app, one).await).await?,
            };
            single(ctx, args, &stored)
        }
        many if args.receipt.is_none() => {
            let mut shown = Shown::new(ctx.json, &numbers);
            match &client {
                Some(client) => {
                    for batch in many.chunks(BATCH) {
                        shown.add(client.submit_many(batch).await?)?;
                    }
                }
                None => shown.add(
                    ctx.with_app(async |app| many_into_log(app, many).await)
                        .await?,
                )?,
            }
            shown.finish()
        }
        _ => Err(Usage(
            "--receipt is for a single report; later, GET /v1/reports/<id>/receipt gives any"
                .into(),
        )
        .into()),
    }
}

async fn into_log(app: &Arc<App>, jws: &str) -> anyhow::Result<Stored> {
    let (admitted, receipt) = ingest::submit_one(app, jws.to_owned()).await?;
    Ok(Stored {
        report_id: admitted.id.to_string(),
        leaf_index: admitted.index,
        receipt: Some(receipt),
    })
}

async fn many_into_log(app: &Arc<App>, lines: &[String]) -> anyhow::Result<Vec<LineAnswer>> {
    let answers = ingest::submit_many(&app.log, lines.to_vec()).await?;
    Ok(answers
        .into_iter()
        .map(|answer| match answer {
            Ok(receipt) => Ok(Stored {
                report_id: receipt.admitted.id.to_string(),
                leaf_index: receipt.admitted.index,
                receipt: None,
            }),
            Err(fault) => Err(Refusal::new(fault.code(), fault.detail().to_owned(), None)),
        })
        .collect())
}

fn single(ctx: &Ctx, args: &Args, stored: &Stored) -> anyhow::Result<()> {
    if let Some(path) = &args.receipt {
        let receipt = stored.receipt.as_deref();
        let receipt = receipt
            .ok_or_else(|| Fault::new(Code::ServerRefused, "the service sent no receipt"))?;
        input::write(path, receipt)?;
    }
    if ctx.json {
        return output::json(stored);
    }
    say!("{} {}", stored.report_id, stored.leaf_index);
    Ok(())
}

/// The answers to many reports, shown as they come; as JSON all together at the end.
struct Shown<'a> {
    json: bool,
    numbers: &'a [usize],
    results: Vec<serde_json::Value>,
    refused: u64,
}

impl<'a> Shown<'a> {
    /// `numbers` = the line number of each report.
    fn new(json: bool, numbers: &'a [usize]) -> Self {
        Self {
            json,
            numbers,
            results: Vec::with_capacity(numbers.len()),
            refused: 0,
        }
    }

    fn add(&mut self, answers: Vec<LineAnswer>) -> anyhow::Result<()> {
        for answer in answers {
            let line = self.numbers.get(self.results.len()).copied();
            let line = line.unwrap_or_default();
            self.refused += u64::from(answer.is_err());
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
            if !self.json {
                say!("{shown}");
            }
            self.results.push(value);
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        let (refused, count) = (self.refused, self.results.len());
        if self.json {
            output::json(&json!({"refused": refused, "results": self.results}))?;
        }
        if refused == 0 {
            return Ok(());
        }
        eprintln!("{refused} of {count} refused");
        Err(Unsuccessful.into())
    }
}
