//! From evidence to statements and their tree: pure, and the same on every machine.
//!
//! Statements are made in chunks, each in parallel, and handed on before the next is begun: a million of them are a gigabyte.

use std::{ops::Range, sync::Arc};

use goodstanding_score::{
    AgentScore,
    evidence::{Evidence, Ledger},
    policy::Policy,
    score,
};
use goodstanding_verify::{did::Did, merkle::Hash, statement::Sealer};
use rayon::prelude::*;

use super::Explained;
use crate::{
    code::Fault,
    log::tree::{Edge, Touched},
    store::Staged,
};

/// Statements made at a time.
pub(crate) const CHUNK: usize = 8192;

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

/// What decides an epoch's statements beside its evidence and its policy.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Epoch number.
    pub number: u64,
    /// The time that its scores are of, Unix seconds.
    pub as_of: u64,
    /// `K_epoch`.
    pub salt_key: [u8; 32],
    /// Erasure entries of the prefix. Whom the erased reports were about is gone with them, so the total is all that is still a
    /// function of the log, and every statement carries it.
    pub erased: u64,
}

/// One agent's statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The agent.
    pub agent: Did,
    /// Whether flow reached it.
    pub reached: bool,
    /// Its claims as JCS.
    pub claims: String,
    /// Its leaf of the score tree.
    pub leaf: Hash,
}

/// Computes epoch `number` at `as_of` (Unix seconds) from the reports of a log prefix.
///
/// # Errors
/// `policy.no_seeds` when no trust root takes part.
pub fn compute(
    number: u64,
    as_of: u64,
    reports: Ledger,
    policy: Policy,
    salt_key: [u8; 32],
    erased: u64,
) -> Result<Computed, Fault> {
    let evidence = reports.into_evidence(&policy);
    let terms = Terms {
        number,
        as_of,
        salt_key,
        erased,
    };
    from_evidence(terms, evidence, policy)
}

/// [`compute`] for a caller that keeps its reports.
///
/// # Errors
/// As [`compute`].
pub fn from_evidence(terms: Terms, evidence: Evidence, policy: Policy) -> Result<Computed, Fault> {
    let explained = scored(&terms, evidence, policy)?;
    let (mut edge, mut tiles) = (Edge::default(), Touched::new());
    let mut statements = Vec::with_capacity(explained.scores.len());
    for chunk in Chunks::new(&explained, &terms)? {
        let chunk = chunk?;
        edge.append(chunk.iter().map(|row| row.leaf), &mut tiles);
        statements.extend(chunk.into_iter().map(|r| (r.agent, r.reached, r.claims)));
    }
    Ok(Computed {
        score_root: edge.root(),
        explained,
        statements,
        tiles,
    })
}

/// The scores of an epoch, and none of its statements yet.
///
/// # Errors
/// As [`compute`].
pub fn scored(terms: &Terms, evidence: Evidence, policy: Policy) -> Result<Explained, Fault> {
    let scores = score(&evidence, &policy, terms.as_of, None).map_err(|e| Fault::from_score(&e))?;
    Ok(Explained {
        number: terms.number,
        policy,
        evidence,
        scores,
    })
}

/// Root of the score tree of a scored epoch.
///
/// # Errors
/// As those of [`Chunks`].
pub fn root(explained: &Explained, terms: &Terms) -> Result<Hash, Fault> {
    let (mut edge, mut tiles) = (Edge::default(), Touched::new());
    for chunk in Chunks::new(explained, terms)? {
        edge.append(chunk?.iter().map(|row| row.leaf), &mut tiles);
        tiles.clear();
    }
    Ok(edge.root())
}

/// An epoch's rows on their way to the store: as [`Chunks`], with the tiles of the score tree beside the statements.
#[derive(Debug)]
pub(super) struct Making {
    explained: Arc<Explained>,
    terms: Terms,
    edge: Edge,
}

impl Making {
    /// Of a scored epoch, from its first leaf.
    ///
    /// # Errors
    /// `statement.malformed` for epoch 0.
    pub(super) fn new(explained: Arc<Explained>, terms: Terms) -> Result<Self, Fault> {
        Chunks::new(&explained, &terms)?;
        Ok(Self {
            explained,
            terms,
            edge: Edge::default(),
        })
    }

    /// The next chunk; `None` behind the last one.
    ///
    /// # Errors
    /// `claims.malformed` when a number of a claim is beyond 2^53−1.
    pub(super) fn next_part(&mut self) -> Result<Option<Staged>, Fault> {
        let leaf = self.edge.size();
        let mut chunks = Chunks::new(&self.explained, &self.terms)?;
        chunks.next = usize::try_from(leaf).unwrap_or(usize::MAX);
        let Some(rows) = chunks.next().transpose()? else {
            return Ok(None);
        };
        let mut tiles = Touched::new();
        self.edge
            .append(rows.iter().map(|row| row.leaf), &mut tiles);
        let statements = rows.into_iter().map(|r| (r.agent, r.reached, r.claims));
        Ok(Some(Staged {
            epoch: self.terms.number,
            leaf,
            statements: statements.collect(),
            tiles,
        }))
    }

    /// Statements made so far.
    pub(super) fn statements(&self) -> u64 {
        self.edge.size()
    }

    /// Root of the score tree over them.
    pub(super) fn root(&self) -> Hash {
        self.edge.root()
    }
}

/// The statements of an epoch in leaf order, a chunk at a time; what is not asked for is not made. Going through them again makes
/// the same ones again.
#[derive(Debug)]
pub struct Chunks<'a> {
    explained: &'a Explained,
    terms: &'a Terms,
    sealer: Sealer,
    next: usize,
}

impl<'a> Chunks<'a> {
    /// Those of a scored epoch.
    ///
    /// # Errors
    /// `statement.malformed` for epoch 0.
    pub fn new(explained: &'a Explained, terms: &'a Terms) -> Result<Self, Fault> {
        Ok(Self {
            explained,
            terms,
            sealer: Sealer::new(&terms.salt_key, terms.number)?,
            next: 0,
        })
    }

    fn rows(&self, agents: Range<usize>) -> Result<Vec<Row>, Fault> {
        let Explained {
            policy,
            evidence,
            scores,
            ..
        } = self.explained;
        let scored = scores.range(evidence, policy, agents);
        seal(scored, &self.sealer, self.terms.erased)
    }
}

/// The statements of scored agents, made in parallel, in their order.
///
/// # Errors
/// `claims.malformed` when a number of a claim is beyond 2^53−1.
pub(crate) fn seal(
    scored: Vec<AgentScore>,
    sealer: &Sealer,
    erased: u64,
) -> Result<Vec<Row>, Fault> {
    scored
        .into_par_iter()
        .with_min_len(64)
        .map_init(
            || sealer.clone(),
            |sealer, mut score| {
                score.claims.erased_reports = erased;
                let sealed = sealer.seal(&score.claims, &score.agent)?;
                Ok(Row {
                    agent: score.agent,
                    reached: score.flow_q48 > 0,
                    claims: sealed.claims,
                    leaf: sealed.leaf,
                })
            },
        )
        .collect()
}

impl Iterator for Chunks<'_> {
    type Item = Result<Vec<Row>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let agents = self.next..self.explained.scores.len().min(self.next + CHUNK);
        self.next = agents.end;
        (!agents.is_empty()).then(|| self.rows(agents))
    }
}
