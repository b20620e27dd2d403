//! What PostgreSQL can say of a database without special rights, and whether the schema is the one of this program.
//!
//! Catalogues only: whether indexes are valid, constraints validated and foreign keys enforced, and whether the server met pages with
//! wrong checksums. It cannot say that pages and indexes are sound on disk: that takes `pg_amcheck` (a superuser's) and data
//! checksums. `fsck` reads every row anyway, and each of them is held against the log.

use sqlx::Row as _;

use super::{PostgresSnapshot, row::Columns as _};
use crate::store::{
    Error,
    postgres::{schema, sql},
    snapshot::{Dangling, Engine},
};

/// What the migrations make, as [`OBJECTS`] describes it. A test makes it anew and compares.
const EXPECTED: &str = include_str!("../schema.txt");

/// Tables of ours with their columns, constraints, indexes and triggers, a line each. Not-null constraints are told with the columns:
/// from version 18 on they are constraints too. Storage parameters are the operator's.
const OBJECTS: &str = "WITH own AS ( \
      SELECT c.oid, c.relname::text AS name, c.relpersistence, c.relrowsecurity FROM pg_class c \
      WHERE c.relkind = 'r' AND c.relname = ANY($1::text[]) \
        AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('meta')) \
    ), objects (line) AS ( \
      SELECT 'table ' || name || CASE WHEN relpersistence = 'u' THEN ' unlogged' ELSE '' END \
        || CASE WHEN relrowsecurity THEN ' with row security' ELSE '' END FROM own \
      UNION ALL \
      SELECT 'column ' || o.name || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) \
        || CASE WHEN a.attcollation <> 0 AND a.attcollation <> 100 THEN ' collate ' || l.collname ELSE '' END \
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END \
        || CASE WHEN a.attidentity <> '' THEN ' identity ' || a.attidentity::text ELSE '' END \
        || CASE WHEN d.adbin IS NOT NULL THEN ' default ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END \
      FROM own o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped \
      LEFT JOIN pg_collation l ON l.oid = a.attcollation \
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
      UNION ALL \
      SELECT 'constraint ' || o.name || '.' || k.conname || ' ' || pg_get_constraintdef(k.oid) \
      FROM own o JOIN pg_constraint k ON k.conrelid = o.oid WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') \
      UNION ALL \
      SELECT 'index ' || o.name || '.' || c.relname || ' ' || CASE WHEN i.indisunique THEN 'unique ' ELSE '' END \
        || regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '') \
      FROM own o JOIN pg_index i ON i.indrelid = o.oid JOIN pg_class c ON c.oid = i.indexrelid \
      UNION ALL \
      SELECT 'trigger ' || o.name || '.' || t.tgname FROM own o JOIN pg_trigger t ON t.tgrelid = o.oid WHERE NOT t.tgisinternal \
      UNION ALL \
      SELECT 'rule ' || o.name || '.' || r.rulename FROM own o JOIN pg_rewrite r ON r.ev_class = o.oid \
    ) SELECT line::text FROM objects ORDER BY line::text COLLATE \"C\"";

/// Findings of the server's own, a line each.
const UNSOUND: &str = "WITH own AS ( \
      SELECT c.oid, c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relname = ANY($1::text[]) \
        AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('meta')) \
    ) SELECT line::text FROM ( \
      SELECT 'index ' || c.relname || ' is not valid: REINDEX it' FROM own o JOIN pg_index i ON i.indrelid = o.oid \
        JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) \
      UNION ALL \
      SELECT 'constraint ' || k.conname || ' of ' || o.relname || ' is not validated' FROM own o \
        JOIN pg_constraint k ON k.conrelid = o.oid WHERE NOT k.convalidated \
      UNION ALL \
      SELECT 'a foreign key of ' || o.relname || ' is not enforced: its triggers are disabled' FROM own o \
        WHERE EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = o.oid AND t.tgisinternal AND t.tgenabled = 'D') \
      UNION ALL \
      SELECT d.checksum_failures || ' pages had a wrong checksum' FROM pg_stat_database d \
        WHERE d.datname = current_database() AND d.checksum_failures > 0 \
    ) q (line) ORDER BY line::text COLLATE \"C\" LIMIT $2";

