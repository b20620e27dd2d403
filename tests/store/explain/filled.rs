//! A large database, made by the server itself.

use std::ops::Range;

use sqlx::{PgConnection, Row as _};

use super::run;

/// Reports of one agent, on average, on either side.
const PER_AGENT: u64 = 50;

pub(super) fn agents(reports: u64) -> u64 {
    reports / PER_AGENT
}

/// Fills the tables as a log of `reports` entries would: two reports a trade, one in a hundred trades of the same agent, one report
/// in a thousand erased, epochs of all agents, and tokens. Indexes come after the rows, and statistics at the end.
pub(super) async fn fill(connection: &mut PgConnection, reports: u64) {
    let (dropped, made) = indexes(connection).await;
    for sql in dropped {
        run(connection, sql).await;
    }
    start(connection).await;
    grow(connection, 0..reports, reports).await;
    run(connection, "SET maintenance_work_mem = '512MB'".to_owned()).await;
    for sql in made {
        run(connection, sql).await;
    }
    run(connection, "VACUUM (ANALYZE)".to_owned()).await;
}

/// What there are a few of.
pub(super) async fn start(connection: &mut PgConnection) {
    for sql in [
        "INSERT INTO markets (name) SELECT 'market-' || i FROM generate_series(1, 51) i",
        "INSERT INTO head SELECT 1, 0, sha256('root'), 1700000000000, repeat('n', 300)",
        "INSERT INTO epochs SELECT i, i * 1000, sha256(('salt' || i)::bytea) FROM generate_series(1, 20) i",
        // The last of the epochs below is staged.
        "INSERT INTO staging VALUES (1, NULL, 21, 1)",
        "INSERT INTO meta SELECT 'k' || i, 'v' FROM generate_series(1, 20) i",
    ] {
        run(connection, sql.to_owned()).await;
    }
}

/// Adds the reports of this range of entries, of a log that will have `reports`, with all that comes with them.
pub(super) async fn grow(connection: &mut PgConnection, range: Range<u64>, reports: u64) {
    let agents = agents(reports);
    let (from, to) = (range.start, range.end);
    // A trade's parties: every hundredth is agent 1's.
    let a = format!(
        "(CASE WHEN (i / 2) % 100 = 0 THEN 1 ELSE 2 + (i / 2) % {} END)",
        agents - 1
    );
    let b = format!(
        "(2 + ((i / 2) * 7 + 5 + (i / 2) / {agents}) % {})",
        agents - 1
    );
    // In the same trade with itself nobody is.
    let b = format!("(CASE WHEN {a} = {b} THEN {a} % {agents} + 1 ELSE {b} END)");
    let entries = format!("generate_series({from}, {to} - 1) i");
    let (first, last) = (from / PER_AGENT + 1, to / PER_AGENT);
    let new_agents = format!("generate_series({first}, {last}) i");
    for sql in [
        // References are right by how they are made; to look each of them up takes longer than all the rest.
        "SET synchronous_commit = off; SET session_replication_role = replica".to_owned(),
        format!(
            "INSERT INTO agents (key, alias) SELECT sha256(('agent' || i)::bytea), 'a' || i FROM {new_agents}"
        ),
        format!(
            "INSERT INTO entries SELECT i, 1700000000000 + i * 10, CASE WHEN i % 1000 = 0 THEN 'erasure' ELSE 'report' END, \
             convert_to('{{\"at\":1700000000000,\"id\":\"' || encode(sha256(('report' || i)::bytea), 'base64') || '\",\"type\":\"report\"}}', 'UTF8') \
             FROM {entries}"
        ),
        // Log entry i * 1000 erases the report just before it.
        format!(
            "INSERT INTO erased SELECT i - 1, sha256(('report' || (i - 1))::bytea), i FROM {entries} WHERE i > 0 AND i % 1000 = 0"
        ),
        format!(
            "INSERT INTO reports SELECT i, sha256(('report' || i)::bytea), 1700000000000 + i * 10, \
             CASE WHEN i % 2 = 0 THEN {a} ELSE {b} END, CASE WHEN i % 2 = 0 THEN {b} ELSE {a} END, \
             CASE WHEN i % 10 = 0 THEN 1 + i % 50 ELSE 1 + i % 3 END, 'order-' || i / 2, i % 2, 'jti-' || i, false, i % 2 = 0, NULL \
             FROM {entries} WHERE i % 1000 NOT IN (0, 999)"
        ),
        format!(
            "INSERT INTO bodies SELECT i, repeat(encode(sha256(('report' || i)::bytea), 'hex'), 6) FROM {entries} WHERE i % 1000 NOT IN (0, 999)"
        ),
        format!(
            "INSERT INTO documents SELECT sha256(('document' || i)::bytea), i FROM {entries} WHERE i % 5 = 0 AND i % 1000 <> 0"
        ),
        format!(
            "INSERT INTO tiles SELECT 0, 0, i, decode(repeat(encode(sha256(('tile' || i)::bytea), 'hex'), 256), 'hex') \
             FROM generate_series(({from} + 255) / 256, ({to} - 1) / 256) i"
        ),
        format!(
            "INSERT INTO tiles SELECT tree, 0, i, decode(repeat(encode(sha256(('tile' || i)::bytea), 'hex'), 256), 'hex') \
             FROM generate_series(1, 21) tree, generate_series(({first} + 254) / 256, ({last} - 1) / 256) i"
        ),
        format!(
            "INSERT INTO checkpoints SELECT i + 1, 1700000000000 + i, repeat('n', 300) FROM {entries} WHERE (i + 1) % 100 = 0"
        ),
        format!("UPDATE head SET size = {to}, at_ms = 1700000000000 + {to} * 10"),
        format!(
            "INSERT INTO statements SELECT e, i - 1, i, i % 10 = 0, repeat('c', 200) FROM generate_series(1, 21) e, {new_agents}"
        ),
        format!(
            "INSERT INTO tokens SELECT i / 10000, i / 10 % 1000, 1 + i / 10 % {agents}, 20, 0, 0, i % 1000 = 0 FROM {entries} WHERE i % 10 = 0"
        ),
        "SET session_replication_role = origin".to_owned(),
    ] {
        run(connection, sql).await;
    }
}

/// How to drop all indexes of the large tables, and how to make them again: after the rows, which takes a fraction of the time.
async fn indexes(connection: &mut PgConnection) -> (Vec<String>, Vec<String>) {
    let found = sqlx::raw_sql(
        "WITH large AS (SELECT oid FROM pg_class WHERE oid = ANY(ARRAY['entries', 'reports', 'bodies', 'documents', 'erased', 'tiles', \
            'statements', 'tokens', 'checkpoints']::regclass[])) \
         SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname), \
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) \
         FROM pg_constraint WHERE contype IN ('p', 'u') AND conrelid IN (SELECT oid FROM large) \
         UNION ALL SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid) FROM pg_index \
         WHERE indrelid IN (SELECT oid FROM large) \
           AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = indexrelid AND c.contype IN ('p', 'u'))",
    );
    let found = found.fetch_all(connection).await.unwrap();
    let text = |column: usize| {
        let of = |row: &sqlx::postgres::PgRow| row.try_get_unchecked(column).unwrap();
        found.iter().map(of).collect()
    };
    (text(0), text(1))
}
