//! "And with my own trust roots?": the newest epoch once more, with other seeds.

use std::cmp::Reverse;

use goodstanding_score::{evidence::Evidence, policy::Policy, score};
use goodstanding_verify::{claims::State, did::Did};
use serde::Serialize;

use crate::code::Fault;

/// One agent in both views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The agent.
    pub agent: Did,
    /// The log's headline, basis points.
    pub lower_bp: u16,
    /// The headline with the other trust roots.
    pub own_lower_bp: u16,
    /// The log's score, basis points.
    pub score_bp: u16,
    /// The score with the other trust roots.
    pub own_score_bp: u16,
    /// The log's state.
    pub state: State,
    /// The state with the other trust roots.
    pub own_state: State,
}

impl Moved {
    /// By how much the headline moves.
    pub fn by(&self) -> u16 {
        self.lower_bp.abs_diff(self.own_lower_bp)
    }
}

/// Where two sets of trust roots disagree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherView {
    /// The epoch.
    pub epoch: u64,
    /// The trust roots that were used.
    pub seeds: Vec<Did>,
    /// Those of them that trade at all.
    pub taking_part: usize,
    /// Agents scored.
    pub agents: usize,
    /// Agents whose state is another.
    pub state_changes: usize,
    /// Agents whose headline, score or state is another; the largest differences of the headline first.
    pub moved: Vec<Moved>,
}

/// Scores the evidence of an epoch under its own policy and with other seeds.
///
/// # Errors
/// `policy.no_seeds` when none of the seeds takes part.
pub(super) fn compare(
    epoch: u64,
    as_of: u64,
    evidence: &Evidence,
    policy: &Policy,
    mut seeds: Vec<Did>,
) -> Result<OtherView, Fault> {
    seeds.sort_unstable();
    seeds.dedup();
    let own = Policy {
        seeds: seeds.clone(),
        ..policy.clone()
    };
    let taking_part = seeds.iter().filter(|s| evidence.agent(s).is_some()).count();
    let scores = |policy: &Policy| {
        score(evidence, policy, as_of, None)
            .map(|scores| scores.all(evidence, policy))
            .map_err(|e| Fault::from_score(&e))
    };
    let (theirs, mine) = (scores(policy)?, scores(&own)?);
    let pairs = theirs.iter().zip(&mine);
    let mut moved: Vec<Moved> = pairs
        .map(|(theirs, mine)| Moved {
            agent: theirs.agent,
            lower_bp: theirs.claims.lower_bp,
            own_lower_bp: mine.claims.lower_bp,
            score_bp: theirs.claims.score_bp,
            own_score_bp: mine.claims.score_bp,
            state: theirs.claims.state,
            own_state: mine.claims.state,
        })
        .filter(|m| m.by() > 0 || m.score_bp != m.own_score_bp || m.state != m.own_state)
        .collect();
    moved.sort_by_key(|m| (Reverse(m.by()), m.agent));
    Ok(OtherView {
        epoch,
        seeds,
        taking_part,
        agents: mine.len(),
        state_changes: moved.iter().filter(|m| m.state != m.own_state).count(),
        moved,
    })
}
