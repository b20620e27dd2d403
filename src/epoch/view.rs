//! What of an explanation is shown: the whole, or a page of its contributions.

use goodstanding_score::Explanation;
use serde_json::Value;

use crate::code::{Code, Fault};

/// Most reports in one page: some 4 MB of JSON.
const MOST_REPORTS: usize = 10_000;

/// Where a page of contributions begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The epoch that the page before was of: contributions of another one are other contributions.
    pub epoch: u64,
    /// Reports before it, counted through the contributions in their order.
    pub report: usize,
}

/// Which contributions of an explanation are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All.
    Whole,
    /// At most so many, from the beginning or from where the page before ended.
    Page {
        /// Where the page before ended.
        from: Option<Place>,
        /// At most so many of them.
        contributions: u32,
    },
}

impl View {
    /// The document: the explanation with `epoch` and `contributions_left_out` (how many are not in this answer, not even in part), and where
    /// the next page begins.
    ///
    /// # Errors
    /// `epoch.superseded` for a page that goes on in another epoch than the one before.
    pub(super) fn of(
        self,
        epoch: u64,
        mut explanation: Explanation,
    ) -> Result<(Value, Option<Place>), Fault> {
        let mut next = None;
        if let Self::Page {
            from,
            contributions,
        } = self
        {
            if let Some(place) = from.filter(|place| place.epoch != epoch) {
                let detail = format!(
                    "the page before was of epoch {}, the newest is {epoch}",
                    place.epoch
                );
                return Err(Fault::new(Code::EpochSuperseded, detail));
            }
            let most = usize::try_from(contributions).unwrap_or(usize::MAX);
            let start = from.map_or(0, |place| place.report);
            next = explanation.page(start, most, MOST_REPORTS);
        }
        let shown = u64::try_from(explanation.contributions.len()).unwrap_or(u64::MAX);
        let left_out = explanation.contributions_total.saturating_sub(shown);
        let mut value = serde_json::to_value(explanation)
            .map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        value["epoch"] = epoch.into();
        value["contributions_left_out"] = left_out.into();
        Ok((value, next.map(|report| Place { epoch, report })))
    }
}
