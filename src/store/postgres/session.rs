//! Connections: what each is set to and must find, how long it is waited for, and what its errors mean.

use std::{
    fmt,
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, PgPool, Row as _,
    pool::PoolConnection,
    postgres::{
        PgArguments, PgConnectOptions, PgConnection, PgPoolOptions, PgQueryResult, PgRow, Postgres,
    },
    query::Query,
};

use super::sql;
use crate::store::Error;

/// Connecting, and waiting for a connection to come free.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// What one statement may take before the server ends it.
const STATEMENT: Duration = Duration::from_secs(30);
/// What a statement may wait for a lock: there is one writer, so who holds one is a maintenance command or another program.
const LOCK: Duration = Duration::from_secs(10);
/// What may pass between two statements of one transaction before the server ends it. Ours follow each other at once.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(15);
/// What is waited for an answer: the server's own limit comes first, unless it or the network is gone. sqlx 0.9.0 sets no
/// keepalive on its sockets, and a connection that is cut silently would be waited for without end.
const ANSWER: Duration = Duration::from_secs(40);
/// What is waited for the answer to nothing, before a connection that lay idle is used.
const PING: Duration = Duration::from_secs(2);
/// A connection that answered so short a time ago, as it did when it came back, need not be asked again.
const ANSWERED: Duration = Duration::from_millis(2);
/// The oldest that was thought of: 13 had its last release in 2025.
const OLDEST_SERVER: u32 = 130_000;

pub(super) type PgQuery<'q> = Query<'q, Postgres, PgArguments>;

/// What went wrong, while it still matters what it was.
#[derive(Debug)]
pub(super) enum Failure {
    /// By the database.
    Sql(sqlx::Error),
    /// No answer in time.
    Late,
    /// Decided already.
    Store(Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// Whether nothing of the transaction was kept and the same again may well succeed: serialization failures (40001) and
    /// deadlocks (40P01). Both are the server's word that it rolled back, also as the answer to a COMMIT.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.sqlstate().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether the session is as it was: the server answered, or was not asked.
    fn leaves_session(&self) -> bool {
        match self {
            Self::Sql(error) => matches!(error, sqlx::Error::Database(_)),
            Self::Store(_) => true,
            Self::Late => false,
        }
    }

    /// PostgreSQL documentation, appendix A.
    fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => error.code().map(Into::into),
            _ => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let state = failure.sqlstate();
        let error = match failure {
            Failure::Store(error) => return error,
            Failure::Late => {
                return Self::Unavailable(format!("no answer in {} s", ANSWER.as_secs()));
            }
            Failure::Sql(error) => error,
        };
        match (state.as_deref(), &error) {
            (_, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                Self::Corrupt(error.to_string())
            }
            // data_corrupted, index_corrupted
            (Some("XX001" | "XX002"), _) => Self::Corrupt(words(&error)),
            // insufficient_privilege, undefined_table, undefined_column: a role or a schema that is not ours.
            (Some("42501"), _) => Self::Unsupported(format!(
                "{}; docs/OPERATIONS.md lists the rights, and `doctor --database-url URL` those that are missing",
                words(&error)
            )),
            (Some("42P01" | "42703"), _) => Self::Unsupported(words(&error)),
            (Some(state), _) => Self::Unavailable(format!("{} ({state})", words(&error))),
            (None, _) => Self::Unavailable(error.to_string()),
        }
    }
}

/// What the server said, without the line of its own source that it also names.
fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(told) => format!("the server says: {}", told.message()),
        other => other.to_string(),
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Its transactions are read-only, and the server may be a standby.
    Reading,
    /// What it commits has to be durable.
    Writing,
    /// It writes what is on its way between processes: nobody relies on it, and it waits for no standby.
    Passing,
}

/// What a URL says.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, Error> {
    // The error is not shown: it may quote the password.
    PgConnectOptions::from_str(url)
        .map_err(|_| Error::Unsupported("the database URL cannot be read".to_owned()))
}

/// Connects once for writing, sets the session up and looks at the server.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    connect_for(options, Purpose::Writing).await
}

/// The same for either purpose.
pub(super) async fn connect_for(
    options: &PgConnectOptions,
    purpose: Purpose,
) -> Result<PgConnection, Error> {
    let at = || format!("{}:{}", options.get_host(), options.get_port());
    let connected = tokio::time::timeout(CONNECT, PgConnection::connect_with(options)).await;
    let late = |_| {
        let why = format!("no connection to {} in {} s", at(), CONNECT.as_secs());
        Error::Unavailable(why)
    };
    let connected = connected.map_err(late)?;
    let mut connection = connected.map_err(|error| not_let_in(error, &at()))?;
    prepare(&mut connection, purpose).await?;
    Ok(connection)
}

