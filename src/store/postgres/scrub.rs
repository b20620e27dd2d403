//! Taking erased rows out of the tables' files, as far as PostgreSQL can.
//!
//! A deleted row stays in its page, out of everybody's sight, until `VACUUM` takes it out, and it stays for as long as a
//! transaction somewhere could still see it; statistics have values of it until the next `ANALYZE`. `VACUUM` may read whole indexes, which takes minutes in a large database: it
//! runs on a connection of its own, beside the writer. What it cannot reach (the free space of a page until that is used again, the
//! write-ahead log and its archive, replicas) is in docs/OPERATIONS.md.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sqlx::{
    Row as _,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{sync::Mutex, task::JoinSet, time::Instant};

use super::{
    PostgresStore,
    session::{self, Failure},
    sql,
};
use crate::store::Error;

/// Where an erasure deletes, and where reports travel. Bodies come first: nothing but erasures deletes there, so if no dead row is left
/// in them, the same transaction's rows could go from the tables after them as well. The planner's statistics are collected anew: they
/// are made of values, and keep those of rows that are gone.
const VACUUM: [&str; 6] = [
    "VACUUM (INDEX_CLEANUP ON, ANALYZE) bodies",
    "VACUUM (INDEX_CLEANUP ON, ANALYZE) documents",
    "VACUUM (INDEX_CLEANUP ON, ANALYZE) reports",
    "VACUUM (INDEX_CLEANUP ON, ANALYZE) markets",
    "VACUUM (INDEX_CLEANUP ON, ANALYZE) agents",
    "VACUUM (INDEX_CLEANUP ON, ANALYZE) inbox",
];
pub(super) const TABLES: [&str; 6] = [
    "bodies",
    "documents",
    "reports",
    "markets",
    "agents",
    "inbox",
];
/// What the writer waits for an answer before it goes on and asks again.
const PATIENCE: Duration = Duration::from_millis(500);
/// After a run that could not remove everything, this many times its duration is waited before the next.
const REST: u32 = 20;
/// Before PostgreSQL 15 the statistics come a moment later.
const STATISTICS: (u32, Duration) = (10, Duration::from_millis(100));

/// What is known of erased rows that may still be in the files.
#[derive(Debug, Default)]
pub(super) struct Scrubbing {
    /// Erasures that this process committed.
    erasures: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// At most one.
    runs: JoinSet<Result<Vacuumed, Error>>,
    /// How many erasures the newest run has seen committed, and when it began.
    of: u64,
    began: Option<Instant>,
    /// A time of the server after which so many erasures were committed, and no further one.
    since: Option<(u64, String)>,
    not_before: Option<Instant>,
}

/// What a run found afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vacuumed {
    /// Tables vacuumed, and analyzed, since the erasure.
    tables: i64,
    /// Deleted bodies that somebody may still see.
    dead_bodies: i64,
    /// Tables that this role may vacuum.
    allowed: i64,
}

impl Vacuumed {
    fn complete(self) -> bool {
        i64::try_from(TABLES.len()).is_ok_and(|all| self.tables == all) && self.dead_bodies == 0
    }

    fn may(self) -> bool {
        i64::try_from(TABLES.len()).is_ok_and(|all| self.allowed == all)
    }
}

impl PostgresStore {
    /// Another erasure was committed: what ran before does not count for it.
    pub(super) fn erasure_committed(&self) {
        self.scrubbing.erasures.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether erased rows are out of the tables; works on it if not.
    pub(super) async fn scrubbed(&self) -> Result<bool, Error> {
        let mut state = self.scrubbing.state.lock().await;
        let erasures = self.scrubbing.erasures.load(Ordering::SeqCst);
        if state.runs.is_empty() {
            if state.not_before.is_some_and(|at| Instant::now() < at) {
                return Ok(false);
            }
            let since = match &state.since {
                Some((of, since)) if *of == erasures => since.clone(),
                _ => {
                    let row = session::one(&self.writer, sqlx::query(sql::NOW)).await?;
                    let since: String = row.get(0);
                    state.since = Some((erasures, since.clone()));
                    since
                }
            };
            (state.of, state.began) = (erasures, Some(Instant::now()));
            let options = self.options.clone();
            state.runs.spawn(vacuum(options, since));
        }
        let Ok(Some(done)) = tokio::time::timeout(PATIENCE, state.runs.join_next()).await else {
            return Ok(false);
        };
        let took = state.began.map(|began| began.elapsed());
        state.not_before = took.map(|took| Instant::now() + took * REST);
        let vacuumed = done.map_err(|error| Error::Unavailable(error.to_string()))??;
        if !vacuumed.may() {
            tracing::warn!(
                "this role may not vacuum the tables it erased from; their owner has to, or autovacuum will"
            );
        }
        let gone = vacuumed.complete() && state.of == erasures;
        if gone {
            state.not_before = None;
        }
        Ok(gone)
    }

    /// Begins where a process left off that ended between an erasure and its scrubbing.
    pub(super) async fn resume_scrubbing(&self) -> Result<(), Error> {
        let unscrubbed = sqlx::query(sql::UNSCRUBBED).bind(TABLES.as_slice());
        let row = session::one(&self.writer, unscrubbed).await?;
        if row.get(0) {
            let row = session::one(&self.writer, sqlx::query(sql::NOW)).await?;
            let mut state = self.scrubbing.state.lock().await;
            state.began = Some(Instant::now());
            state.runs.spawn(vacuum(self.options.clone(), row.get(0)));
        }
        Ok(())
    }

    pub(super) async fn stop_scrubbing(&self) {
        self.scrubbing.state.lock().await.runs.shutdown().await;
    }
}

/// One run over all tables, if the role may.
async fn vacuum(options: PgConnectOptions, since: String) -> Result<Vacuumed, Error> {
    let mut connection = session::connect(&options).await?;
    let found = look(&mut connection, &since).await?;
    if !found.may() {
        return Ok(found);
    }
    sqlx::query("SELECT set_config('statement_timeout', '0', false)")
        .execute(&mut connection)
        .await
        .map_err(Failure::from)?;
    for vacuum in VACUUM {
        sqlx::query(vacuum)
            .execute(&mut connection)
            .await
            .map_err(Failure::from)?;
    }
    let (times, pause) = STATISTICS;
    for _ in 0..times {
        let found = look(&mut connection, &since).await?;
        if found.complete() {
            return Ok(found);
        }
        if usize::try_from(found.tables) == Ok(TABLES.len()) {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    look(&mut connection, &since).await
}

async fn look(connection: &mut PgConnection, since: &str) -> Result<Vacuumed, Error> {
    let row = sqlx::query(sql::VACUUMED)
        .bind(TABLES.as_slice())
        .bind(since)
        .fetch_one(connection)
        .await
        .map_err(Failure::from)?;
    Ok(Vacuumed {
        tables: row.get(0),
        dead_bodies: row.get(1),
        allowed: row.get(2),
    })
}
