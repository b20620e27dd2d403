//! The benchmark on both databases.

use std::process::Command;

use serde_json::Value;

use crate::support::postgres::Database;

#[tokio::test]
async fn bench_log_measures_both_databases_and_drops_its_schemas() {
    let database = Database::new().await;
    let dir = tempfile::tempdir().unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_goodstanding"))
        .args(["bench", "log", "--json", "--batches", "256", "--rounds"])
        .args(["1", "--sizes", "300", "--proofs", "20", "--dir"])
        .arg(dir.path())
        .env("GOODSTANDING_DATABASE_URL", database.url())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    // Such as a connection that seems to come back inside a transaction.
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(!told.contains("ERROR"), "{told}");
    let answer: Value = serde_json::from_slice(&ran.stdout).unwrap();
    for of in [&answer, &answer["postgres"]] {
        let appended = &of["append"][0];
        assert_eq!(
            (&appended["batch"], &appended["commits"]),
            (&256.into(), &32.into())
        );
        for figure in ["log_per_s", "bare_per_s"] {
            assert!(appended[figure].as_u64().unwrap() > 0, "{figure}: {of}");
        }
        assert!(of["queue_per_s"].as_u64().unwrap() > 0, "{of}");
        assert_eq!(of["proofs"][0]["size"], 300);
        assert_eq!(of["proofs"][0]["inclusion_http"]["count"], 20);
    }
    let left: Vec<String> = sqlx::query_scalar(
        "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'goodstanding%'",
    )
    .fetch_all(&mut database.connection().await)
    .await
    .unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(dir.path().read_dir().unwrap().next().is_none());
}
