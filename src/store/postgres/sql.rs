//! Every statement that the store uses, by name. A test prepares each of them on a migrated database.
//!
//! Sets go in and out as arrays: the text of a statement, and with it its plan, does not depend on how many there are.
//!
//! The writer's look-ups must find their rows by the same index whatever the statistics say: there are none of a new table, and a prepared
//! statement keeps the plan that was good when tables were small. Hence each is a sub-select of its own, where a join could begin
//! at any table; equality is written as a range from the value to itself and in the order of the index, so that no other
//! index gives that order; and the writer's connection neither scans tables nor sorts when it can do without (`SESSION`).

/// The columns that make a `StoredReport`.
macro_rules! report {
    () => {
        "SELECT r.idx, r.at_ms, r.id, r.historical, r.superseded_by, b.jws FROM reports r JOIN bodies b ON b.idx = r.idx "
    };
}

/// The number of the agent with this key, if there is one.
macro_rules! agent {
    ($key:literal) => {
        concat!(
            "(SELECT id FROM agents WHERE key >= ",
            $key,
            " AND key <= ",
            $key,
            " ORDER BY key LIMIT 1)"
        )
    };
}

/// The number of the market with this name, if there is one.
macro_rules! market {
    ($name:literal) => {
        concat!(
            "(SELECT id FROM markets WHERE name >= ",
            $name,
            " AND name <= ",
            $name,
            " ORDER BY name LIMIT 1)"
        )
    };
}

macro_rules! insert_entries {
    ($idx:literal, $at:literal, $kind:literal, $bytes:literal) => {
        concat!(
            "INSERT INTO entries (idx, at_ms, kind, bytes) SELECT * FROM unnest(",
            $idx,
            "::int8[], ",
            $at,
            "::int8[], ",
            $kind,
            "::text[], ",
            $bytes,
            "::bytea[])"
        )
    };
}

macro_rules! intern_markets {
    ($names:literal) => {
        concat!(
            "INSERT INTO markets (name) SELECT q.name FROM unnest(",
            $names,
            "::text[]) q (name) WHERE ",
            market!("q.name"),
            " IS NULL ORDER BY q.name COLLATE \"C\" ON CONFLICT (name) DO NOTHING"
        )
    };
}

/// Takes `$1` to `$12`. Fewer rows than were given when one names an agent or a market that there is not.
macro_rules! insert_reports {
    () => {
        concat!(
            "INSERT INTO reports (idx, id, at_ms, reporter, subject, market, trade_id, role, jti, historical, alone, superseded_by) \
             SELECT q.idx, q.id, q.at_ms, ra.id, sa.id, m.id, q.trade_id, q.role, q.jti, q.historical, q.alone, q.superseded_by \
             FROM unnest($1::int8[], $2::bytea[], $3::int8[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], $8::int2[], \
               $9::text[], $10::bool[], $11::bool[], $12::int8[]) \
               q (idx, id, at_ms, reporter, subject, market, trade_id, role, jti, historical, alone, superseded_by) \
             CROSS JOIN LATERAL ",
            agent!("q.reporter"),
            " ra CROSS JOIN LATERAL ",
            agent!("q.subject"),
            " sa CROSS JOIN LATERAL ",
            market!("q.market"),
            " m"
        )
    };
}

macro_rules! insert_bodies {
    ($idx:literal, $jws:literal) => {
        concat!(
            "INSERT INTO bodies (idx, jws) SELECT * FROM unnest(",
            $idx,
            "::int8[], ",
            $jws,
            "::text[])"
        )
    };
}

macro_rules! insert_documents {
    ($sha256:literal, $idx:literal) => {
        concat!(
            "INSERT INTO documents (sha256, idx) SELECT * FROM unnest(",
            $sha256,
            "::bytea[], ",
            $idx,
            "::int8[]) ON CONFLICT DO NOTHING"
        )
    };
}

macro_rules! insert_tiles {
    ($tree:literal, $level:literal, $n:literal, $hashes:literal) => {
        concat!(
            "INSERT INTO tiles (tree, level, n, hashes) SELECT * FROM unnest(",
            $tree,
            "::int8[], ",
            $level,
            "::int2[], ",
            $n,
            "::int8[], ",
            $hashes,
            "::bytea[]) ON CONFLICT (tree, level, n) DO UPDATE SET hashes = excluded.hashes"
        )
    };
}

/// The epoch of which rows are staged. The row is asked for by its key: a writer's plans never read a table from end to end.
macro_rules! staged {
    () => {
        "(SELECT epoch FROM staging WHERE one = 1)"
    };
}

