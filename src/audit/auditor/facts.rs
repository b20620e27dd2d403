//! What the index knows that bears on a window, asked all at once, and the rows that a window leaves in it.

use goodstanding_verify::entry::Body;

use super::Auditor;
use crate::audit::{
    admission::{self, DAY_MS, Facts},
    finding::Failure,
    index::Current,
    window::{Bytes, Checked, Item, Key, cut},
};

/// Bytes of a report's row in the index.
const ROW: usize = 41;

impl Auditor<'_> {
    /// Asks the index everything that the reports of a window depend on.
    pub(super) async fn facts(
        &mut self,
        first: u64,
        items: &[Item],
        sides: &[Key],
    ) -> Result<Facts, Failure> {
        let jtis: Vec<Key> = items.iter().map(|i| checked_key(i, |c| c.jti)).collect();
        let mut facts = Facts {
            jtis: self.index.add_jtis(first, &jtis).await?,
            ..Facts::default()
        };
        let index_of = |place: usize| items.get(place).map(|item| item.index);
        for (place, current) in self.index.sides(sides).await? {
            let remembered = self.index.report_at(current.index).await?;
            if let (Some(index), Some(remembered)) = (index_of(place), remembered) {
                facts.sides.insert(index, remembered);
            }
        }
        let mut documents = Vec::new();
        for item in items {
            if let Some(Bytes::Report(checked)) = &item.body {
                documents.extend(admission::documents(checked));
            }
        }
        for keys in documents.chunks(SMALL_TABLE) {
            facts
                .documents
                .extend(self.index.known_documents(keys).await?);
        }
        if self.recompute {
            let others: Vec<Key> = items
                .iter()
                .map(|i| checked_key(i, |c| c.other_side))
                .collect();
            for (place, current) in self.index.sides(&others).await? {
                if let Some(index) = index_of(place) {
                    let current: Current = current;
                    facts.other_sides.insert(index, current);
                }
            }
            self.count_alone(items, &mut facts).await?;
        }
        Ok(facts)
    }

    async fn count_alone(&mut self, items: &[Item], facts: &mut Facts) -> Result<(), Failure> {
        let mut asked = Vec::new();
        let mut places = Vec::new();
        for item in items {
            if let (
                Body::Report {
                    historical: false, ..
                },
                Some(Bytes::Report(checked)),
            ) = (&item.entry.body, &item.body)
            {
                let reporter = cut(checked.report.iss.key_bytes());
                asked.push((reporter, item.entry.at.saturating_sub(DAY_MS)));
                places.push(item.index);
            }
        }
        if !asked.is_empty() {
            let counts = self.index.count_alone(&asked).await?;
            facts.alone = places.into_iter().zip(counts).collect();
        }
        Ok(())
    }
}

/// Rows that one packed statement takes of what a report can have many of.
pub(super) const SMALL_TABLE: usize = 8192;

fn checked_key(item: &Item, key: impl Fn(&Checked) -> Key) -> Key {
    match &item.body {
        Some(Bytes::Report(checked)) => key(checked),
        _ => Key::default(),
    }
}

/// The index's rows of a window, its sides, and who sold.
pub(super) fn packed(items: &[Item]) -> (Vec<u8>, Vec<Key>, Vec<u8>) {
    let mut rows = Vec::with_capacity(items.len() * ROW);
    let mut sides = Vec::with_capacity(items.len());
    let mut sellers = Vec::with_capacity(items.len());
    for item in items {
        if let Body::Report { id, historical } = item.entry.body {
            rows.extend_from_slice(&id.0);
            rows.extend_from_slice(&item.entry.at.to_be_bytes());
            rows.push(u8::from(historical));
        } else {
            rows.extend_from_slice(&[0; ROW]);
        }
        sides.push(checked_key(item, |c| c.side));
        sellers.push(match &item.body {
            Some(Bytes::Report(checked)) => u8::from(checked.is_seller()),
            _ => 0,
        });
    }
    (rows, sides, sellers)
}
