//! What a process has to bring along to take part in a log that has published something: its head guard.

use std::{fs, path::Path};

use goodstanding::app::{App, Open};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use super::{
    fleet::Fleet,
    gone::count,
    ledger::{Ledger, hold},
};
use crate::support::postgres::Database;

const TURNS: &str = "SELECT count(*) FROM turns";
const MISSING: &str = "data.guard_missing";

/// Process `n` ended by itself, because it has no guard, and made none.
async fn is_refused(fleet: &mut Fleet, n: usize, times: usize) {
    fleet.ended(n).await;
    let said = fleet.log(n);
    assert_eq!(
        said.matches(&format!("[{MISSING}]")).count(),
        times,
        "{said}"
    );
    assert!(!fleet.data(n).join("head.guard").exists());
}

#[tokio::test]
async fn without_its_guard_a_process_neither_leads_nor_follows() {
    let mut fleet = Fleet::start(&["all"]).await;
    let told = Ledger::default();
    told.insist(&fleet.client, &fleet.processes[0].url).await;
    hold(&fleet, 0, &told).await;
    // While another process leads.
    for role in ["api", "all"] {
        let n = fleet.add_directory(role);
        fleet.begin(n);
        is_refused(&mut fleet, n, 1).await;
    }
    let newest = fleet.data(0).join("newest");
    fs::write(&newest, fleet.get(0, "/checkpoint").await.2).unwrap();
    // When none does, neither one that is new nor one that lost it.
    fleet.kill(0);
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let turns = count(&mut database, TURNS).await;
    fleet.restart(2);
    is_refused(&mut fleet, 2, 2).await;
    fs::remove_file(fleet.data(0).join("head.guard")).unwrap();
    fleet.restart(0);
    is_refused(&mut fleet, 0, 1).await;
    assert_eq!(count(&mut database, TURNS).await, turns);

    // Somebody has to say what was published.
    let asked = fleet.try_run(2, &["restore"]);
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(said.contains("[backup.newest_unknown]"), "{said}");
    for n in [1, 2] {
        let newest = newest.to_str().unwrap();
        let joined = fleet.run(n, &["restore", "--newest", newest, "--json"]);
        let joined: Value = serde_json::from_slice(&joined).unwrap();
        assert_eq!(joined["vouched_by"], "newest", "{joined}");
        assert_eq!(joined["held_against"][0]["size"], joined["guard"]);
    }
    fleet.restart(2);
    fleet.restart(1);
    for n in [1, 2] {
        fleet.ready(n).await;
        told.insist(&fleet.client, &fleet.processes[n].url).await;
    }
    assert_eq!(fleet.leader().await, 2);
    fleet.run(0, &["restore", "--nothing-newer"]);
    fleet.restart(0);
    fleet.ready(0).await;
    told.insist(&fleet.client, &fleet.processes[0].url).await;
    for n in 0..3 {
        hold(&fleet, n, &told).await;
    }
    // In use, a directory is left alone.
    let asked = fleet.try_run(0, &["restore", "--nothing-newer"]);
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(said.contains("[data.locked]"), "{said}");
}

#[tokio::test]
async fn a_copy_of_a_running_processs_directory_takes_part() {
    let mut fleet = Fleet::start(&["all"]).await;
    let told = Ledger::default();
    told.insist(&fleet.client, &fleet.processes[0].url).await;
    let n = fleet.add_directory("all");
    for file in fs::read_dir(fleet.data(0)).unwrap() {
        let file = file.unwrap();
        if file.path().is_file() {
            fs::copy(file.path(), fleet.data(n).join(file.file_name())).unwrap();
        }
    }
    fleet.begin(n);
    fleet.ready(n).await;
    told.insist(&fleet.client, &fleet.processes[n].url).await;
    fleet.kill(0);
    told.insist(&fleet.client, &fleet.processes[n].url).await;
    assert_eq!(fleet.leader().await, n);
    hold(&fleet, n, &told).await;
}

async fn refused_at(data: &Path, database: &Database) -> &'static str {
    let open = Open {
        create: true,
        issuer: Some("https://issuer.example".into()),
        origin: Some("log.example".into()),
        database_url: Some(database.url()),
        ..Open::new(data)
    };
    App::open(open).await.unwrap_err().code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_refused_stays_as_it_was() {
    let mut fleet = Fleet::start(&["all"]).await;
    let told = Ledger::default();
    told.insist(&fleet.client, &fleet.processes[0].url).await;
    hold(&fleet, 0, &told).await;
    fleet.kill(0);
    let other = Database::new().await;
    goodstanding::store::Store::close(&other.store().await).await;
    let mut rows = PgConnection::connect(&other.url()).await.unwrap();
    let data = fleet.data(0);
    let turn = || fs::read(data.join("log.turn")).ok();
    for code in ["data.other_copy", "log.behind_guard"] {
        let noted = turn();
        assert_eq!(refused_at(&data, &other).await, code);
        assert_eq!(turn(), noted, "a turn of a refused database was noted");
        for table in [
            "SELECT count(*) FROM meta",
            "SELECT count(*) FROM sequencer",
            "SELECT count(*) FROM turns",
            "SELECT count(*) FROM entries",
        ] {
            assert_eq!(count(&mut rows, table).await, 0, "{code}: {table}");
        }
        // Without it, the guard alone speaks against the database.
        let _ = fs::remove_file(data.join("log.turn"));
    }
    // The right one was not forgotten over it.
    fleet.restart(0);
    fleet.ready(0).await;
    told.insist(&fleet.client, &fleet.processes[0].url).await;
    hold(&fleet, 0, &told).await;
}