/// Jobs `i` by number and first bytes.
macro_rules! tickets {
    () => {
        "unnest($1::int8[], $2::bytea[]) w (id, mark) WHERE i.id = w.id AND substring(i.job FROM 1 FOR 16) = w.mark"
    };
}

/// The number of the advisory lock of whoever leads: `good` in ASCII, then the table of turns. A database may have several logs, each in a schema
/// of its own and each with a lead of its own. This form of a lock has `objsubid` 1 in `pg_locks`.
macro_rules! lead {
    () => {
        "(1735356260::int8 << 32 | 'sequencer'::regclass::oid::int8)"
    };
}

/// Whether row `l` of `pg_locks` is that lock in somebody's hands.
macro_rules! is_lead {
    () => {
        concat!(
            "l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND (l.classid::int8 << 32 | l.objid::int8) = ",
            lead!()
        )
    };
}

/// Where the processes of one log call each other.
macro_rules! channel {
    () => {
        "'goodstanding_' || 'sequencer'::regclass::oid::text"
    };
}

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* pub(super) const $name: &str = $sql;)*

        /// Name and text of every fixed statement.
        const FIXED: &[(&str, &str)] = &[$((stringify!($name), $sql)),*];
    };
}

/// Commits, and before it looks whether that will be durable: all that decides on it may have changed since the connection was made. What will
/// not be is shown by a cast that fails, so that the server gets no further. Two statements, which cannot be prepared.
pub(super) const COMMIT: &str = "SELECT CASE WHEN current_setting('fsync') <> 'on' OR current_setting('full_page_writes') <> 'on' \
    OR current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') \
    THEN ('fsync=' || current_setting('fsync') || ', full_page_writes=' || current_setting('full_page_writes') \
      || ', synchronous_commit=' || current_setting('synchronous_commit'))::int4 END; COMMIT";

