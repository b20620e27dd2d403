//! The entries themselves: reports by index and id, what was erased, and everything that is no report.

use goodstanding_verify::report::ReportId;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Erased, Index, Remembered, damaged, to_i64, to_u64, unusable};
use crate::code::Fault;

impl Index {
    /// Records the reports of a window: `rows` has 41 bytes for every entry, zeros where it is no report.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::audit) async fn add_reports(
        &mut self,
        first: u64,
        rows: &[u8],
    ) -> Result<(), Fault> {
        let sql = "INSERT INTO reports (idx, row) SELECT ?3 + n, substr(?1, n * 41 + 1, 41) FROM seq \
                   WHERE n < ?2 AND substr(?1, n * 41 + 1, 32) <> zeroblob(32)";
        self.packed(sql, rows, 41, first).await.map(|_| ())
    }

    /// The report with this id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::audit) async fn find(
        &mut self,
        id: &ReportId,
    ) -> Result<Option<Remembered>, Fault> {
        if !self.by_id {
            // Needed only once something was erased, and until then not worth a random write a report.
            self.run("CREATE INDEX reports_id ON reports (substr(row, 1, 32))")
                .await?;
            self.set_meta("by_id", "1").await?;
            self.by_id = true;
        }
        let row = sqlx::query(
            "SELECT idx, row FROM reports WHERE substr(row, 1, 32) = ? ORDER BY idx LIMIT 1",
        )
        .bind(id.0.as_slice())
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|e| unusable(&self.path, &e))?;
        row.as_ref().map(remembered).transpose()
    }

    /// The report of an entry.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::audit) async fn report_at(
        &mut self,
        index: u64,
    ) -> Result<Option<Remembered>, Fault> {
        Ok(self.reports(index, index.saturating_add(1)).await?.pop())
    }

    /// The report entries with index in `start..end`, ascending.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::audit) async fn reports(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Remembered>, Fault> {
        let rows =
            sqlx::query("SELECT idx, row FROM reports WHERE idx >= ? AND idx < ? ORDER BY idx")
                .bind(to_i64(start)?)
                .bind(to_i64(end)?)
                .fetch_all(&mut self.connection)
                .await
                .map_err(|e| unusable(&self.path, &e))?;
        rows.iter().map(remembered).collect()
    }

    /// Records a report whose bytes are gone, or what became known of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::audit) async fn set_erased(&mut self, erased: &Erased) -> Result<(), Fault> {
        let done = sqlx::query(
            "INSERT INTO erased (idx, id, at_ms, entry) VALUES (?, ?, ?, ?) \
             ON CONFLICT (idx) DO UPDATE SET at_ms = coalesce(excluded.at_ms, at_ms), entry = coalesce(excluded.entry, entry)",
        )
        .bind(to_i64(erased.index)?)
        .bind(erased.id.0.as_slice())
        .bind(erased.at_ms.map(to_i64).transpose()?)
        .bind(erased.entry.map(to_i64).transpose()?)
        .execute(&mut self.connection)
        .await;
        done.map(|_| ()).map_err(|e| unusable(&self.path, &e))
    }

    /// Everything that [`Self::set_erased`] recorded.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::audit) async fn erased(&mut self) -> Result<Vec<Erased>, Fault> {
        let rows = sqlx::query("SELECT idx, id, at_ms, entry FROM erased ORDER BY idx")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|e| unusable(&self.path, &e))?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let id: &[u8] = row.get(1);
            Ok(Erased {
                index: to_u64(row.get(0))?,
                id: ReportId(id.try_into().map_err(|_| damaged())?),
                at_ms: row.get::<Option<i64>, _>(2).map(to_u64).transpose()?,
                entry: row.get::<Option<i64>, _>(3).map(to_u64).transpose()?,
                held: false,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Records an entry that is no report.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::audit) async fn add_event(
        &mut self,
        index: u64,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let done = sqlx::query("INSERT INTO events (idx, bytes) VALUES (?, ?)")
            .bind(to_i64(index)?)
            .bind(bytes)
            .execute(&mut self.connection)
            .await;
        done.map(|_| ()).map_err(|e| unusable(&self.path, &e))
    }

    /// All entries that are no reports, ascending.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::audit) async fn events(&mut self) -> Result<Vec<(u64, Vec<u8>)>, Fault> {
        let rows = sqlx::query("SELECT idx, bytes FROM events ORDER BY idx")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|e| unusable(&self.path, &e))?;
        rows.iter()
            .map(|row| Ok((to_u64(row.get(0))?, row.get(1))))
            .collect()
    }
}

fn remembered(row: &SqliteRow) -> Result<Remembered, Fault> {
    let bytes: &[u8] = row.get(1);
    let (id, rest) = bytes.split_first_chunk::<32>().ok_or_else(damaged)?;
    let (at_ms, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    Ok(Remembered {
        index: to_u64(row.get(0))?,
        id: ReportId(*id),
        at_ms: u64::from_be_bytes(*at_ms),
        historical: rest == [1],
    })
}
