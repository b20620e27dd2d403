//! Jtis, sides of trades, documents and reports on one word alone, by digests cut to 16 bytes.

use std::collections::{HashMap, HashSet};

use super::{Current, Index, to_i64, unusable};
use crate::{audit::window::Key, code::Fault};

impl Index {
    /// Records the jtis of a window, and returns the entries whose jti was there before with the index of the first.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::audit) async fn add_jtis(
        &mut self,
        first: u64,
        keys: &[Key],
    ) -> Result<HashMap<u64, u64>, Fault> {
        let insert = "INSERT OR IGNORE INTO jtis (key, idx) SELECT substr(?1, n * 16 + 1, 16), ?3 + n FROM seq \
                      WHERE n < ?2 AND substr(?1, n * 16 + 1, 16) <> zeroblob(16)";
        let rows = keys.concat();
        let done = sqlx::query(insert)
            .bind(rows.as_slice())
            .bind(to_i64(u64::try_from(keys.len()).unwrap_or(0))?)
            .bind(to_i64(first)?)
            .execute(&mut self.connection)
            .await
            .map_err(|e| unusable(&self.path, &e))?;
        let wanted = keys.iter().filter(|key| **key != Key::default()).count();
        if usize::try_from(done.rows_affected()).ok() == Some(wanted) {
            return Ok(HashMap::new());
        }
        let sql = "SELECT ?3 + n, j.idx FROM seq CROSS JOIN jtis j WHERE n < ?2 AND j.key = substr(?1, n * 16 + 1, 16) \
                   AND j.idx <> ?3 + n";
        let twice = self.packed(sql, &rows, 16, first).await?;
        Ok(twice.into_iter().collect())
    }

    /// The current reports on the sides of a window; by place in `keys`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::audit) async fn sides(
        &mut self,
        keys: &[Key],
    ) -> Result<HashMap<usize, Current>, Fault> {
        let sql = "SELECT n, max(s.report) FROM seq CROSS JOIN sides s WHERE n < ?2 \
                   AND s.key = substr(?1, n * 16 + 1, 16) AND ?3 = 0 GROUP BY n";
        let found = self.packed(sql, &keys.concat(), 16, 0).await?;
        Ok(found
            .into_iter()
            .map(|(n, current)| {
                let current = Current {
                    index: current / 2,
                    seller: current % 2 == 1,
                };
                (usize::try_from(n).unwrap_or(usize::MAX), current)
            })
            .collect())
    }

    /// Records the reports of a window on their sides, which makes them the current ones: `sellers` says which of them sold.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::audit) async fn set_sides(
        &mut self,
        first: u64,
        keys: &[Key],
        sellers: &[u8],
    ) -> Result<(), Fault> {
        let sql = "INSERT OR IGNORE INTO sides (key, report) \
                   SELECT substr(?1, n * 17 + 1, 16), 2 * (?3 + n) + (substr(?1, n * 17 + 17, 1) = x'01') FROM seq \
                   WHERE n < ?2 AND substr(?1, n * 17 + 1, 16) <> zeroblob(16)";
        let mut rows = Vec::with_capacity(keys.len() * 17);
        for (key, seller) in keys.iter().zip(sellers) {
            rows.extend_from_slice(key);
            rows.push(*seller);
        }
        self.packed(sql, &rows, 17, first).await.map(|_| ())
    }

    /// Which of these documents came before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::audit) async fn known_documents(
        &mut self,
        keys: &[Key],
    ) -> Result<HashSet<Key>, Fault> {
        let sql = "SELECT n, 0 FROM seq WHERE n < ?2 AND ?3 = 0 AND EXISTS (SELECT 1 FROM documents \
                   WHERE key >= substr(?1, n * 16 + 1, 16) AND key <= substr(?1, n * 16 + 1, 16) || x'ffffffffffffffff')";
        let found = self.packed(sql, &keys.concat(), 16, 0).await?;
        let key = |(n, _): (u64, u64)| keys.get(usize::try_from(n).ok()?).copied();
        Ok(found.into_iter().filter_map(key).collect())
    }

    /// Records documents and the indices of the reports that brought them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::audit) async fn add_documents(
        &mut self,
        documents: &[(Key, u64)],
    ) -> Result<(), Fault> {
        let sql = "INSERT OR IGNORE INTO documents (key) SELECT substr(?1, n * 24 + 1, 24) FROM seq WHERE n < ?2 AND ?3 = 0";
        let mut rows = Vec::with_capacity(documents.len() * 24);
        for (key, index) in documents {
            rows.extend_from_slice(key);
            rows.extend_from_slice(&index.to_be_bytes());
        }
        self.packed(sql, &rows, 24, 0).await.map(|_| ())
    }

    /// Forgets everything about a report that only its bytes told. Whoever comes later cannot know it, and the log does not
    /// go by it any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::audit) async fn forget(&mut self, index: u64) -> Result<(), Fault> {
        if !self.by_place {
            for sql in [
                "CREATE INDEX jtis_place ON jtis (idx)",
                "CREATE INDEX sides_place ON sides (report)",
                "CREATE INDEX documents_place ON documents (substr(key, 17, 8))",
                "CREATE INDEX alone_place ON alone (substr(key, 25, 8))",
            ] {
                self.run(sql).await?;
            }
            self.set_meta("by_place", "1").await?;
            self.by_place = true;
        }
        let number = to_i64(index)?;
        let place = index.to_be_bytes();
        let deletes = [
            sqlx::query("DELETE FROM jtis WHERE idx = ?").bind(number),
            sqlx::query("DELETE FROM sides WHERE report >= 2 * ?1 AND report <= 2 * ?1 + 1")
                .bind(number),
            sqlx::query("DELETE FROM documents WHERE substr(key, 17, 8) = ?").bind(&place[..]),
            sqlx::query("DELETE FROM alone WHERE substr(key, 25, 8) = ?").bind(&place[..]),
        ];
        for delete in deletes {
            let done = delete.execute(&mut self.connection).await;
            done.map_err(|e| unusable(&self.path, &e))?;
        }
        Ok(())
    }

    /// How many reports on its word alone each reporter has since a log time (Unix milliseconds); one answer each.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::audit) async fn count_alone(
        &mut self,
        asked: &[(Key, u64)],
    ) -> Result<Vec<u64>, Fault> {
        let sql = "SELECT n, (SELECT count(*) FROM alone WHERE key >= substr(?1, n * 24 + 1, 24) \
                   AND key < substr(?1, n * 24 + 1, 16) || x'ffffffffffffffff') FROM seq WHERE n < ?2 AND ?3 = 0 ORDER BY n";
        let mut rows = Vec::with_capacity(asked.len() * 24);
        for (reporter, since_ms) in asked {
            rows.extend_from_slice(reporter);
            rows.extend_from_slice(&since_ms.to_be_bytes());
        }
        let counts = self.packed(sql, &rows, 24, 0).await?;
        Ok(counts.into_iter().map(|(_, count)| count).collect())
    }

    /// Records reports on their reporters' word alone: reporter, log time (Unix milliseconds), index.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::audit) async fn add_alone(
        &mut self,
        alone: &[(Key, u64, u64)],
    ) -> Result<(), Fault> {
        let sql = "INSERT OR IGNORE INTO alone (key) SELECT substr(?1, n * 32 + 1, 32) FROM seq WHERE n < ?2 AND ?3 = 0";
        let mut rows = Vec::with_capacity(alone.len() * 32);
        for (reporter, at_ms, index) in alone {
            rows.extend_from_slice(reporter);
            rows.extend_from_slice(&at_ms.to_be_bytes());
            rows.extend_from_slice(&index.to_be_bytes());
        }
        self.packed(sql, &rows, 32, 0).await.map(|_| ())
    }
}