statements! {
    // Sessions.

    /// Pins what the service relies on, whatever role, database or server have as defaults. Values are milliseconds but
    /// for the keepalives, which are seconds; the server uses those to notice a service that is gone.
    SESSION = "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false), \
        set_config('idle_in_transaction_session_timeout', $3, false), set_config('default_transaction_isolation', 'read committed', false), \
        set_config('default_transaction_read_only', $4, false), set_config('jit', 'off', false), \
        set_config('enable_seqscan', $5, false), set_config('enable_bitmapscan', $5, false), \
        set_config('enable_sort', $5, false), set_config('enable_incremental_sort', 'off', false), \
        set_config('tcp_keepalives_idle', '60', false), set_config('tcp_keepalives_interval', '10', false), \
        set_config('tcp_keepalives_count', '3', false)";
    SETTINGS = "SELECT current_setting('server_version_num'), current_setting('server_encoding'), current_setting('fsync'), \
        current_setting('full_page_writes'), current_setting('synchronous_commit'), pg_is_in_recovery()";
    UNHURRIED = "SELECT set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', '0', false)";
    /// True when a transaction was left open: its time is that of its first statement, not of this one.
    LEFT_OPEN = "SELECT transaction_timestamp() < statement_timestamp()";
    /// For sessions whose writing nobody relies on: they wait for no standby.
    LOCAL = "SELECT set_config('synchronous_commit', 'local', false)";
    HAS_MIGRATIONS = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    HIDDEN_SCHEMA = "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relname = '_sqlx_migrations' AND c.relkind = 'r' AND NOT has_schema_privilege(n.oid, 'USAGE') \
        AND EXISTS (SELECT 1 FROM pg_class o WHERE o.relnamespace = n.oid AND o.relname = 'checkpoints') LIMIT 1";
    APPLIED = "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";

    // Heads and checkpoints.

    HEAD = "SELECT size, root, at_ms, note FROM head";
    /// Waits for another first commit that is still under way, and then inserts nothing.
    FIRST_HEAD = "INSERT INTO head (one, size, root, at_ms, note) VALUES (1, $1, $2, $3, $4) ON CONFLICT DO NOTHING";
    /// Waits for another commit that is still under way, looks at the row that it left, and then updates nothing.
    SWAP_HEAD = "UPDATE head SET size = $1, root = $2, at_ms = $3, note = $4 WHERE one = 1 AND size = $5 AND root = $6";
    /// Writes the head as it is.
    CONFIRM_HEAD = "UPDATE head SET size = $1 WHERE one = 1 AND size = $1 AND root = $2";
    /// Again after an interruption, or with more cosignatures: the time of the first publishing stays.
    PUBLISH = "INSERT INTO checkpoints (size, published_ms, note) VALUES ($1, $2, $3) \
        ON CONFLICT (size) DO UPDATE SET note = excluded.note";
    CHECKPOINTS = "SELECT size, published_ms, note FROM checkpoints WHERE size >= $1 ORDER BY size LIMIT $2";
    NEWEST_CHECKPOINTS = "SELECT size, published_ms, note FROM checkpoints WHERE size < $1 ORDER BY size DESC LIMIT $2";
    PUBLISHED = "SELECT size, published_ms, note FROM checkpoints WHERE size = coalesce($1, (SELECT max(size) FROM checkpoints))";

    // Entries and tiles.

    INSERT_ENTRIES = insert_entries!("$1", "$2", "$3", "$4");
    ENTRIES = "SELECT bytes FROM entries WHERE idx >= $1 AND idx < $2 ORDER BY idx";
    EVENTS = "SELECT idx, bytes FROM entries WHERE kind = $1 AND kind <> 'report' AND idx < $2 ORDER BY idx";
    /// A binary search: log time never decreases with the index. Ends with `low = high` unless an entry is missing.
    INDEX_AT = "WITH RECURSIVE search (step, low, high) AS ( \
            SELECT 0, 0::int8, coalesce((SELECT size FROM head), 0) \
          UNION ALL \
            SELECT s.step + 1, CASE WHEN e.at_ms < $1 THEN e.idx + 1 ELSE s.low END, CASE WHEN e.at_ms < $1 THEN s.high ELSE e.idx END \
            FROM search s JOIN entries e ON e.idx = s.low + (s.high - s.low) / 2 WHERE s.low < s.high \
        ) SELECT low, high FROM search ORDER BY step DESC LIMIT 1";
    INSERT_TILES = insert_tiles!("$1", "$2", "$3", "$4");
    TILES = concat!("SELECT t.level, t.n, t.hashes FROM unnest($2::int2[], $3::int8[]) q (level, n) \
        JOIN tiles t ON t.tree = $1 AND t.level = q.level AND t.n = q.n WHERE $1 IS DISTINCT FROM ", staged!());

    // Reports.

    /// Those that are there already cost no number; `ON CONFLICT` is for another process that comes between. In the order of
    /// their keys, so that two processes never wait for each other crosswise.
    INTERN = concat!("WITH m AS (", intern_markets!("$2"), ") INSERT INTO agents (key) SELECT q.key FROM unnest($1::bytea[]) q (key) \
        WHERE ", agent!("q.key"), " IS NULL ORDER BY q.key ON CONFLICT (key) DO NOTHING");
    INTERN_MARKETS = intern_markets!("$1");
    SUPERSEDE = "UPDATE reports SET superseded_by = ($2::int8[])[array_position($1::int8[], idx)] \
        WHERE idx = ANY($1::int8[]) AND superseded_by IS NULL";
    INSERT_REPORTS = insert_reports!();
    INSERT_BODIES = insert_bodies!("$1", "$2");
    INSERT_DOCUMENTS = insert_documents!("$1", "$2");
    /// All rows of a commit, so that it waits for one answer and not for five. Gives the number of reports.
    INSERT_ROWS = concat!("WITH e AS (", insert_entries!("$13", "$14", "$15", "$16"), "), \
        b AS (", insert_bodies!("$1", "$17"), "), d AS (", insert_documents!("$18", "$19"), "), \
        t AS (", insert_tiles!("$20", "$21", "$22", "$23"), ") ", insert_reports!());
    /// Agents, markets and what the daily quota counts once a batch, as arrays that rows name by place (0: none). Nothing has the
    /// number 0.
    ADMISSION_FACTS = concat!("WITH a AS MATERIALIZED (SELECT array_agg(coalesce(", agent!("u.key"), ", 0) ORDER BY u.n) AS ids \
            FROM unnest($1::bytea[]) WITH ORDINALITY u (key, n)), \
          m AS MATERIALIZED (SELECT array_agg(coalesce(", market!("u.name"), ", 0) ORDER BY u.n) AS ids \
            FROM unnest($2::text[]) WITH ORDINALITY u (name, n)), \
          w AS MATERIALIZED (SELECT array_agg((SELECT count(*) FROM (SELECT 1 FROM reports r \
              WHERE r.reporter = a.ids[u.agent] AND r.alone AND r.at_ms >= u.since ORDER BY r.at_ms) r) ORDER BY u.n) AS counts \
            FROM a, unnest($3::int4[], $4::int8[]) WITH ORDINALITY u (agent, since, n)) \
        SELECT (SELECT s.idx FROM reports s WHERE s.id >= q.id AND s.id <= q.id ORDER BY s.id LIMIT 1), \
          (SELECT x.by FROM erased x WHERE x.id >= q.id AND x.id <= q.id ORDER BY x.id LIMIT 1), \
          (SELECT j.id FROM reports j WHERE j.reporter = a.ids[q.reporter] AND j.jti >= q.jti AND j.jti <= q.jti ORDER BY j.jti LIMIT 1), \
          c.idx, c.id, \
          (SELECT o.role FROM reports o WHERE o.superseded_by IS NULL \
            AND (o.reporter, o.subject, o.market, o.trade_id) >= (a.ids[q.subject], a.ids[q.reporter], m.ids[q.market], q.trade) \
            AND (o.reporter, o.subject, o.market, o.trade_id) <= (a.ids[q.subject], a.ids[q.reporter], m.ids[q.market], q.trade) \
            ORDER BY o.reporter, o.subject, o.market, o.trade_id LIMIT 1) IS NOT DISTINCT FROM 1 - q.role, \
          coalesce(w.counts[q.alone], 0) \
        FROM a, m, w, unnest($5::bytea[], $6::int4[], $7::int4[], $8::int4[], $9::text[], $10::int2[], $11::text[], $12::int4[]) \
          WITH ORDINALITY q (id, reporter, subject, market, trade, role, jti, alone, n) \
        LEFT JOIN LATERAL (SELECT r.idx, r.id FROM reports r WHERE r.superseded_by IS NULL \
          AND (r.reporter, r.subject, r.market, r.trade_id) >= (a.ids[q.reporter], a.ids[q.subject], m.ids[q.market], q.trade) \
          AND (r.reporter, r.subject, r.market, r.trade_id) <= (a.ids[q.reporter], a.ids[q.subject], m.ids[q.market], q.trade) \
          ORDER BY r.reporter, r.subject, r.market, r.trade_id LIMIT 1) c ON true \
        ORDER BY q.n");
    /// What holds for one index holds for the other, but the planner does not know: it would merge with all bodies from the first.
    BODIES = concat!(report!(), "WHERE r.idx >= $1 AND r.idx < $2 AND b.idx >= $1 ORDER BY r.idx LIMIT $3");
    REPORT = concat!(report!(), "WHERE r.id = $1");
    NEWEST_REPORT = concat!(report!(), "ORDER BY r.idx DESC LIMIT 1");
    /// One statement, so one state of the database for both parties.
    CURRENT_REPORTS = "SELECT c.* FROM unnest($3::bytea[], $4::bytea[]) WITH ORDINALITY q (reporter, subject, n) \
        CROSS JOIN LATERAL ( \
          SELECT r.idx, r.at_ms, r.id, r.historical, r.superseded_by, b.jws FROM reports r JOIN bodies b ON b.idx = r.idx \
          WHERE r.trade_id = $2 AND r.market = (SELECT id FROM markets WHERE name = $1) \
            AND r.reporter = (SELECT id FROM agents WHERE key = q.reporter) AND r.subject = (SELECT id FROM agents WHERE key = q.subject) \
            AND r.idx < $5 \
          ORDER BY r.idx DESC LIMIT 1) c \
        ORDER BY q.n";
    KNOWN_DOCUMENTS = "SELECT q.sha256 FROM (SELECT DISTINCT sha256 FROM unnest($1::bytea[]) u (sha256)) q \
        WHERE (SELECT d.idx FROM documents d WHERE d.sha256 >= q.sha256 AND d.sha256 <= q.sha256 ORDER BY d.sha256 LIMIT 1) IS NOT NULL";
    REPORTS_WITH_DOCUMENT = concat!(report!(), "JOIN documents d ON d.idx = r.idx WHERE d.sha256 = $1 ORDER BY d.idx LIMIT $2");

    // Erasure.

    /// Each part has the limit of its own: otherwise both are read to their ends, and sorted.
    LOG_BODIES = "(SELECT idx, jws, NULL::int8 FROM bodies WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3) \
        UNION ALL (SELECT idx, NULL, by FROM erased WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3) ORDER BY 1 LIMIT $3";
    ERASED = "SELECT x.idx, x.id, x.by, e.bytes FROM erased x JOIN entries e ON e.idx = x.by WHERE x.id = $1";
    ERASED_SINCE = "SELECT count(*) FROM erased WHERE by >= $1 AND idx < $1";
    ERASE_REPORT = "DELETE FROM reports WHERE idx = $1 AND id = $2 RETURNING reporter, subject, market, trade_id, superseded_by";
    ERASE_BODY = "DELETE FROM bodies WHERE idx = $1";
    ERASE_DOCUMENTS = "DELETE FROM documents WHERE idx = $1";
    /// Whoever has only the bodies that are left sees the report before it followed by the one after it.
    CLOSE_CHAIN = "UPDATE reports SET superseded_by = $1 WHERE idx = ANY(ARRAY(SELECT idx FROM reports \
        WHERE (trade_id, market, reporter, subject) >= ($2, $3, $4, $5) AND (trade_id, market, reporter, subject) <= ($2, $3, $4, $5) \
          AND superseded_by = $6 ORDER BY trade_id, market, reporter, subject))";
    /// The first market at or after this one in the index: asked for a row of the market itself, the planner expects one soon, and
    /// looks through all reports when there is none.
    DROP_MARKET = "DELETE FROM markets WHERE id = $1 \
        AND (SELECT market FROM reports WHERE market >= $1 ORDER BY market LIMIT 1) IS DISTINCT FROM $1";
    DROP_AGENTS = "DELETE FROM agents a WHERE a.id IN ($1, $2) \
        AND (SELECT 1 FROM reports WHERE reporter >= a.id AND reporter <= a.id ORDER BY reporter LIMIT 1) IS NULL \
        AND (SELECT 1 FROM reports WHERE subject >= a.id AND subject <= a.id ORDER BY subject LIMIT 1) IS NULL \
        AND (SELECT 1 FROM statements WHERE agent >= a.id AND agent <= a.id ORDER BY agent LIMIT 1) IS NULL \
        AND (SELECT 1 FROM tokens WHERE agent >= a.id AND agent <= a.id ORDER BY agent LIMIT 1) IS NULL";
    INSERT_ERASED = "INSERT INTO erased (idx, id, by) VALUES ($1, $2, $3)";
    NOW = "SELECT clock_timestamp()::text";
    /// Tables vacuumed and analyzed since a time, dead bodies that are left, and how many of the tables the role may vacuum itself.
    VACUUMED = "SELECT count(*) FILTER (WHERE greatest(s.last_vacuum, s.last_autovacuum) >= $2::text::timestamptz \
            AND greatest(s.last_analyze, s.last_autoanalyze) >= $2::text::timestamptz), \
          coalesce(sum(s.n_dead_tup) FILTER (WHERE c.relname = 'bodies'), 0)::int8, \
          count(*) FILTER (WHERE pg_has_role(c.relowner, 'USAGE') OR (current_setting('server_version_num')::int >= 170000 \
            AND has_table_privilege(c.oid, CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 'MAINTAIN' ELSE 'SELECT' END))) \
        FROM unnest($1::text[]) q (name) JOIN pg_class c ON c.oid = to_regclass(q.name) \
        JOIN pg_stat_all_tables s ON s.relid = c.oid";

    /// Whether a report was erased and one of the tables was not vacuumed and analyzed since, by a minute's margin between the log's
    /// clock and the server's. Log time never decreases, so the newest erasure tells.
    UNSCRUBBED = "SELECT EXISTS (SELECT 1 FROM unnest($1::text[]) q (name) JOIN pg_stat_all_tables s ON s.relid = to_regclass(q.name) \
        JOIN entries e ON e.idx = (SELECT max(by) FROM erased) WHERE (q.name = 'bodies' AND s.n_dead_tup > 0) \
          OR to_timestamp(e.at_ms / 1000.0 + 60) >= coalesce(greatest(s.last_vacuum, s.last_autovacuum), '-infinity') \
          OR to_timestamp(e.at_ms / 1000.0 + 60) >= coalesce(greatest(s.last_analyze, s.last_autoanalyze), '-infinity'))";

    // Epochs and statements.

    INSERT_EPOCH = "INSERT INTO epochs (number, idx, salt_key) VALUES ($1, $2, $3)";
    INSERT_STATEMENTS = concat!("INSERT INTO statements (epoch, leaf, agent, reached, claims) \
        SELECT $1, q.leaf, a.id, q.reached, q.claims FROM unnest($2::int8[], $3::bytea[], $4::bool[], $5::text[]) \
          q (leaf, agent, reached, claims) CROSS JOIN LATERAL ", agent!("q.agent"), " a");
    EPOCH = "SELECT e.number, e.idx, e.salt_key, l.bytes FROM epochs e JOIN entries l ON l.idx = e.idx \
        WHERE e.number = coalesce($1, (SELECT max(number) FROM epochs))";
    EPOCHS = "SELECT e.number, e.idx, e.salt_key, l.bytes FROM epochs e JOIN entries l ON l.idx = e.idx \
        WHERE e.number < $1 ORDER BY e.number DESC LIMIT $2";
    STATEMENTS = concat!("SELECT s.epoch, s.leaf, a.key, s.claims FROM statements s \
        CROSS JOIN LATERAL (SELECT key FROM agents WHERE id = s.agent LIMIT 1) a \
        WHERE s.epoch = $1 AND s.leaf >= $2 AND $1 IS DISTINCT FROM ", staged!(), " ORDER BY s.leaf LIMIT $3");
    STATEMENTS_OF = concat!("SELECT s.epoch, s.leaf, a.key, s.claims FROM agents a JOIN statements s ON s.agent = a.id \
        WHERE a.key = $1 AND s.epoch < $2 AND s.epoch IS DISTINCT FROM ", staged!(), " ORDER BY s.epoch DESC LIMIT $3");
    REACHED = "SELECT a.key FROM statements s JOIN agents a ON a.id = s.agent \
        WHERE s.epoch = (SELECT max(number) FROM epochs) AND s.reached";

    // Staging. Whoever changes what is staged has the one row first.

    CLAIM_STAGING = "INSERT INTO staging (one, token, leaves) VALUES (1, $1, 0) ON CONFLICT (one) DO UPDATE SET token = excluded.token \
        RETURNING leaves";
    DISOWN_STAGED = "UPDATE staging SET token = NULL WHERE one = 1 RETURNING leaves";
    STAGE = "UPDATE staging SET epoch = $2, leaves = $4 WHERE one = 1 AND token = $1 AND leaves = $3 AND (epoch = $2 OR leaves = 0) \
        AND NOT EXISTS (SELECT 1 FROM epochs WHERE number >= $2)";
    HOLD_STAGING = "SELECT epoch, leaves FROM staging WHERE one = 1 AND token IS NOT DISTINCT FROM $1 FOR UPDATE";
    REMOVE_STAGED = "DELETE FROM statements WHERE epoch = $1 AND leaf >= $2 RETURNING agent";
    /// `$3`: of which level, all if NULL.
    REMOVE_STAGED_TILES = "DELETE FROM tiles WHERE tree = $1 AND level = ANY(CASE WHEN $3::int2 IS NULL \
        THEN '{0,1,2,3,4,5,6,7}' ELSE ARRAY[$3::int2] END::int2[]) AND n >= $2";
    /// Agents that came with a staged statement, if nothing else names them.
    DROP_UNNAMED = "DELETE FROM agents a WHERE a.id = ANY($1::int8[]) AND a.alias IS NULL \
        AND (SELECT 1 FROM reports WHERE reporter >= a.id AND reporter <= a.id ORDER BY reporter LIMIT 1) IS NULL \
        AND (SELECT 1 FROM reports WHERE subject >= a.id AND subject <= a.id ORDER BY subject LIMIT 1) IS NULL \
        AND (SELECT 1 FROM statements WHERE agent >= a.id AND agent <= a.id ORDER BY agent LIMIT 1) IS NULL \
        AND (SELECT 1 FROM tokens WHERE agent >= a.id AND agent <= a.id ORDER BY agent LIMIT 1) IS NULL";
    SHORTEN_STAGED = "UPDATE staging SET leaves = $1, epoch = CASE WHEN $1::int8 > 0 THEN epoch END WHERE one = 1";
    TAKE_STAGED = "DELETE FROM staging WHERE one = 1 AND token = $1 AND leaves = $3 AND (epoch = $2 OR leaves = 0)";
    UNSTAGE_AGENTS = concat!("DELETE FROM statements WHERE agent IN ($1, $2) AND epoch = ", staged!());

    // Names, tokens, settings.

    SET_ALIAS = "UPDATE agents SET alias = $1 WHERE key = $2 AND alias IS DISTINCT FROM $1";
    AGENT_OF_ALIAS = "SELECT key FROM agents WHERE alias = $1";
    ALIASES = "SELECT alias, key FROM agents WHERE alias IS NOT NULL ORDER BY key";
    ADD_TOKEN = "INSERT INTO tokens (list, idx, agent, epoch, iat, exp) \
        SELECT $1, $2, id, $3, $4, $5 FROM agents WHERE key = $6 ON CONFLICT (list, idx) DO NOTHING";
    STATUS_LIST = "SELECT count(*), coalesce(array_agg(idx ORDER BY idx) FILTER (WHERE revoked), '{}') FROM tokens WHERE list = $1";
    NEWEST_STATUS_LIST = "SELECT max(list) FROM tokens";
    META = "SELECT value FROM meta WHERE key = $1";
    SET_META = "INSERT INTO meta (key, value) VALUES ($1, $2)";
    REPLACE_META = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    SCHEMA_BYTES = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = $1 AND c.relkind = 'r'";

    // Several processes.

    TRY_LEAD = concat!("SELECT pg_try_advisory_lock(", lead!(), ")");
    /// Ends every connection of a process that leads and has been silent for $1 seconds, and whoever holds the lock but has
    /// done nothing with it for as long (it was stopped before it could say who it is). Not what waits for a standby: its transaction is
    /// committed here, and ended it would be seen although no standby has it.
    END_SILENT = concat!("WITH silent AS (SELECT application FROM sequencer WHERE beat_at < clock_timestamp() - make_interval(secs => $1)) \
        SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a, silent s \
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.wait_event IS DISTINCT FROM 'SyncRep' \
        AND (a.application_name = s.application OR \
        (a.state_change < clock_timestamp() - make_interval(secs => $1) AND a.pid IN (SELECT l.pid FROM pg_locks l WHERE ", is_lead!(), ")))");
    /// Who holds the lock, for people.
    HOLDER = concat!("SELECT format('pid %s, application %s, role %s, %s', l.pid, coalesce(nullif(a.application_name, ''), 'without a name'), \
        coalesce(a.usename::text, 'unknown'), coalesce(host(a.client_addr), 'over a socket')) \
        FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE ", is_lead!(), " LIMIT 1");
    CHANNEL = concat!("SELECT ", channel!());
    /// Changes the key of the turn's row: waits for every transaction that shares it.
    TAKE_TURN = "WITH taken AS (INSERT INTO sequencer (term, one, application, beat_at) \
        VALUES (1, 1, $1, clock_timestamp()) \
        ON CONFLICT (one) DO UPDATE SET term = sequencer.term + 1, application = excluded.application, beat_at = excluded.beat_at \
        RETURNING term) \
        INSERT INTO turns (term, name, holder, since_ms) \
        SELECT term, $2, $3, (extract(epoch FROM clock_timestamp()) * 1000)::int8 FROM taken RETURNING term, name, holder, since_ms, \
        current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')";
    /// Waits for no standby: without one nothing can be logged, and whoever leads still leads.
    BEAT = "UPDATE sequencer SET beat_at = clock_timestamp() \
        FROM (SELECT set_config('synchronous_commit', 'local', true)) c (value) WHERE term = $1 AND c.value = 'local'";
    /// Seconds since whoever leads was heard of.
    SILENCE = "SELECT greatest(0, extract(epoch FROM clock_timestamp() - beat_at))::float8 FROM sequencer";
    SHARE_TURN = "SELECT 1 FROM sequencer WHERE term = $1 FOR KEY SHARE";
    NEWEST_TURN = "SELECT term, name, holder, since_ms FROM turns ORDER BY term DESC LIMIT 1";
    HAD_TURN = "SELECT 1 FROM turns WHERE name = $1";
    SEND_JOBS = concat!("WITH sent AS (INSERT INTO inbox (job) SELECT j.job FROM unnest($1::bytea[]) WITH ORDINALITY j (job, n) ORDER BY j.n \
        RETURNING id) SELECT id, pg_notify(", channel!(), ", 'job')::text FROM sent ORDER BY id");
    /// By what is left out and not by a last number: numbers become visible out of order. `$3`: the bytes after which no more are
    /// wanted; of a job longer than `$4`, only that it is there.
    WAITING_JOBS = "SELECT q.id, CASE WHEN q.bytes <= $4 THEN q.job END FROM (SELECT id, job, octet_length(job) AS bytes, \
          sum(least(octet_length(job), $4::int4)) OVER (ORDER BY id) AS total \
          FROM inbox WHERE answer IS NULL AND id <> ALL($1::int8[]) ORDER BY id LIMIT $2) q \
        WHERE q.total - least(q.bytes, $4::int4) < $3 ORDER BY q.id";
    ANSWER_JOBS = concat!("WITH turn AS (SELECT 1 FROM sequencer WHERE term = $1 FOR KEY SHARE), \
        answered AS (UPDATE inbox SET answer = a.answer FROM unnest($2::int8[], $3::bytea[]) a (id, answer), turn \
        WHERE inbox.id = a.id RETURNING 1), told AS (SELECT pg_notify(", channel!(), ", 'answer')::text) \
        SELECT EXISTS (SELECT 1 FROM turn), (SELECT count(*) FROM answered), (SELECT count(*) FROM told)");
    COLLECT_ANSWERS = concat!("DELETE FROM inbox i USING ", tickets!(), " AND i.answer IS NOT NULL RETURNING i.id, i.answer");
    PRESENT_JOBS = concat!("SELECT i.id FROM inbox i, ", tickets!());
    WITHDRAW_JOBS = concat!("DELETE FROM inbox i USING ", tickets!());
    CLEAN_INBOX = "DELETE FROM inbox WHERE sent_at < clock_timestamp() - make_interval(secs => $1) AND id <> ALL($2::int8[])";
    /// The newest turn, how long its holder has been silent, ms, and whether somebody has the lock.
    LAST_TURN = concat!("SELECT t.holder, t.since_ms, \
        greatest(0, extract(epoch FROM clock_timestamp() - s.beat_at) * 1000)::int8, \
        EXISTS (SELECT 1 FROM pg_locks l WHERE ", is_lead!(), ") \
        FROM turns t JOIN sequencer s ON s.term = t.term ORDER BY t.term DESC LIMIT 1");
    IS_LED = "SELECT EXISTS (SELECT 1 FROM sequencer WHERE beat_at > clock_timestamp() - make_interval(secs => $1))";
}

