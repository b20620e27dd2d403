//! `doctor` on PostgreSQL, as an operator runs it: it names what is wrong with server, schema, role and lead, and what to do.

use std::{collections::BTreeMap, process::Command};

use goodstanding::{
    log::cluster::LEASE,
    moving::{self, End},
    store::{Store as _, cluster::Cluster as _, postgres::look::RIGHTS},
};
use serde_json::Value;

use crate::{
    moved::request,
    roles::documented,
    support::postgres::{Database, execute},
    whole::everything,
};

struct Patient {
    data: tempfile::TempDir,
    database: Database,
}

/// What it says by the name of the check: how bad, what, and what to do.
type Said = BTreeMap<String, (String, String, String)>;

impl Patient {
    async fn new() -> Self {
        let (data, database) = (everything().await, Database::new().await);
        let from = End::Directory(data.path().to_owned());
        let to = End::Server(database.url());
        moving::run(&request(from, to, data.path())).await.unwrap();
        Self { data, database }
    }

    fn told(&self, url: &str) -> (Option<i32>, Said) {
        let ran = Command::new(env!("CARGO_BIN_EXE_goodstanding"))
            .args(["doctor", "--json", "--data"])
            .arg(self.data.path())
            .env("GOODSTANDING_DATABASE_URL", url)
            .output()
            .unwrap();
        let all: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        let text = |check: &Value, member: &str| check[member].as_str().unwrap_or("").to_owned();
        let said = all["checks"].as_array().unwrap().iter().map(|check| {
            let rest = (
                text(check, "state"),
                text(check, "detail"),
                text(check, "advice"),
            );
            (text(check, "name"), rest)
        });
        (ran.status.code(), said.collect())
    }