/// Why there is no connection, and what an operator can do about it.
fn not_let_in(error: sqlx::Error, at: &str) -> Error {
    let state: Option<String> = match &error {
        sqlx::Error::Database(told) => told.code().map(Into::into),
        sqlx::Error::Io(_) => {
            return Error::Unavailable(format!("{at} cannot be reached: {error}"));
        }
        sqlx::Error::Tls(_) => {
            return Error::Unsupported(format!(
                "{at}: {error}; see sslmode and sslrootcert in the URL"
            ));
        }
        _ => None,
    };
    let remedy = match state.as_deref() {
        // invalid_password, invalid_authorization_specification
        Some("28P01" | "28000") => {
            "check user and password (URL, PGPASSFILE), and the server's pg_hba.conf"
        }
        // invalid_catalog_name
        Some("3D000") => "correct the URL, or make the database as docs/OPERATIONS.md says",
        // insufficient_privilege
        Some("42501") => "the role lacks CONNECT on the database: GRANT it",
        // too_many_connections
        Some("53300") => {
            return Error::Unavailable(format!(
                "{at}: {} (53300); raise max_connections, or the limit of role or database",
                words(&error)
            ));
        }
        _ => return Failure::from(error).into(),
    };
    let state = state.unwrap_or_default();
    Error::Unsupported(format!("{at}: {} ({state}); {remedy}", words(&error)))
}

/// Lets one statement take as long as `statement`, and a transaction wait as long as it likes for the next one: for
/// whatever reads or writes a whole database.
pub(super) async fn unhurried(
    connection: &mut PgConnection,
    statement: Duration,
) -> Result<(), Error> {
    let set = sqlx::query(sql::UNHURRIED).bind(statement.as_millis().to_string());
    in_time(set.execute(connection)).await?;
    Ok(())
}

/// That a commit now would be durable when it returns.
pub(super) async fn durable(connection: &mut PgConnection) -> Result<(), Error> {
    Ok(look(connection, Purpose::Writing).await?)
}

async fn prepare(connection: &mut PgConnection, purpose: Purpose) -> Result<(), Failure> {
    let ms = |time: Duration| time.as_millis().to_string();
    let read_only = match purpose {
        Purpose::Reading => "on",
        Purpose::Writing | Purpose::Passing => "off",
    };
    // The writer's plans are those that its statements are written for; see there.
    let scans = match purpose {
        Purpose::Reading => "on",
        Purpose::Writing | Purpose::Passing => "off",
    };
    let session = sqlx::query(sql::SESSION)
        .bind(ms(STATEMENT))
        .bind(ms(LOCK))
        .bind(ms(IDLE_IN_TRANSACTION))
        .bind(read_only)
        .bind(scans);
    in_time(session.execute(&mut *connection)).await?;
    look(connection, purpose).await?;
    if purpose == Purpose::Passing {
        in_time(sqlx::query(sql::LOCAL).execute(&mut *connection)).await?;
    }
    Ok(())
}

async fn look(connection: &mut PgConnection, purpose: Purpose) -> Result<(), Failure> {
    Server::ask(connection).await?.check(purpose)?;
    Ok(())
}

/// What a server says of itself.
#[derive(Clone, Debug)]
pub(super) struct Server {
    version: String,
    encoding: String,
    pub(super) durability: Durability,
    pub(super) standby: bool,
}

impl Server {
    pub(super) async fn ask(connection: &mut PgConnection) -> Result<Self, Failure> {
        let row = in_time(sqlx::query(sql::SETTINGS).fetch_one(&mut *connection)).await?;
        Ok(Self {
            version: row.get(0),
            encoding: row.get(1),
            durability: Durability::of(&row, 2),
            standby: row.get(5),
        })
    }

    pub(super) fn check(&self, purpose: Purpose) -> Result<(), Error> {
        if !self
            .version
            .parse::<u32>()
            .is_ok_and(|v| v >= OLDEST_SERVER)
        {
            return Err(Error::Unsupported(format!(
                "PostgreSQL {} is older than 13",
                self.version
            )));
        }
        if self.encoding != "UTF8" {
            return Err(Error::Unsupported(format!(
                "server_encoding is {}; UTF8 is needed",
                self.encoding
            )));
        }
        if purpose == Purpose::Reading {
            return Ok(());
        }
        if self.standby {
            // It may become the primary.
            let why = "the server is a standby, or in recovery: name the primary in the URL, or wait until this one is";
            return Err(Error::Unavailable(why.to_owned()));
        }
        self.durability.check()
    }
}