/// Rows whose parent is not there, by table and parent; foreign keys that are enforced leave none.
const DANGLING: &str = "SELECT child, parent, sum(missing)::int8 FROM ( \
      SELECT 'reports', 'agents', count(*) FROM reports r WHERE NOT EXISTS (SELECT 1 FROM agents a WHERE a.id = r.reporter) \
      UNION ALL \
      SELECT 'reports', 'agents', count(*) FROM reports r WHERE NOT EXISTS (SELECT 1 FROM agents a WHERE a.id = r.subject) \
      UNION ALL \
      SELECT 'reports', 'markets', count(*) FROM reports r WHERE NOT EXISTS (SELECT 1 FROM markets m WHERE m.id = r.market) \
      UNION ALL \
      SELECT 'statements', 'agents', count(*) FROM statements s WHERE NOT EXISTS (SELECT 1 FROM agents a WHERE a.id = s.agent) \
      UNION ALL \
      SELECT 'statements', 'epochs', count(*) FROM statements s WHERE NOT EXISTS (SELECT 1 FROM epochs e WHERE e.number = s.epoch) \
        AND s.epoch IS DISTINCT FROM (SELECT epoch FROM staging) \
      UNION ALL \
      SELECT 'tokens', 'agents', count(*) FROM tokens t WHERE NOT EXISTS (SELECT 1 FROM agents a WHERE a.id = t.agent) \
    ) q (child, parent, missing) WHERE missing > 0 GROUP BY 1, 2 ORDER BY 1, 2";

/// Names of the tables that the migrations make.
pub(in crate::store::postgres) fn tables() -> Vec<&'static str> {
    let named = EXPECTED.lines().filter_map(|l| l.strip_prefix("table "));
    named.filter_map(|l| l.split(' ').next()).collect()
}

impl PostgresSnapshot {
    pub(super) async fn read_engine(&mut self) -> Result<Engine, Error> {
        let sql = "SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('data_checksums'), \
             pg_is_in_recovery()";
        self.one(sqlx::query(sql), |row| {
            let version: String = row.value(0)?;
            let commit: String = row.value(1)?;
            let checksums: String = row.value(2)?;
            let standby = if row.value(3)? { ", a standby" } else { "" };
            Ok(Engine {
                name: format!("PostgreSQL {version}"),
                mode: format!("synchronous_commit {commit}, data checksums {checksums}{standby}"),
                sound: "indexes and constraints valid; durable commits are asserted with each of them",
                remedy: None,
            })
        })
        .await
    }

    pub(super) async fn own_check(&mut self, limit: u32) -> Result<Vec<String>, Error> {
        let sql = sqlx::query(UNSOUND).bind(tables()).bind(i64::from(limit));
        self.all(sql, |row| row.value(0)).await
    }

    pub(super) async fn foreign_keys(&mut self) -> Result<Vec<Dangling>, Error> {
        self.all(sqlx::query(DANGLING), |row| {
            Ok(Dangling {
                table: row.value(0)?,
                parent: row.value(1)?,
                rows: row.number(2)?,
            })
        })
        .await
    }

    pub(super) async fn compare_schema(&mut self) -> Result<Vec<String>, Error> {
        let migrated = self
            .one(sqlx::query(sql::HAS_MIGRATIONS), |row| row.value(0))
            .await?;
        let applied: Vec<schema::Applied> = if migrated {
            self.all(sqlx::query(sql::APPLIED), |row| {
                Ok((row.value(0)?, row.value(1)?, row.value(2)?))
            })
            .await?
        } else {
            Vec::new()
        };
        let found = schema::differences(&applied);
        if !found.is_empty() {
            return Ok(found);
        }
        let stored = self.objects().await?;
        let expected: Vec<&str> = EXPECTED.lines().collect();
        let missing = expected
            .iter()
            .filter(|line| !stored.iter().any(|own| is_same(own, line)))
            .map(|line| format!("{} is missing or altered", named(line)));
        let added = stored
            .iter()
            .filter(|line| !expected.iter().any(|own| named(own) == named(line)))
            .map(|line| format!("{} is not one of this program's", named(line)));
        Ok(missing.chain(added).collect())
    }

    /// A line for each object of the tables of ours that there are; what this gives of a migrated database is `EXPECTED`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn objects(&mut self) -> Result<Vec<String>, Error> {
        self.all(sqlx::query(OBJECTS).bind(tables()), |row| {
            row.try_get(0).map_err(|e| super::Failure::from(e).into())
        })
        .await
    }
}

/// Whether two lines say the same. `pg_dump` and `pg_restore` make a conjunction of three out of one of one and two, so parentheses do
/// not count in a CHECK.
fn is_same(own: &str, ours: &str) -> bool {
    let bare = |line: &str| line.replace(['(', ')'], "");
    own == ours || (ours.contains(" CHECK (") && bare(own) == bare(ours))
}

/// Kind and name of what a line is about.
fn named(line: &str) -> &str {
    let end = line
        .match_indices(' ')
        .nth(1)
        .map_or(line.len(), |(at, _)| at);
    &line[..end]
}