    /// That a check says this, and that it is this bad.
    fn says(&self, url: &str, name: &str, state: &str, words: &str) {
        let (code, said) = self.told(url);
        let Some((found, detail, advice)) = said.get(name) else {
            panic!("no {name}: {said:#?}");
        };
        assert!(
            found == state && detail.contains(words),
            "{name}: {said:#?}"
        );
        assert_eq!(state == "ok", advice.is_empty(), "{name}: {advice}");
        if state == "problem" {
            assert_eq!(code, Some(1));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_names_what_is_wrong_on_a_server() {
    let patient = Patient::new().await;
    let url = patient.database.url();
    let (code, said) = patient.told(&url);
    let state = |name: &str| said[name].0.as_str();
    assert_eq!(code, Some(0), "{said:#?}");
    for name in [
        "database",
        "schema",
        "head guard",
        "inbox",
        "clocks",
        "keys",
        "space",
    ] {
        assert_eq!(state(name), "ok", "{said:#?}");
    }
    assert!(
        said["server"].1.contains("synchronous_commit=on"),
        "{said:#?}"
    );
    // The test's own role.
    assert!(state("role") == "warning" && said["role"].1.contains("is a superuser"));
    patient.says(&url, "lead", "warning", "nobody writes; the last was");

    let store = patient.database.store().await;
    store.try_lead(LEASE).await.unwrap().unwrap();
    patient.says(&url, "lead", "ok", &std::process::id().to_string());
    let silent = "UPDATE sequencer SET beat_at = clock_timestamp() - interval '1 min'";
    patient.database.execute(silent).await;
    patient.says(&url, "lead", "problem", "silent for 6");
    store.close().await;

    let sent = "INSERT INTO inbox (job, sent_at) VALUES ('', clock_timestamp() - interval '1 min')";
    patient.database.execute(sent).await;
    patient.says(
        &url,
        "inbox",
        "warning",
        "1 job not answered yet, the oldest for 6",
    );

    std::fs::write(patient.data.path().join("log.turn"), "another\n").unwrap();
    patient.says(&url, "past", "problem", "never had");
    std::fs::remove_file(patient.data.path().join("log.turn")).unwrap();

    let name = &patient.database.name;
    let set = |what: &str| format!("ALTER DATABASE {name} {what}");
    patient
        .database
        .execute(&set("SET synchronous_commit = off"))
        .await;
    patient.says(&url, "server", "problem", "synchronous_commit=off");
    // Whatever only reads does not mind.
    let scores = Command::new(env!("CARGO_BIN_EXE_goodstanding"))
        .args(["scores", "--data"])
        .arg(patient.data.path())
        .env("GOODSTANDING_DATABASE_URL", &url)
        .output()
        .unwrap();
    assert!(
        scores.status.success() && scores.stdout.starts_with(b"agent,"),
        "{scores:?}"
    );
    patient
        .database
        .execute(&set("RESET synchronous_commit"))
        .await;
    patient.database.execute(&set("CONNECTION LIMIT 5")).await;
    patient.says(&url, "connections", "problem", "the database's limit");

    let older =
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    patient.database.execute(older).await;
    patient.says(&url, "schema", "problem", "older than this program");

    let guard = patient.data.path().join("head.guard");
    std::fs::remove_file(guard).unwrap();
    patient.says(&url, "head guard", "problem", "is missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_names_the_rights_that_a_role_lacks() {
    let patient = Patient::new().await;
    let database = &patient.database;
    let role = format!("{}_service", database.name);
    database
        .execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'"))
        .await;
    let url = database.url_as(&role, "secret");
    let examined = tokio::spawn({
        let (admin, rights) = (database.url(), documented("-- rights"));
        let role = role.clone();
        async move {
            let grant = |sql: &str| sql.replace("goodstanding_service", &role);
            patient.says(&url, "role", "problem", "SELECT ON entries");
            execute(&admin, &grant(&rights)).await;
            patient.says(&url, "role", "ok", "has the rights it needs");
            for (taken, told) in [
                ("UPDATE (answer) ON inbox", "UPDATE (answer) ON inbox"),
                ("DELETE ON bodies", "DELETE ON bodies"),
                ("SELECT ON turns", "SELECT ON turns"),
                ("SELECT ON _sqlx_migrations", "SELECT ON _sqlx_migrations"),
            ] {
                execute(&admin, &format!("REVOKE {taken} FROM {role}")).await;
                patient.says(&url, "role", "problem", &format!("lacks {told}"));
                execute(&admin, &grant(&rights)).await;
            }
            execute(&admin, "REVOKE USAGE ON SCHEMA public FROM PUBLIC").await;
            execute(
                &admin,
                &format!("REVOKE USAGE ON SCHEMA public FROM {role}"),
            )
            .await;
            patient.says(&url, "schema", "problem", "may not use the schema public");
            patient
        }
    })
    .await;
    let patient = examined.unwrap();
    let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    patient.database.execute(&drop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_why_a_server_does_not_let_it_in() {
    let patient = Patient::new().await;
    let url = patient.database.url();
    let mut wrong = reqwest::Url::parse(&url).unwrap();
    wrong.set_password(Some("wrong")).unwrap();
    patient.says(
        wrong.as_str(),
        "server",
        "problem",
        "check user and password",
    );
    patient.says(&format!("{url}_none"), "server", "problem", "3D000");
    let mut nobody = reqwest::Url::parse(&url).unwrap();
    nobody.set_port(Some(1)).unwrap();
    patient.says(
        nobody.as_str(),
        "server",
        "problem",
        "127.0.0.1:1 cannot be reached",
    );
}

/// What is looked for is what docs/OPERATIONS.md grants, no more and no less.
#[test]
fn the_rights_are_those_that_are_documented() {
    let block = documented("-- rights");
    let mut written: Vec<String> = Vec::new();
    for statement in block.split(';') {
        let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let Some(grant) = words.split("GRANT ").nth(1) else {
            continue;
        };
        let (what, rest) = grant.split_once(" ON ").unwrap();
        if rest.starts_with("SCHEMA") || rest.starts_with("ALL TABLES") {
            continue;
        }
        let (privilege, columns) = what.split_once(" (").unwrap_or((what, ")"));
        let tables = rest.split(" TO ").next().unwrap();
        for table in tables.split(", ") {
            for column in columns.trim_end_matches(')').split(", ") {
                written.push(format!("{privilege} {table} {column}"));
            }
        }
    }
    let mut looked_for = Vec::new();
    for (privilege, tables, columns) in RIGHTS {
        for table in *tables {
            let columns = if columns.is_empty() {
                &[""][..]
            } else {
                columns
            };
            looked_for.extend(columns.iter().map(|c| format!("{privilege} {table} {c}")));
        }
    }
    written.sort();
    looked_for.sort();
    assert_eq!(written, looked_for);
}

#[test]
fn backup_and_restore_say_that_a_server_is_not_theirs() {
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("out");
    for command in [
        vec!["backup", "--out", out.to_str().unwrap()],
        vec!["restore", out.to_str().unwrap()],
    ] {
        let ran = Command::new(env!("CARGO_BIN_EXE_goodstanding"))
            .args(&command)
            .env(
                "GOODSTANDING_DATABASE_URL",
                "postgres://me:secret@db.example/log",
            )
            .current_dir(room.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(
            said.contains("[backup.on_server]") && said.contains("pg_basebackup"),
            "{said}"
        );
        assert!(!said.contains("secret") && !out.exists(), "{said}");
    }
}
