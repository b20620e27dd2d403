//! Every statement on a large database: by which index, how many rows and how long, as a plan of its own and as the plan that a
//! prepared statement gets after a while (`generic`). `make explain` prints it for a million reports.

mod asked;
mod filled;

use std::collections::{BTreeMap, BTreeSet};

use goodstanding::store::postgres::{Purpose, pool, statements};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use self::asked::Asked;
use crate::support::postgres::Database;

/// Reports of the test suite: as many as make a scan of any table of reports a fault.
const REPORTS: u64 = 150_000;

/// Rows that a sequential scan may read: for a batch of look-ups in a table that is not larger, it is the faster way.
const SCANNED: u64 = 25_000;

/// What a plan did.
#[derive(Debug, Default)]
struct Plan {
    ms: f64,
    rows: u64,
    /// Pages of 8 KiB, in memory or read.
    pages: u64,
    /// Rows that were read and left out again.
    left_out: u64,
    indexes: BTreeSet<String>,
    /// Rows read by sequential scans, by table.
    scanned: BTreeMap<String, u64>,
}

impl Plan {
    fn of(explained: &Value) -> Self {
        let top = &explained[0]["Plan"];
        let number = |of: &Value, name: &str| of[name].as_f64().unwrap_or_default();
        let whole = |of: &Value, name: &str| of[name].as_u64().unwrap_or_default();
        let mut plan = Self {
            ms: number(&explained[0], "Execution Time"),
            rows: whole(top, "Actual Rows"),
            pages: whole(top, "Shared Hit Blocks") + whole(top, "Shared Read Blocks"),
            ..Self::default()
        };
        plan.walk(top);
        plan
    }

    fn walk(&mut self, node: &Value) {
        if let Some(index) = node["Index Name"].as_str() {
            self.indexes.insert(index.to_owned());
        }
        let loops = node["Actual Loops"].as_u64().unwrap_or(1);
        let rows = |name: &str| node[name].as_u64().unwrap_or_default() * loops;
        let left_out = rows("Rows Removed by Filter");
        self.left_out += left_out;
        if node["Node Type"] == "Seq Scan" {
            let table = node["Relation Name"].as_str().unwrap().to_owned();
            *self.scanned.entry(table).or_default() += rows("Actual Rows") + left_out;
        }
        for below in node["Plans"].as_array().into_iter().flatten() {
            self.walk(below);
        }
    }
}

async fn run(connection: &mut PgConnection, sql: String) {
    let ran = sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(connection)
        .await;
    ran.unwrap_or_else(|error| panic!("{error}\n{sql}"));
}

/// Twice, and the second time counts: pages that are in memory, as those that are asked for often are.
async fn explain(
    connection: &mut PgConnection,
    kind: &str,
    prepared: &str,
    arguments: &str,
) -> Plan {
    run(
        connection,
        format!("SET plan_cache_mode = force_{kind}_plan"),
    )
    .await;
    let execute = if arguments.is_empty() {
        prepared.to_owned()
    } else {
        format!("{prepared}({arguments})")
    };
    let sql = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {execute}");
    let mut plan = Plan::default();
    for _ in 0..2 {
        // What it writes is taken back.
        run(connection, "BEGIN".to_owned()).await;
        let row = sqlx::raw_sql(AssertSqlSafe(sql.clone()))
            .fetch_one(&mut *connection)
            .await;
        let row = row.unwrap_or_else(|error| panic!("{error}\n{sql:.2000}"));
        let text: String = row.try_get_unchecked(0).unwrap();
        plan = Plan::of(&serde_json::from_str(&text).unwrap());
        run(connection, "ROLLBACK".to_owned()).await;
    }
    plan
}

/// What is wrong with how a statement found its rows.
fn faults(of: &Asked, kind: &str, plan: &Plan) -> Vec<String> {
    let name = of.name;
    let mut wrong = Vec::new();
    let scanned = plan.scanned.values().sum::<u64>();
    if scanned > SCANNED && !of.reads_all {
        wrong.push(format!("{name}, {kind}: scans {:?}", plan.scanned));
    }
    // A page of an answer has a few look-ups a row, whatever comes before and after it.
    let batch = asked::BATCHES.iter().find(|batch| batch.0 == name);
    let most = match batch {
        Some((_, pages_a_row)) => pages_a_row * asked::BATCH,
        None => 1000 + 10 * plan.rows + 2 * plan.left_out,
    };
    let is_bound = batch.is_some() || (!of.reads_all && plan.rows > 0);
    if is_bound && plan.pages > most {
        wrong.push(format!("{name}, {kind}: reads {} pages", plan.pages));
    }
    if plan.left_out > of.may_leave_out {
        wrong.push(format!("{name}, {kind}: leaves {} rows out", plan.left_out));
    }
    wrong
}