/// The settings on which it depends whether what was acknowledged is still there after a crash.
#[derive(Clone, Debug)]
pub(super) struct Durability {
    pub(super) fsync: String,
    pub(super) full_page_writes: String,
    pub(super) synchronous_commit: String,
}

/// What [`Durability::check`] and [`Held::commit`] ask for.
const NEEDED: &str = "on, on, and on or remote_apply are needed";

impl Durability {
    /// From three columns of a row, beginning at this one.
    pub(super) fn of(row: &PgRow, first: usize) -> Self {
        Self {
            fsync: row.get(first),
            full_page_writes: row.get(first + 1),
            synchronous_commit: row.get(first + 2),
        }
    }

    /// Refuses whatever lets a commit return before it is durable. `on` and `remote_apply` only: with a synchronous standby `local` and
    /// `remote_write` return before the standby has synced, and a failover could then lose what was acknowledged, which is a
    /// fork. Without such a standby they are no faster than `on`.
    pub(super) fn check(&self) -> Result<(), Error> {
        let durable = self.fsync == "on"
            && self.full_page_writes == "on"
            && matches!(&*self.synchronous_commit, "on" | "remote_apply");
        if durable {
            return Ok(());
        }
        Err(Error::Unsupported(format!("{self}; {NEEDED}")))
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fsync={}, full_page_writes={}, synchronous_commit={}",
            self.fsync, self.full_page_writes, self.synchronous_commit
        )
    }
}

/// A pool whose connections are set up and looked at, and never come back to it inside a transaction.
///
/// Dropping the future of `Pool::begin` can leave a transaction open on a connection that goes back to the pool (sqlx 0.9.0,
/// transact-rs/sqlx#4385). The store begins on its writer only, in a task that is not cancelled, and closes the connection
/// if it is; the check after each release is for whatever comes to begin elsewhere.
///
/// Connections that the network has forgotten stay silent without end, mostly all of them at once: whichever does not answer in time takes
/// those along that have not been used since.
pub fn pool(connections: u32, purpose: Purpose) -> PgPoolOptions {
    let silent_at = Mutex::new(None::<Instant>);
    let silent_at = Arc::new(silent_at);
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(CONNECT)
        // Without time limits sqlx starts no maintenance task, which in 0.9.0 can spin for ever while the process ends
        // (transact-rs/sqlx#3645). Connections that died are found when they are taken.
        .idle_timeout(None)
        .max_lifetime(None)
        // sqlx would wait for an answer for as long as for a connection.
        .test_before_acquire(false)
        .before_acquire(move |connection, known| {
            let silent_at = silent_at.clone();
            Box::pin(async move {
                if known.idle_for < ANSWERED {
                    return Ok(true);
                }
                let used = Instant::now().checked_sub(known.idle_for);
                let last = *silent_at.lock().unwrap_or_else(PoisonError::into_inner);
                if used < last {
                    return Ok(false);
                }
                if let Ok(answer) = tokio::time::timeout(PING, connection.ping()).await {
                    return Ok(answer.is_ok());
                }
                tracing::warn!("a connection to the database was silent");
                let mut last = silent_at.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some(Instant::now());
                Ok(false)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                let prepared = prepare(connection, purpose).await;
                prepared
                    .map_err(|failure| sqlx::Error::Configuration(Box::new(Error::from(failure))))
            })
        })
        .after_release(|connection, _| Box::pin(left_clean(connection)))
}

/// Ends a transaction that was left open; `false` when the connection has to be closed.
async fn left_clean(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let asked = tokio::time::timeout(ANSWER, async {
        // As one message: of a prepared statement, Bind begins the transaction and Execute, a moment later, the statement.
        let row = sqlx::raw_sql(sql::LEFT_OPEN)
            .fetch_one(&mut *connection)
            .await?;
        if row.try_get::<bool, _>(0)? {
            tracing::error!("a connection came back inside a transaction");
            sqlx::query("ROLLBACK").execute(&mut *connection).await?;
        }
        Ok(true)
    });
    asked.await.unwrap_or(Ok(false))
}

pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Late),
    }
}

/// A connection that goes back to its pool only when it is said to be fit for that, also when whoever holds it is dropped.
pub(super) struct Held {
    connection: PoolConnection<Postgres>,
    fit: bool,
}

