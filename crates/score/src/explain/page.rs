//! A part of an explanation: an agent may have a million reports, and nobody wants them in one piece.

use super::Explanation;

impl Explanation {
    /// Leaves the contributions of one page, with their reports; everything else, sums and totals included, is about all of them.
    ///
    /// `from` counts reports, through the contributions in their order and through the reports of each: 0 for the first page, then
    /// what the page before returned. A page ends after `contributions` of them or after `reports` reports (at least one each), so
    /// a contribution of many reports goes on in the next page. Returns where that begins, `None` after the last.
    pub fn page(&mut self, from: usize, contributions: usize, reports: usize) -> Option<usize> {
        let (mut skip, mut room) = (from, reports.max(1));
        let mut next = from;
        let mut kept = Vec::new();
        let mut more = false;
        for mut contribution in std::mem::take(&mut self.contributions) {
            let len = contribution.reports.len();
            if skip >= len {
                skip -= len;
                continue;
            }
            if room == 0 || kept.len() == contributions.max(1) {
                more = true;
                break;
            }
            contribution.reports.drain(..std::mem::take(&mut skip));
            more = contribution.reports.len() > room;
            contribution.reports.truncate(room);
            room -= contribution.reports.len();
            next += contribution.reports.len();
            kept.push(contribution);
        }
        self.contributions = kept;
        more.then_some(next)
    }
}