/// A line of the table.
fn print(name: &str, kind: &str, plan: &Plan) {
    let indexes: Vec<_> = plan.indexes.iter().map(String::as_str).collect();
    println!(
        "{name:<42} {kind:<8} {:>6} {:>7} {:>6} {:>9.2}  {}",
        plan.rows,
        plan.pages,
        plan.left_out,
        plan.ms,
        indexes.join(" ")
    );
}

/// A connection as the service makes it.
async fn connection(database: &Database, purpose: Purpose) -> PgConnection {
    let pool = pool(1, purpose).connect(&database.url()).await;
    pool.unwrap().acquire().await.unwrap().detach()
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    let reports = std::env::var("GOODSTANDING_EXPLAIN_REPORTS").map_or(REPORTS, |count| {
        count
            .parse()
            .expect("GOODSTANDING_EXPLAIN_REPORTS is a number")
    });
    let database = Database::new().await;
    goodstanding::store::Store::close(&database.store().await).await;
    let mut other = database.connection().await;
    filled::fill(&mut other, reports).await;
    other.close().await.unwrap();
    let mut reader = connection(&database, Purpose::Reading).await;
    let mut writer = connection(&database, Purpose::Writing).await;
    println!("{reports} reports; per statement: plan, rows, pages, rows left out, ms, indexes");
    let mut known: BTreeSet<&str> = asked::SMALL.iter().copied().collect();
    let asked = asked::all(reports);
    known.extend(asked.iter().map(|of| of.name));
    let mut wrong = Vec::new();
    for (name, sql) in statements() {
        if !known.remove(name.as_str()) {
            wrong.push(format!(
                "{name} is neither asked here nor in the list of small ones"
            ));
        }
        let connection = if asked::WRITERS.contains(&&*name) {
            &mut writer
        } else {
            &mut reader
        };
        for of in asked.iter().filter(|of| of.name == name) {
            run(connection, format!("PREPARE asked AS {sql}")).await;
            for kind in ["custom", "generic"] {
                let plan = explain(connection, kind, "asked", &of.arguments).await;
                print(&name, kind, &plan);
                wrong.extend(faults(of, kind, &plan));
            }
            run(connection, "DEALLOCATE asked".to_owned()).await;
        }
    }
    wrong.extend(known.iter().map(|name| format!("{name} is no statement")));
    reader.close().await.unwrap();
    writer.close().await.unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A prepared statement keeps its plan until the tables' statistics change. Here it is made when they say that there is next to nothing, and
/// used when there is a lot, as in the first minute of an import.
#[tokio::test]
async fn a_plan_made_when_tables_were_small_is_good_when_they_are_large() {
    const SMALL: u64 = 200;
    const LARGE: u64 = 60_000;
    let database = Database::new().await;
    goodstanding::store::Store::close(&database.store().await).await;
    let mut other = database.connection().await;
    filled::start(&mut other).await;
    filled::grow(&mut other, 0..SMALL, LARGE).await;
    run(&mut other, "VACUUM (ANALYZE)".to_owned()).await;
    let mut writer = connection(&database, Purpose::Writing).await;
    let texts: BTreeMap<String, String> = statements().into_iter().collect();
    // What it may leave out belongs to one statement of several that have the same name.
    let asked = asked::all(LARGE);
    let of_writer: Vec<_> = asked
        .iter()
        .filter(|of| asked::WRITERS.contains(&of.name))
        .collect();
    for (n, of) in of_writer.iter().enumerate() {
        run(&mut writer, format!("PREPARE s{n} AS {}", texts[of.name])).await;
        explain(&mut writer, "generic", &format!("s{n}"), &of.arguments).await;
    }
    filled::grow(&mut other, SMALL..LARGE, LARGE).await;
    let mut wrong = Vec::new();
    for (n, of) in of_writer.iter().enumerate() {
        let plan = explain(&mut writer, "generic", &format!("s{n}"), &of.arguments).await;
        print(of.name, "kept", &plan);
        wrong.extend(faults(of, "kept", &plan));
    }
    other.close().await.unwrap();
    writer.close().await.unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