impl Held {
    pub(super) async fn from(pool: &PgPool) -> Result<Self, Failure> {
        Ok(Self {
            connection: pool.acquire().await?,
            fit: false,
        })
    }

    /// After this, back to the pool.
    pub(super) fn release(mut self) {
        self.fit = true;
    }

    /// Ends the transaction after a failure, so that it holds no lock when this returns; closes the connection if its state is
    /// not known.
    pub(super) async fn abandon(mut self, failure: &Failure) {
        if failure.leaves_session() && self.execute(sqlx::query("ROLLBACK")).await.is_ok() {
            self.release();
        }
    }

    pub(super) async fn execute(&mut self, query: PgQuery<'_>) -> Result<PgQueryResult, Failure> {
        in_time(query.execute(&mut *self.connection)).await
    }

    /// Commits if that is durable. One message, within which a session's settings do not change from outside.
    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        let committed = in_time(sqlx::raw_sql(sql::COMMIT).execute(&mut *self.connection)).await;
        let Err(failure) = committed else {
            return Ok(());
        };
        // invalid_text_representation: of the cast that COMMIT comes after.
        let is_weak = failure.sqlstate().as_deref() == Some("22P02");
        match failure {
            Failure::Sql(error) if is_weak => {
                let why = format!("{}; {NEEDED}", words(&error));
                Err(Error::Unsupported(why).into())
            }
            failure => Err(failure),
        }
    }

    pub(super) async fn all(&mut self, query: PgQuery<'_>) -> Result<Vec<PgRow>, Failure> {
        in_time(query.fetch_all(&mut *self.connection)).await
    }

    pub(super) async fn optional(&mut self, query: PgQuery<'_>) -> Result<Option<PgRow>, Failure> {
        in_time(query.fetch_optional(&mut *self.connection)).await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.fit {
            self.connection.close_on_drop();
        }
    }
}

/// All rows of one statement, outside any transaction.
pub(super) async fn all(pool: &PgPool, query: PgQuery<'_>) -> Result<Vec<PgRow>, Error> {
    let mut held = Held::from(pool).await?;
    let answer = held.all(query).await;
    settle(held, answer)
}

/// The row of one statement, if there is one.
pub(super) async fn optional(pool: &PgPool, query: PgQuery<'_>) -> Result<Option<PgRow>, Error> {
    let mut held = Held::from(pool).await?;
    let answer = held.optional(query).await;
    settle(held, answer)
}

/// The row of a statement that always has one.
pub(super) async fn one(pool: &PgPool, query: PgQuery<'_>) -> Result<PgRow, Error> {
    optional(pool, query)
        .await?
        .ok_or_else(|| Error::Corrupt("no row where there is always one".to_owned()))
}

fn settle<T>(held: Held, answer: Result<T, Failure>) -> Result<T, Error> {
    if answer
        .as_ref()
        .map_or_else(Failure::leaves_session, |_| true)
    {
        held.release();
    }
    Ok(answer?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            version: "150018".to_owned(),
            encoding: "UTF8".to_owned(),
            durability: Durability {
                fsync: "on".to_owned(),
                full_page_writes: "on".to_owned(),
                synchronous_commit: "on".to_owned(),
            },
            standby: false,
        }
    }

    fn refused(change: impl FnOnce(&mut Server)) -> Error {
        let mut server = server();
        change(&mut server);
        server.check(Purpose::Writing).unwrap_err()
    }

    #[test]
    fn a_server_that_may_lose_commits_is_refused() {
        server().check(Purpose::Writing).unwrap();
        let mut applied = server();
        applied.durability.synchronous_commit = "remote_apply".to_owned();
        applied.check(Purpose::Writing).unwrap();
        for weak in ["off", "local", "remote_write"] {
            let error = refused(|s| s.durability.synchronous_commit = weak.to_owned());
            assert!(error.to_string().contains(weak), "{error}");
        }
        for error in [
            refused(|s| s.durability.fsync = "off".to_owned()),
            refused(|s| s.durability.full_page_writes = "off".to_owned()),
            refused(|s| s.version = "120022".to_owned()),
            refused(|s| s.encoding = "SQL_ASCII".to_owned()),
        ] {
            assert!(matches!(error, Error::Unsupported(_)), "{error}");
        }
        assert!(matches!(
            refused(|s| s.standby = true),
            Error::Unavailable(_)
        ));
    }

    #[test]
    fn a_standby_can_be_read() {
        let mut standby = server();
        standby.standby = true;
        standby.check(Purpose::Reading).unwrap();
    }
}
