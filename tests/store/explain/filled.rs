//! A large database, made by the server itself.

use sqlx::{PgConnection, Row as _};

use super::run;

/// Reports of one agent, on average, on either side.
const PER_AGENT: u64 = 50;

pub(super) fn agents(reports: u64) -> u64 {
    reports / PER_AGENT
}

/// Fills the tables as a log of `reports` entries would: two reports a trade, one in a hundred trades of the same agent, one report
/// in a thousand erased, epochs of all agents, and tokens.
pub(super) async fn fill(connection: &mut PgConnection, reports: u64) {
    let agents = agents(reports);
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
    let (dropped, made) = indexes(connection).await;
    run(
        connection,
        "SET synchronous_commit = off; SET maintenance_work_mem = '512MB'".to_owned(),
    )
    .await;
    for sql in dropped {
        run(connection, sql).await;
    }
    for sql in [
        // References are right by how they are made; to look each of them up takes longer than all the rest.
        "SET session_replication_role = replica".to_owned(),
        format!("INSERT INTO agents (key, alias) SELECT sha256(('agent' || i)::bytea), 'a' || i FROM generate_series(1, {agents}) i"),
        "INSERT INTO markets (name) SELECT 'market-' || i FROM generate_series(1, 51) i".to_owned(),
        format!(
            "INSERT INTO entries SELECT i, 1700000000000 + i * 10, CASE WHEN i % 1000 = 0 THEN 'erasure' ELSE 'report' END, \
             convert_to('{{\"at\":1700000000000,\"id\":\"' || encode(sha256(('report' || i)::bytea), 'base64') || '\",\"type\":\"report\"}}', 'UTF8') \
             FROM generate_series(0, {reports} - 1) i"
        ),
        // Log entry i * 1000 erases the report just before it.
        format!(
            "INSERT INTO erased SELECT i - 1, sha256(('report' || (i - 1))::bytea), i FROM generate_series(1000, {reports} - 1, 1000) i"
        ),
        format!(
            "INSERT INTO reports SELECT i, sha256(('report' || i)::bytea), 1700000000000 + i * 10, \
             CASE WHEN i % 2 = 0 THEN {a} ELSE {b} END, CASE WHEN i % 2 = 0 THEN {b} ELSE {a} END, \
             CASE WHEN i % 10 = 0 THEN 1 + i % 50 ELSE 1 + i % 3 END, 'order-' || i / 2, i % 2, 'jti-' || i, false, i % 2 = 0, NULL \
             FROM generate_series(0, {reports} - 1) i WHERE i % 1000 NOT IN (0, 999)"
        ),
        "INSERT INTO bodies SELECT idx, repeat(encode(id, 'hex'), 6) FROM reports".to_owned(),
        "INSERT INTO documents SELECT sha256(('document' || idx)::bytea), idx FROM reports WHERE idx % 5 = 0".to_owned(),
        format!(
            "INSERT INTO tiles SELECT 0, 0, i, decode(repeat(encode(sha256(('tile' || i)::bytea), 'hex'), 256), 'hex') \
             FROM generate_series(0, {reports} / 256) i"
        ),
        format!(
            "INSERT INTO tiles SELECT tree, 0, i, decode(repeat(encode(sha256(('tile' || i)::bytea), 'hex'), 256), 'hex') \
             FROM generate_series(1, 20) tree, generate_series(0, {agents} / 256) i"
        ),
        format!("INSERT INTO checkpoints SELECT i * 100, 1700000000000 + i, repeat('n', 300) FROM generate_series(1, {reports} / 100) i"),
        format!("INSERT INTO head SELECT 1, {reports}, sha256('root'), 1700000000000 + {reports} * 10, repeat('n', 300)"),
        "INSERT INTO epochs SELECT i, i * 1000, sha256(('salt' || i)::bytea) FROM generate_series(1, 20) i".to_owned(),
        format!(
            "INSERT INTO statements SELECT e, i - 1, i, i % 10 = 0, repeat('c', 200) FROM generate_series(1, 20) e, generate_series(1, {agents}) i"
        ),
        format!("INSERT INTO tokens SELECT i / 1000, i % 1000, 1 + i % {agents}, 20, 0, 0, i % 100 = 0 FROM generate_series(0, {reports} / 10) i"),
        "INSERT INTO meta SELECT 'k' || i, 'v' FROM generate_series(1, 20) i".to_owned(),
        "SET session_replication_role = origin".to_owned(),
    ] {
        run(connection, sql).await;
    }
    for sql in made {
        run(connection, sql).await;
    }
    run(connection, "VACUUM (ANALYZE)".to_owned()).await;
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
