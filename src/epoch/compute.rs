//! From evidence to statements and their tree: pure, and the same on every machine.

use goodstanding_score::{
    evidence::{Admitted, Evidence},
    policy::Policy,
    score,
};
use goodstanding_verify::{
    did::Did,
    json,
    merkle::Hash,
    statement::{self, Statement},
};
use rayon::prelude::*;

use super::Explained;
use crate::{
    code::{Code, Fault},
    log::tree::{Edge, Touched},
};

/// A computed epoch.
#[derive(Debug)]
pub struct Computed {
    /// For explanations.
    pub explained: Explained,
    /// In leaf order: agent, whether flow reached it, claims as JCS.
    pub statements: Vec<(Did, bool, String)>,
    /// Tiles of the score tree.
    pub tiles: Touched,
    /// Root of the score tree.
    pub score_root: Hash,
}

/// Computes epoch `number` at `as_of` (Unix seconds) from the reports of a log prefix.
///
/// `erased`: erasure entries of that prefix. Whom the erased reports were about is gone with them, so the total is all that
/// is still a function of the log, and every statement carries it.
///
/// # Errors
/// `policy.no_seeds` when no trust root takes part.
pub fn compute(
    number: u64,
    as_of: u64,
    admitted: Vec<Admitted>,
    policy: Policy,
    salt_key: [u8; 32],
    erased: u64,
) -> Result<Computed, Fault> {
    let evidence = Evidence::build(&admitted, &policy);
    drop(admitted);
    from_evidence(number, as_of, evidence, policy, salt_key, erased)
}

/// [`compute`] for a caller that keeps its reports.
///
/// # Errors
/// As [`compute`].
pub fn from_evidence(
    number: u64,
    as_of: u64,
    evidence: Evidence,
    policy: Policy,
    salt_key: [u8; 32],
    erased: u64,
) -> Result<Computed, Fault> {
    let mut scores = score(&evidence, &policy, as_of, None).map_err(|e| Fault::from_score(&e))?;
    for agent in &mut scores.agents {
        agent.claims.erased_reports = erased;
    }
    let rows: Vec<(Did, bool, String, Hash)> = scores
        .agents
        .par_iter()
        .map(|agent| {
            let disclosures = statement::disclosures(&agent.claims, &salt_key, &agent.agent)?;
            let leaf = Statement::new(agent.agent, number, disclosures.iter().map(|d| d.digest))?
                .leaf_hash();
            let claims = serde_json::to_value(&agent.claims)
                .map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
            let claims = json::canonical(&claims)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| Fault::new(Code::Internal, "claims are not canonical JSON"))?;
            Ok((agent.agent, agent.flow_q48 > 0, claims, leaf))
        })
        .collect::<Result<_, Fault>>()?;
    let (mut edge, mut tiles) = (Edge::default(), Touched::new());
    edge.append(rows.iter().map(|row| row.3), &mut tiles);
    let statements = rows
        .into_iter()
        .map(|(agent, reached, claims, _)| (agent, reached, claims))
        .collect();
    Ok(Computed {
        explained: Explained {
            number,
            policy,
            evidence,
            scores,
        },
        statements,
        tiles,
        score_root: edge.root(),
    })
}
