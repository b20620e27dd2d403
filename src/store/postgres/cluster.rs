//! Several processes on one database: the lead by an advisory lock, turns by number, jobs by a table and `NOTIFY`.
//!
//! A process that is killed loses the lock with its connections, at once. One that is stopped or cut off keeps it, so whoever
//! finds the lock taken and the newest turn silent ends that process's connections, all of them: they carry its name. What the
//! other does when it wakes up finds no connection, and on a new one its turn is over: every writing transaction shares the
//! key of the turn's row, and taking over changes that key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use goodstanding_verify::b64;
use sqlx::{
    Connection as _, PgPool, Row as _,
    postgres::{PgConnectOptions, PgConnection, PgListener, PgRow},
};
use tokio::{
    sync::{Mutex, Notify},
    task::JoinSet,
};

use super::{
    PostgresStore,
    session::{self, Durability, Failure, Held, Purpose, in_time, pool},
    sql,
};
use crate::{
    log::{moved, tenure::COPY},
    store::{
        Error,
        cluster::{Cluster, MOST_JOB, Term, Ticket, Turn, Waiting},
        convert::{to_i64, to_u64},
    },
};

/// Connections for jobs and answers.
const DESK: u32 = 4;
/// What a listener waits before it connects again.
const AGAIN: Duration = Duration::from_secs(1);

/// A process's part in it.
#[derive(Debug)]
pub(super) struct Desk {
    pool: PgPool,
    /// Every connection of this process has it.
    application: String,
    /// The turn that writes belong to; 0: none was ever taken, and whoever writes is alone (a migration, a test).
    term: AtomicI64,
    /// The connection that holds the lead.
    lead: Mutex<Option<PgConnection>>,
    news: Arc<Notify>,
    listening: Mutex<JoinSet<()>>,
}

/// A name for this process's connections that no other process has.
pub(super) fn application_name() -> Result<String, Error> {
    Ok(format!("goodstanding-{}", random()?))
}

fn random() -> Result<String, Error> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|e| Error::Unavailable(format!("no random bytes: {e}")))?;
    Ok(b64::url_encode(bytes))
}

impl Desk {
    pub(super) fn new(options: &PgConnectOptions, application: String) -> Self {
        Self {
            pool: pool(DESK, Purpose::Passing).connect_lazy_with(options.clone()),
            application,
            term: AtomicI64::new(0),
            lead: Mutex::default(),
            news: Arc::default(),
            listening: Mutex::default(),
        }
    }

    /// Lets a transaction that has begun go on only while this process's turn lasts.
    pub(super) async fn fence(&self, tx: &mut Held) -> Result<(), Failure> {
        let term = self.term.load(Ordering::Acquire);
        if term == 0 {
            return Ok(());
        }
        let shared = tx.optional(sqlx::query(sql::SHARE_TURN).bind(term)).await?;
        match shared {
            Some(_) => Ok(()),
            None => Err(Error::Deposed.into()),
        }
    }

    pub(super) async fn close(&self) {
        self.listening.lock().await.shutdown().await;
        if let Some(lead) = self.lead.lock().await.take() {
            let _ = lead.close().await;
        }
        self.pool.close().await;
    }

