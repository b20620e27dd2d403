//! Work in parallel by ranges of about equal weight: degrees are skewed, so equal numbers of agents would not be equal work.

use std::ops::Range;

use crate::evidence::wide;

/// Cuts rows into ranges of about `weight` items, at least one row each. `starts[i]..starts[i + 1]` are the items of row `i`; a row
/// counts as one item more.
pub(crate) fn balanced(starts: &[u32], weight: usize) -> Vec<Range<usize>> {
    let rows = starts.len().saturating_sub(1);
    let mut ranges = Vec::new();
    let mut first = 0;
    while first < rows {
        // The first row at which the range is heavy enough; rows and items both only grow.
        let light = |end: usize| wide(starts[end] - starts[first]) + end - first < weight;
        let (mut low, mut high) = (first + 1, rows);
        while low < high {
            let middle = low.midpoint(high);
            if light(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        ranges.push(first..low);
        first = low;
    }
    ranges
}

/// Splits a slice at the ends of contiguous ranges that begin at its start.
pub(crate) fn split<T>(mut slice: &mut [T], lengths: impl Iterator<Item = usize>) -> Vec<&mut [T]> {
    let mut parts = Vec::new();
    for length in lengths {
        let (part, rest) = slice.split_at_mut(length);
        parts.push(part);
        slice = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_all_rows_and_no_heavy_row_shares_its_own() {
        let starts = [0, 0, 5, 5, 1000, 1001, 1002, 1002];
        for weight in [1, 3, 7, 100, 5000] {
            let ranges = balanced(&starts, weight);
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges.last().unwrap().end, 7);
            assert!(ranges.windows(2).all(|w| w[0].end == w[1].start));
            for range in &ranges {
                let items = starts[range.end - 1] - starts[range.start];
                assert!(
                    wide(items) + range.len() - 1 < weight || range.len() == 1,
                    "{range:?}"
                );
            }
        }
        assert!(balanced(&[0], 10).is_empty() && balanced(&[], 10).is_empty());
    }

    #[test]
    fn parts_are_contiguous() {
        let mut numbers = [1, 2, 3, 4, 5, 6];
        let parts = split(&mut numbers, [2, 0, 3].into_iter());
        assert_eq!(parts, [&[1, 2][..], &[], &[3, 4, 5]]);
    }
}
