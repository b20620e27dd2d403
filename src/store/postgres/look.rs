//! What a server says of itself, of the database and of the role that asks: for an operator, read once, by catalogues and views that
//! every role may read.

use sqlx::{
    Connection as _, Row as _,
    postgres::{PgConnection, PgRow},
};

use super::{
    schema,
    session::{self, Failure, PgQuery, Purpose, Server},
    sql,
};
use crate::{
    clock::Clock,
    store::{Error, convert::to_u64},
};

/// What the service does to the tables, beside reading all of them: privilege, its tables, and the columns where it is not the whole row.
/// docs/OPERATIONS.md grants exactly this; a test compares.
pub const RIGHTS: &[(&str, &[&str], &[&str])] = &[
    (
        "INSERT",
        &[
            "meta",
            "head",
            "checkpoints",
            "entries",
            "tiles",
            "agents",
            "markets",
            "reports",
            "bodies",
            "documents",
            "epochs",
            "statements",
            "tokens",
            "erased",
            "sequencer",
            "turns",
            "inbox",
            "staging",
        ],
        &[],
    ),
    ("UPDATE", &["staging"], &["token", "epoch", "leaves"]),
    (
        "UPDATE",
        &["sequencer"],
        &["term", "application", "beat_at"],
    ),
    ("UPDATE", &["inbox"], &["answer"]),
    ("UPDATE", &["meta"], &["value"]),
    ("UPDATE", &["head"], &["size", "root", "at_ms", "note"]),
    ("UPDATE", &["checkpoints"], &["note"]),
    ("UPDATE", &["tiles"], &["hashes"]),
    ("UPDATE", &["agents"], &["alias"]),
    ("UPDATE", &["reports"], &["superseded_by"]),
    (
        "DELETE",
        &[
            "reports",
            "bodies",
            "documents",
            "markets",
            "agents",
            "inbox",
            "statements",
            "tiles",
            "staging",
        ],
        &[],
    ),
];

/// A server, a database and a role, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Looked {
    /// `server_version`.
    pub version: String,
    /// Settings that durability depends on, with their values, as one line.
    pub settings: String,
    /// Why a process that writes would not use this server.
    pub refused: Option<String>,
    /// Whether it is in recovery.
    pub standby: bool,
    /// Why the schema is not this program's.
    pub schema: Option<String>,
    /// The role that asked.
    pub role: RoleFacts,
    /// The newest turn at writing, if there was one and it can be read.
    pub turn: Option<LastTurn>,
    /// Whether the database knows the turn that the caller noted; `None` if it noted none, or this cannot be read.
    pub has_noted: Option<bool>,
    /// Jobs that no writer has answered yet.
    pub waiting: u64,
    /// Age of the oldest of them, milliseconds.
    pub oldest_ms: u64,
    /// The server's clock less this machine's, milliseconds.
    pub ahead_ms: i64,
    /// By how much that may be wrong: half the time that asking took.
    pub give_or_take_ms: u64,
    /// Connections.
    pub connections: Connections,
    /// Whether this connection is encrypted; `None` over a Unix socket.
    pub encrypted: Option<bool>,
    /// How copies of the write-ahead log are made.
    pub archive: Archive,
    /// `pg_database_size`, bytes.
    pub bytes: u64,
}

/// What a role is, and may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RoleFacts {
    pub name: String,
    pub is_superuser: bool,
    pub owns_tables: bool,
    /// Rights that the service needs and this role has not, as they would be granted.
    pub missing: Vec<String>,
    /// Whether it may vacuum after an erasure: as the owner, or by `MAINTAIN`.
    pub vacuums: bool,
}

/// The newest turn at writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastTurn {
    /// Host and process.
    pub holder: String,
    /// When it began by the server's clock, Unix milliseconds.
    pub since_ms: u64,
    /// What passed since its holder was heard of, milliseconds.
    pub silent_ms: u64,
    /// Whether somebody has the lead's lock now.
    pub held: bool,
}