    /// Wakes whoever waits, at every notification and whenever some may have been missed.
    async fn listen(&self, options: &PgConnectOptions) {
        let mut listening = self.listening.lock().await;
        if !listening.is_empty() {
            return;
        }
        let (options, news) = (options.clone(), self.news.clone());
        listening.spawn(async move {
            let own = pool(1, Purpose::Reading).connect_lazy_with(options);
            loop {
                let heard = async {
                    let channel: String = sqlx::query_scalar(sql::CHANNEL).fetch_one(&own).await?;
                    let mut listener = PgListener::connect_with(&own).await?;
                    listener.listen(&channel).await?;
                    loop {
                        news.notify_one();
                        listener.recv().await?;
                    }
                };
                let ended: Result<std::convert::Infallible, sqlx::Error> = heard.await;
                let Err(error) = ended;
                tracing::debug!(%error, "notifications are not heard at the moment");
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn turn(row: &PgRow) -> Result<Turn, Error> {
    Ok(Turn {
        term: to_u64(row.get(0))?,
        name: row.get(1),
        holder: row.get(2),
        since_ms: to_u64(row.get(3))?,
    })
}

/// Host and process, for people.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {}", host.trim(), std::process::id())
        .trim()
        .to_owned()
}

impl PostgresStore {
    /// Takes the lead of a database also when it is marked as one that nobody may write to: whoever moves it has to keep
    /// everybody else away.
    ///
    /// # Errors
    /// As [`Cluster::try_lead`].
    pub async fn lead_marked(&self, lease: Duration) -> Result<Option<Turn>, Error> {
        self.lead(lease, true).await
    }

    async fn lead(&self, lease: Duration, marked_too: bool) -> Result<Option<Turn>, Error> {
        let mut lead = self.desk.lead.lock().await;
        if let Some(old) = lead.take() {
            // Of a turn that ended; its lock must not stand in the way.
            let _ = old.close().await;
        }
        let Some((connection, turn)) = self.take_lead(lease, marked_too).await? else {
            return Ok(None);
        };
        *lead = Some(connection);
        self.desk.term.store(to_i64(turn.term)?, Ordering::Release);
        Ok(Some(turn))
    }

    /// Takes the lead with a connection of its own, if it is to be had.
    async fn take_lead(
        &self,
        lease: Duration,
        marked_too: bool,
    ) -> Result<Option<(PgConnection, Turn)>, Failure> {
        let mut connection = session::connect(&self.options).await?;
        let locked = sqlx::query(sql::TRY_LEAD);
        let locked: bool = in_time(locked.fetch_one(&mut connection)).await?.get(0);
        if !locked {
            let ended = sqlx::query(sql::END_SILENT).bind(seconds(lease));
            let ended = in_time(ended.fetch_all(&mut connection)).await?;
            if !ended.is_empty() {
                tracing::warn!(
                    connections = ended.len(),
                    "the process that led was silent; its connections were ended"
                );
            }
            let _ = connection.close().await;
            return Ok(None);
        }
        // With the lock in hand: whoever moves a database marks it while nobody else has that.
        let mark = sqlx::query(sql::META).bind(COPY);
        let mark = in_time(mark.fetch_optional(&mut connection)).await?;
        if let Some(row) = mark.filter(|_| !marked_too) {
            return Err(Error::Unsupported(moved::Mark::of(row.get(0)).to_string()).into());
        }
        let taken = sqlx::query(sql::TAKE_TURN)
            .bind(&self.desk.application)
            .bind(random()?)
            .bind(own_name());
        // Whatever is visible from here on lies before this commit in the write-ahead log, so it is as durable: also what a server that crashed, or
        // somebody who ended a wait for a standby, made visible too early.
        let row = in_time(taken.fetch_one(&mut connection)).await?;
        Durability::of(&row, 4).check()?;
        let turn = turn(&row)?;
        Ok(Some((connection, turn)))
    }
}

#[async_trait]
impl Cluster for PostgresStore {
    async fn try_lead(&self, lease: Duration) -> Result<Option<Turn>, Error> {
        self.lead(lease, false).await
    }

    async fn beat(&self, term: Term) -> Result<bool, Error> {
        let mut lead = self.desk.lead.lock().await;
        let Some(connection) = lead.as_mut() else {
            return Ok(false);
        };
        let beat = sqlx::query(sql::BEAT).bind(to_i64(term)?);
        let beaten = in_time(beat.execute(&mut *connection)).await?;
        Ok(beaten.rows_affected() == 1)
    }

    async fn resign(&self, _term: Term) {
        // The lock goes with the connection. The number stays: what still tries to write belongs to that turn.
        if let Some(lead) = self.desk.lead.lock().await.take() {
            let _ = lead.close().await;
        }
    }

    async fn turn(&self) -> Result<Option<Turn>, Error> {
        let row = session::optional(&self.desk.pool, sqlx::query(sql::NEWEST_TURN)).await?;
        row.as_ref().map(turn).transpose()
    }

    async fn had_turn(&self, name: &str) -> Result<bool, Error> {
        let query = sqlx::query(sql::HAD_TURN).bind(name);
        Ok(session::optional(&self.desk.pool, query).await?.is_some())
    }

    async fn is_led(&self, lease: Duration) -> Result<bool, Error> {
        let query = sqlx::query(sql::IS_LED).bind(seconds(lease));
        Ok(session::one(&self.desk.pool, query).await?.get(0))
    }

    async fn silence(&self) -> Result<Option<Duration>, Error> {
        let row = session::optional(&self.desk.pool, sqlx::query(sql::SILENCE)).await?;
        let silent = |row: PgRow| Duration::try_from_secs_f64(row.get(0)).unwrap_or(Duration::MAX);
        Ok(row.map(silent))
    }

    async fn holder(&self) -> Result<Option<String>, Error> {
        let row = session::optional(&self.desk.pool, sqlx::query(sql::HOLDER)).await?;
        Ok(row.map(|row| row.get(0)))
    }

    async fn send(&self, jobs: &[Vec<u8>]) -> Result<Vec<u64>, Error> {
        let query = sqlx::query(sql::SEND_JOBS).bind(jobs);
        let rows = session::all(&self.desk.pool, query).await?;
        rows.iter().map(|row| to_u64(row.get(0))).collect()
    }

    async fn waiting(
        &self,
        except: &[u64],
        limit: u32,
        bytes: usize,
    ) -> Result<Vec<Waiting>, Error> {
        let query = sqlx::query(sql::WAITING_JOBS)
            .bind(numbers(except)?)
            .bind(i64::from(limit))
            .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
            .bind(i32::try_from(MOST_JOB).unwrap_or(i32::MAX));
        let rows = session::all(&self.desk.pool, query).await?;
        let waiting = |row: &PgRow| {
            Ok(Waiting {
                id: to_u64(row.get(0))?,
                job: row.get(1),
            })
        };
        rows.iter().map(waiting).collect()
    }

    async fn answer(&self, answers: &[(u64, Vec<u8>)]) -> Result<(), Error> {
        let ids: Vec<u64> = answers.iter().map(|(id, _)| *id).collect();
        let bytes: Vec<&[u8]> = answers
            .iter()
            .map(|(_, answer)| answer.as_slice())
            .collect();
        let term = self.desk.term.load(Ordering::Acquire);
        let query = sqlx::query(sql::ANSWER_JOBS)
            .bind(term)
            .bind(numbers(&ids)?)
            .bind(bytes);
        let leads: bool = session::one(&self.desk.pool, query).await?.get(0);
        if leads { Ok(()) } else { Err(Error::Deposed) }
    }

    async fn collect(&self, jobs: &[Ticket]) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let query = tickets(sql::COLLECT_ANSWERS, jobs)?;
        let rows = session::all(&self.desk.pool, query).await?;
        rows.iter()
            .map(|row| Ok((to_u64(row.get(0))?, row.get(1))))
            .collect()
    }

    async fn present(&self, jobs: &[Ticket]) -> Result<Vec<u64>, Error> {
        let query = tickets(sql::PRESENT_JOBS, jobs)?;
        let rows = session::all(&self.desk.pool, query).await?;
        rows.iter().map(|row| to_u64(row.get(0))).collect()
    }

    async fn withdraw(&self, jobs: &[Ticket]) -> Result<(), Error> {
        let query = tickets(sql::WITHDRAW_JOBS, jobs)?;
        session::all(&self.desk.pool, query).await.map(drop)
    }

    async fn clean(&self, age: Duration, except: &[u64]) -> Result<(), Error> {
        let query = sqlx::query(sql::CLEAN_INBOX)
            .bind(seconds(age))
            .bind(numbers(except)?);
        session::all(&self.desk.pool, query).await.map(drop)
    }

    async fn wait(&self, most: Duration) {
        self.desk.listen(&self.options).await;
        let _ = tokio::time::timeout(most, self.desk.news.notified()).await;
    }
}

fn numbers(ids: &[u64]) -> Result<Vec<i64>, Error> {
    ids.iter().map(|id| to_i64(*id)).collect()
}

fn tickets(sql: &'static str, jobs: &[Ticket]) -> Result<session::PgQuery<'static>, Error> {
    let ids: Vec<u64> = jobs.iter().map(|job| job.id).collect();
    let marks: Vec<Vec<u8>> = jobs.iter().map(|job| job.mark.to_vec()).collect();
    Ok(sqlx::query(sql).bind(numbers(&ids)?).bind(marks))
}