/// Which conditions a list of reports has besides the smallest index: on subject, reporter, market, trade id. Each combination is
/// a statement of its own, so that none is planned for conditions that it does not have.
pub(super) type Filtered = [bool; 4];

/// `$1` is the smallest index and `$2` the limit; then subject, reporter, market and trade id, those that there are.
pub(super) fn reports(filtered: Filtered) -> String {
    const CONDITIONS: [(&str, &str); 4] = [
        ("r.subject", "(SELECT id FROM agents WHERE key = $)"),
        ("r.reporter", "(SELECT id FROM agents WHERE key = $)"),
        ("r.market", "(SELECT id FROM markets WHERE name = $)"),
        ("r.trade_id", "$"),
    ];
    // Neighbours in the log: bodies come in the same order, and are read side by side.
    if filtered == [false; 4] {
        return String::from(concat!(
            report!(),
            "WHERE r.idx >= $1 AND b.idx >= $1 ORDER BY r.idx LIMIT $2"
        ));
    }
    let present = CONDITIONS
        .iter()
        .zip(filtered)
        .filter(|(_, wanted)| *wanted);
    let conditions: Vec<_> = (3..)
        .zip(present)
        .map(|(place, ((column, value), _))| (*column, value.replace('$', &format!("${place}"))))
        .collect();
    // Few of those in between are among them: a look-up a report. As a join, the planner would read all bodies side by side.
    let mut sql = String::from(
        "SELECT r.idx, r.at_ms, r.id, r.historical, r.superseded_by, b.jws FROM reports r \
         CROSS JOIN LATERAL (SELECT jws FROM bodies WHERE idx = r.idx LIMIT 1) b WHERE ",
    );
    // Of one agent or market alone, the planner would sort all of its reports, or walk the whole log until it has enough: it does not
    // know which of them is large. This names a range of one index, and the order is that of no other.
    if let [(column, value)] = &*conditions
        && *column != "r.trade_id"
    {
        let range = format!(
            "({column}, r.idx) >= ({value}, $1) AND {column} <= {value} ORDER BY {column}, r.idx LIMIT $2"
        );
        sql.push_str(&range);
        return sql;
    }
    sql.push_str("r.idx >= $1");
    for (column, value) in conditions {
        sql.extend([" AND ", column, " = ", &value]);
    }
    sql.push_str(" ORDER BY r.idx LIMIT $2");
    sql
}

/// Name and text of everything that the store asks a database, `VACUUM` apart, which cannot be prepared.
pub fn all() -> Vec<(String, String)> {
    let mut all: Vec<_> = FIXED
        .iter()
        .map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned()))
        .collect();
    for bits in 0..16_u8 {
        let filtered = [1, 2, 4, 8].map(|bit| bits & bit != 0);
        all.push((format!("REPORTS {filtered:?}"), reports(filtered)));
    }
    all
}