/// How many connections there are and may be. Limits of -1 are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Connections {
    /// Those that any role may have: `max_connections` less what is reserved.
    pub most: i64,
    pub used: i64,
    pub role_limit: i64,
    pub used_by_role: i64,
    pub database_limit: i64,
    pub used_in_database: i64,
}

/// What keeps the write-ahead log elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// `archive_mode`.
    pub mode: String,
    /// Whether the newest attempt to archive failed.
    pub failing: bool,
    /// Standbys and other receivers that are connected.
    pub receivers: i64,
    /// `synchronous_standby_names`.
    pub synchronous: String,
}

const SERVER: &str = "SELECT current_setting('server_version'), current_setting('archive_mode'), \
    current_setting('synchronous_standby_names'), pg_database_size(current_database()), \
    (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), inet_server_addr() IS NULL, \
    (SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) FROM pg_stat_archiver), \
    (SELECT count(*) FROM pg_stat_replication)";
/// `reserved_connections` is of version 16.
const CONNECTIONS: &str = "SELECT current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8 \
      - coalesce(current_setting('reserved_connections', true)::int8, 0), \
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
    r.rolconnlimit::int8, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = current_user), \
    d.datconnlimit::int8, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database()) \
    FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()";
const ROLE: &str = "SELECT r.rolname::text, r.rolsuper, \
    coalesce((SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = to_regclass('entries')), false), \
    coalesce((SELECT bool_and(current_setting('server_version_num')::int >= 170000 AND has_table_privilege(c.oid, \
      CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 'MAINTAIN' ELSE 'SELECT' END)) \
      FROM unnest($1::text[]) q (name) JOIN pg_class c ON c.oid = to_regclass(q.name)), false) \
    FROM pg_roles r WHERE r.rolname = current_user";
/// Of tables that are there: others are missing from the schema, which is told by itself.
const MISSING: &str = "SELECT q.privilege || CASE q.col WHEN '' THEN '' ELSE ' (' || q.col || ')' END || ' ON ' || q.name \
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY q (name, privilege, col, n) JOIN pg_class c ON c.oid = to_regclass(q.name) \
    WHERE NOT CASE q.col WHEN '' THEN has_table_privilege(c.oid, q.privilege) ELSE has_column_privilege(c.oid, q.col, q.privilege) END \
    ORDER BY q.n";
const INBOX: &str = "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(sent_at)) * 1000, 0)::int8 \
    FROM inbox WHERE answer IS NULL";
const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";

impl Looked {
    /// Asks a server, as the role of the URL, also about a turn by its name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be reached, [`Error::Unsupported`] when it does not let the role in, or is too old.
    pub async fn at(url: &str, noted: Option<&str>, clock: &Clock) -> Result<Self, Error> {
        let mut connection =
            session::connect_for(&session::options(url)?, Purpose::Reading).await?;
        let looked = Self::ask(&mut connection, noted, clock).await;
        let _ = connection.close().await;
        looked
    }

