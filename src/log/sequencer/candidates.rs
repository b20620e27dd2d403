//! What the store knows of the reports of a batch, put beside them for the plan.

use std::{collections::HashSet, hash::BuildHasher, sync::Arc};

use goodstanding_verify::did::Did;

use super::{DAY_MS, Submission};
use crate::{
    log::plan::{Candidate, single_use_documents},
    store::{AdmissionQuery, Error, Store},
};

/// Asks the store about every report of a batch. `now_ms` is the log time that the batch will have at the earliest;
/// `reached` are the agents that trust flow reaches.
///
/// # Errors
/// When the store cannot answer.
pub async fn candidates<S: BuildHasher + Sync>(
    store: &dyn Store,
    submissions: Vec<Submission>,
    reached: &HashSet<Did, S>,
    now_ms: u64,
) -> Result<Vec<Candidate>, Error> {
    let queries: Vec<_> = submissions
        .iter()
        .map(|s| AdmissionQuery {
            id: &s.report.id,
            reporter: &s.report.iss,
            subject: &s.report.sub,
            market: &s.report.trade.market,
            trade_id: &s.report.trade.id,
            role: s.report.trade.role,
            jti: &s.report.jti,
            alone_since_ms: (s.historical_ms.is_none() && !reached.contains(&s.report.iss))
                .then(|| now_ms.saturating_sub(DAY_MS)),
        })
        .collect();
    let facts = store.admission_facts(&queries).await?;
    let digests: Vec<_> = submissions
        .iter()
        .flat_map(|s| single_use_documents(&s.report))
        .collect();
    let mut used_documents = HashSet::new();
    if !digests.is_empty() {
        used_documents.extend(store.known_documents(&digests).await?);
    }
    // Shared by the batch: each report may ask about eight documents, all of them known.
    let used_documents = Arc::new(used_documents);
    let candidate = |(s, facts): (Submission, _)| Candidate {
        reached: reached.contains(&s.report.iss),
        report: s.report,
        jws: s.jws,
        historical_ms: s.historical_ms,
        facts,
        used_documents: used_documents.clone(),
    };
    Ok(submissions.into_iter().zip(facts).map(candidate).collect())
}
