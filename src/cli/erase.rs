//! `erase`: a report's bytes, for good.

use goodstanding_verify::{entry::ErasureReason, report::ReportId};
use serde_json::json;

use super::{
    Ctx,
    output::{self, Usage, say},
    remote::Remote,
};
use crate::casework::erasure;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Id of the report
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    report: String,
    /// Why: one of the reasons that the log can say
    #[arg(long, value_name = "personal_data|court_order|malware|author_request", value_parser = reason)]
    reason: ErasureReason,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    remote: Remote,
}

fn reason(text: &str) -> Result<ErasureReason, String> {
    let known: Vec<_> = ErasureReason::ALL.iter().map(|r| r.as_str()).collect();
    ErasureReason::parse(text).ok_or_else(|| format!("one of {}", known.join(", ")))
}

pub(super) async fn run(ctx: &Ctx, args: &Args) -> anyhow::Result<()> {
    let id = ReportId::parse(&args.report)
        .map_err(|_| Usage("a report id is 43 characters of base64url".to_owned()))?;
    let question = format!("Erase report {id} for good? This cannot be undone");
    if !args.yes && !output::confirmed(&question)? {
        return Err(Usage("nothing was erased".to_owned()).into());
    }
    let erased = match args.remote.service()? {
        Some(service) => {
            let path = format!("/v1/reports/{id}/erasure");
            service.post(&path, &json!({"reason": args.reason})).await?
        }
        None => {
            ctx.with_app(async |app| {
                let erased = erasure::erase(app, id, args.reason).await?;
                serde_json::to_value(erased).map_err(Into::into)
            })
            .await?
        }
    };
    if ctx.json {
        return output::json(&erased);
    }
    say!(
        "erased: entry {} stays in the log, entry {} says why ({})",
        erased["leaf_index"],
        erased["erasure_index"],
        args.reason
    );
    say!(
        "The next epoch does without it. Backups made before hold it still: see docs/OPERATIONS.md."
    );
    Ok(())
}