    async fn ask(of: &mut PgConnection, noted: Option<&str>, clock: &Clock) -> Result<Self, Error> {
        let found = Server::ask(of).await?;
        let refused = found.check(Purpose::Writing).err();
        let own = one(of, sqlx::query(SERVER)).await?;
        let schema = schema::check(of).await.err();
        let role = role(of).await?;
        // A connection of its own, of which nothing but the answer's way takes time.
        let before_ms = clock.now_ms();
        let there_ms = to_u64(one(of, sqlx::query(NOW)).await?.get(0))?;
        let after_ms = clock.now_ms();
        let half = after_ms.saturating_sub(before_ms) / 2;
        let middle = before_ms.saturating_add(half);
        // The server's tables can be asked for turns and jobs only where they are, and by who may read them.
        let readable = schema.is_none() && !role.missing.iter().any(|m| m.starts_with("SELECT"));
        let (turn, inbox) = if readable {
            let turn = session::in_time(sqlx::query(sql::LAST_TURN).fetch_optional(&mut *of));
            let turn = turn.await?.as_ref().map(last_turn).transpose()?;
            // A standby has none: it is not logged.
            let inbox = if found.standby {
                (0, 0)
            } else {
                let inbox = one(of, sqlx::query(INBOX)).await?;
                (to_u64(inbox.get(0))?, to_u64(inbox.get(1))?)
            };
            (turn, inbox)
        } else {
            (None, (0, 0))
        };
        let has_noted = match noted.filter(|_| readable) {
            Some(name) => {
                let had = sqlx::query(sql::HAD_TURN)
                    .bind(name)
                    .fetch_optional(&mut *of);
                Some(session::in_time(had).await?.is_some())
            }
            None => None,
        };
        let limits = one(of, sqlx::query(CONNECTIONS)).await?;
        let over_socket: bool = own.get(5);
        Ok(Self {
            version: own.get(0),
            settings: found.durability.to_string(),
            refused: refused.map(|error| error.to_string()),
            standby: found.standby,
            schema: schema.map(|error| error.to_string()),
            role,
            turn,
            has_noted,
            waiting: inbox.0,
            oldest_ms: inbox.1,
            ahead_ms: there_ms.cast_signed().saturating_sub(middle.cast_signed()),
            give_or_take_ms: half.saturating_add(1),
            connections: Connections {
                most: limits.get(0),
                used: limits.get(1),
                role_limit: limits.get(2),
                used_by_role: limits.get(3),
                database_limit: limits.get(4),
                used_in_database: limits.get(5),
            },
            encrypted: (!over_socket).then(|| own.get::<Option<bool>, _>(4) == Some(true)),
            archive: Archive {
                mode: own.get(1),
                failing: own.get::<Option<bool>, _>(6) == Some(true),
                receivers: own.get(7),
                synchronous: own.get(2),
            },
            bytes: to_u64(own.get(3))?,
        })
    }
}

async fn one(of: &mut PgConnection, query: PgQuery<'_>) -> Result<PgRow, Error> {
    let row = session::in_time(query.fetch_one(of)).await;
    row.map_err(Failure::into)
}

fn last_turn(row: &PgRow) -> Result<LastTurn, Error> {
    Ok(LastTurn {
        holder: row.get(0),
        since_ms: to_u64(row.get(1))?,
        silent_ms: to_u64(row.get(2))?,
        held: row.get(3),
    })
}

async fn role(of: &mut PgConnection) -> Result<RoleFacts, Error> {
    let row = one(of, sqlx::query(ROLE).bind(super::scrub::TABLES.as_slice())).await?;
    let mut asked: [Vec<&str>; 3] = Default::default();
    let mut ask = |table, privilege, column| {
        for (column, value) in asked.iter_mut().zip([table, privilege, column]) {
            column.push(value);
        }
    };
    for table in super::snapshot::tables() {
        ask(table, "SELECT", "");
    }
    ask("_sqlx_migrations", "SELECT", "");
    for (privilege, tables, columns) in RIGHTS {
        for table in *tables {
            if columns.is_empty() {
                ask(table, privilege, "");
            }
            for column in *columns {
                ask(table, privilege, column);
            }
        }
    }
    let [tables, privileges, columns] = asked;
    let query = sqlx::query(MISSING)
        .bind(tables)
        .bind(privileges)
        .bind(columns);
    let rows = session::in_time(query.fetch_all(&mut *of)).await?;
    let owns_tables = row.get(2);
    Ok(RoleFacts {
        name: row.get(0),
        is_superuser: row.get(1),
        owns_tables,
        missing: rows.iter().map(|row| row.get(0)).collect(),
        vacuums: owns_tables || row.get(3),
    })
}
