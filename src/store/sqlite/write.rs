//! The writer's side: one IMMEDIATE transaction a commit, multi-row statements, compare-and-swap on the head.

use std::collections::{BTreeSet, HashMap};

use goodstanding_verify::did::Did;
use sqlx::{Connection as _, QueryBuilder, Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::{
    SqliteStore, erase::erase, staging::take_staged, storable, to_i64, tree_number, unavailable,
};
use crate::{
    log::tree::{Tile, TileId},
    store::{
        Commit, Error, Head, IssuedToken, NewEpoch, NewReport, Tree, convert::storable_commit,
    },
};

/// Rows of one multi-row statement; with at most ten bindings a row this stays far below SQLite's 32,766.
pub(super) const ROWS: usize = 1000;

impl SqliteStore {
    /// Does `work` as one durable transaction, or nothing of it.
    ///
    /// A connection on which something failed is closed. SQLite has rolled back by itself when the disk is full or the
    /// device fails, and sqlx 0.9.0 then still counts an open transaction and refuses every later one.
    pub(super) async fn transaction(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await.map_err(unavailable)?;
        let done = async {
            // IMMEDIATE: a deferred transaction that becomes a writer later gets SQLITE_BUSY at once, without the busy timeout.
            let begun = connection.begin_with("BEGIN IMMEDIATE").await;
            let mut tx = begun.map_err(unavailable)?;
            work(&mut tx).await?;
            tx.commit().await.map_err(unavailable)
        }
        .await;
        if done.is_err()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "closing a connection that failed");
        }
        done
    }

    pub(super) async fn write_commit(&self, commit: &Commit) -> Result<(), Error> {
        storable_commit(commit)?;
        self.transaction(async |tx| apply(tx, commit).await).await
    }

    pub(super) async fn confirm_head(&self, head: &Head) -> Result<(), Error> {
        let size = to_i64(head.size)?;
        self.transaction(async |tx| {
            let done =
                sqlx::query("UPDATE head SET size = ? WHERE one = 1 AND size = ? AND root = ?")
                    .bind(size)
                    .bind(size)
                    .bind(head.root.as_slice())
                    .execute(&mut *tx)
                    .await
                    .map_err(unavailable)?;
            match done.rows_affected() {
                1 => Ok(()),
                _ => Err(Error::HeadMoved),
            }
        })
        .await
    }

    pub(super) async fn write_aliases(&self, aliases: &[(String, Did)]) -> Result<(), Error> {
        self.transaction(async |tx| {
            intern_agents(tx, &aliases.iter().map(|(_, did)| *did).collect()).await?;
            for (alias, did) in aliases {
                sqlx::query("UPDATE agents SET alias = ? WHERE key = ? AND alias IS NOT ?")
                    .bind(storable(alias)?)
                    .bind(did.key_bytes().as_slice())
                    .bind(alias)
                    .execute(&mut *tx)
                    .await
                    .map_err(unavailable)?;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn write_token(&self, token: &IssuedToken) -> Result<bool, Error> {
        let done = sqlx::query(
            "INSERT INTO tokens (list, idx, agent, epoch, iat, exp) \
             SELECT ?, ?, id, ?, ?, ? FROM agents WHERE key = ? ON CONFLICT (list, idx) DO NOTHING",
        )
        .bind(to_i64(token.list)?)
        .bind(to_i64(token.idx)?)
        .bind(to_i64(token.epoch)?)
        .bind(to_i64(token.iat)?)
        .bind(to_i64(token.exp)?)
        .bind(token.agent.key_bytes().as_slice())
        .execute(&self.writer)
        .await
        .map_err(unavailable)?;
        Ok(done.rows_affected() == 1)
    }
}

/// Everything that a commit changes.
async fn apply(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    swap_head(tx, commit).await?;
    for chunk in commit.entries.chunks(ROWS) {
        let mut rows = Vec::with_capacity(chunk.len());
        for entry in chunk {
            rows.push((to_i64(entry.index)?, to_i64(entry.at_ms)?, entry));
        }
        QueryBuilder::<Sqlite>::new("INSERT INTO entries (idx, at_ms, kind, bytes) ")
            .push_values(rows, |mut row, (index, at_ms, entry)| {
                row.push_bind(index)
                    .push_bind(at_ms)
                    .push_bind(entry.kind)
                    .push_bind(entry.bytes.as_slice());
            })
            .build()
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
    }
    let agents = commit.reports.iter().flat_map(|r| [r.reporter, r.subject]);
    let agents = intern_agents(tx, &agents.collect()).await?;
    for chunk in commit.reports.chunks(ROWS) {
        insert_reports(tx, chunk, &agents).await?;
    }
    for (tree, id, tile) in &commit.tiles {
        insert_tile(tx, *tree, *id, tile).await?;
    }
    if let Some(epoch) = &commit.epoch {
        insert_epoch(tx, epoch).await?;
    }
    if let Some(erasure) = &commit.erasure {
        erase(tx, erasure).await?;
    }
    Ok(())
}

async fn swap_head(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    let head = &commit.head;
    let (size, at_ms) = (to_i64(head.size)?, to_i64(head.at_ms)?);
    let query = match &commit.expected {
        None => sqlx::query("INSERT INTO head (one, size, root, at_ms, note) VALUES (1, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(size)
            .bind(head.root.as_slice())
            .bind(at_ms)
            .bind(&head.note),
        Some((old_size, old_root)) => {
            sqlx::query("UPDATE head SET size = ?, root = ?, at_ms = ?, note = ? WHERE one = 1 AND size = ? AND root = ?")
                .bind(size)
                .bind(head.root.as_slice())
                .bind(at_ms)
                .bind(&head.note)
                .bind(to_i64(*old_size)?)
                .bind(old_root.as_slice())
        }
    };
    let done = query.execute(&mut *tx).await.map_err(unavailable)?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::HeadMoved)
    }
}

/// Row numbers of agents, by their keys.
pub(super) type AgentIds = HashMap<[u8; 32], i64>;

/// The numbers of these agents; those that are new get one.
///
/// The rows that name them bind the numbers: a sub-select for each would be a cursor of its own, hundreds of them open at a
/// time, and SQLite looks through all open cursors for each that it opens.
pub(super) async fn intern_agents(
    tx: &mut SqliteConnection,
    agents: &BTreeSet<Did>,
) -> Result<AgentIds, Error> {
    let mut ids = AgentIds::with_capacity(agents.len());
    let agents: Vec<_> = agents.iter().collect();
    for chunk in agents.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT key, id FROM agents WHERE key IN (");
        let mut list = query.separated(", ");
        for did in chunk {
            list.push_bind(did.key_bytes().as_slice());
        }
        query.push(")");
        read_ids(
            &mut ids,
            &query
                .build()
                .fetch_all(&mut *tx)
                .await
                .map_err(unavailable)?,
        )?;
        let new: Vec<_> = chunk
            .iter()
            .filter(|did| !ids.contains_key(did.key_bytes()))
            .collect();
        if !new.is_empty() {
            let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO agents (key) ");
            query
                .push_values(new, |mut row, did| {
                    row.push_bind(did.key_bytes().as_slice());
                })
                .push(" RETURNING key, id");
            read_ids(
                &mut ids,
                &query
                    .build()
                    .fetch_all(&mut *tx)
                    .await
                    .map_err(unavailable)?,
            )?;
        }
    }
    Ok(ids)
}

fn read_ids(ids: &mut AgentIds, rows: &[SqliteRow]) -> Result<(), Error> {
    for row in rows {
        ids.insert(super::bytes32(row.get(0))?, row.get(1));
    }
    Ok(())
}

pub(super) fn number(ids: &AgentIds, agent: &Did) -> Result<i64, Error> {
    let missing = || Error::Corrupt(format!("agent {agent} has no number"));
    ids.get(agent.key_bytes()).copied().ok_or_else(missing)
}

async fn insert_reports(
    tx: &mut SqliteConnection,
    reports: &[NewReport],
    agents: &AgentIds,
) -> Result<(), Error> {
    let markets: BTreeSet<&str> = reports.iter().map(|r| r.market.as_str()).collect();
    QueryBuilder::<Sqlite>::new("INSERT INTO markets (name) ")
        .push_values(&markets, |mut row, name| {
            row.push_bind(*name);
        })
        .push(" ON CONFLICT (name) DO NOTHING")
        .build()
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    let mut query = QueryBuilder::<Sqlite>::new("SELECT name, id FROM markets WHERE name IN (");
    let mut list = query.separated(", ");
    for name in &markets {
        list.push_bind(*name);
    }
    query.push(")");
    let rows = query
        .build()
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
    let markets = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let known = Known { agents, markets };
    // One statement for reports that supersede nothing; the others one by one, so that the unique index of current reports
    // never sees two of them, also when one batch supersedes within itself.
    let mut start = 0;
    for (i, report) in reports.iter().enumerate() {
        if let Some(old) = report.supersedes {
            insert_plain(tx, &reports[start..i], &known).await?;
            sqlx::query(
                "UPDATE reports SET superseded_by = ? WHERE idx = ? AND superseded_by IS NULL",
            )
            .bind(to_i64(report.index)?)
            .bind(to_i64(old)?)
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
            start = i;
        }
    }
    insert_plain(tx, &reports[start..], &known).await
}

/// Numbers of what the reports of a batch name.
struct Known<'a> {
    agents: &'a AgentIds,
    markets: HashMap<String, i64>,
}

async fn insert_plain(
    tx: &mut SqliteConnection,
    reports: &[NewReport],
    known: &Known<'_>,
) -> Result<(), Error> {
    if reports.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(reports.len());
    for report in reports {
        let missing = || Error::Corrupt(format!("market {} has no number", report.market));
        let numbers = [
            to_i64(report.index)?,
            to_i64(report.at_ms)?,
            number(known.agents, &report.reporter)?,
            number(known.agents, &report.subject)?,
            known
                .markets
                .get(&report.market)
                .copied()
                .ok_or_else(missing)?,
        ];
        rows.push((numbers, report));
    }
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO reports (idx, id, at_ms, reporter, subject, market, trade_id, role, jti, historical, alone) ",
    );
    query
        .push_values(&rows, |mut row, (numbers, report)| {
            let [index, at_ms, reporter, subject, market] = numbers;
            row.push_bind(index)
                .push_bind(report.id.0.as_slice())
                .push_bind(at_ms)
                .push_bind(reporter)
                .push_bind(subject)
                .push_bind(market)
                .push_bind(report.trade_id.as_str())
                .push_bind(super::role_number(report.role))
                .push_bind(report.jti.as_str());
            row.push_bind(report.historical).push_bind(report.alone);
        })
        .build()
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    for ([index, ..], report) in &rows {
        for sha256 in &report.documents {
            sqlx::query("INSERT INTO documents (sha256, idx) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(sha256.as_slice())
                .bind(index)
                .execute(&mut *tx)
                .await
                .map_err(unavailable)?;
        }
    }
    QueryBuilder::<Sqlite>::new("INSERT INTO bodies (idx, jws) ")
        .push_values(&rows, |mut row, ([index, ..], report)| {
            row.push_bind(index).push_bind(report.jws.as_str());
        })
        .build()
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    Ok(())
}

async fn insert_epoch(tx: &mut SqliteConnection, epoch: &NewEpoch) -> Result<(), Error> {
    sqlx::query("INSERT INTO epochs (number, idx, salt_key) VALUES (?, ?, ?)")
        .bind(to_i64(epoch.number)?)
        .bind(to_i64(epoch.index)?)
        .bind(epoch.salt_key.as_slice())
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    take_staged(tx, epoch).await
}

pub(super) async fn insert_tile(
    tx: &mut SqliteConnection,
    tree: Tree,
    id: TileId,
    tile: &Tile,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO tiles (tree, level, n, hashes) VALUES (?, ?, ?, ?) \
         ON CONFLICT (tree, level, n) DO UPDATE SET hashes = excluded.hashes",
    )
    .bind(tree_number(tree)?)
    .bind(i64::from(id.level))
    .bind(to_i64(id.n)?)
    .bind(tile.concat())
    .execute(tx)
    .await
    .map_err(unavailable)?;
    Ok(())
}
