//! `fsck` and `audit` of a directory from which reports were erased: what is left is explained, and nothing else is.

use std::path::Path;

use goodstanding::{
    casework::erasure::erase,
    epoch,
    fsck::{self, Options, Outcome},
};
use goodstanding_verify::{b64, entry::ErasureReason, report::ReportId};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    history::{busy_service, copy, damage, number},
    support::{Service, T0},
};

async fn look(data: &Path) -> Outcome {
    fsck::run(data, &Options::new(T0 + 10)).await.unwrap()
}

/// Ids of the reports that this query finds, by index.
async fn ids(data: &Path, sql: &str) -> Vec<ReportId> {
    let options = SqliteConnectOptions::new()
        .filename(data.join("goodstanding.sqlite"))
        .read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    ids.iter()
        .map(|id| ReportId(id.as_slice().try_into().unwrap()))
        .collect()
}

/// The first, a middle and the newest of three chains, a report that was answered, one that brought a document first.
async fn erase_some(service: &Service) -> usize {
    let data = service.data.path();
    let chain = |n: u32| {
        format!("SELECT id FROM reports WHERE trade_id = 't-{n}' AND role = 1 ORDER BY idx")
    };
    let mut gone = vec![
        ids(data, &chain(0)).await[0],
        ids(data, &chain(1)).await[1],
        ids(data, &chain(2)).await[2],
    ];
    gone.extend(
        ids(
            data,
            "SELECT id FROM reports WHERE trade_id = 't-1' AND role = 0",
        )
        .await,
    );
    gone.push(
        ids(
            data,
            "SELECT id FROM reports WHERE trade_id = 'after' ORDER BY idx",
        )
        .await[0],
    );
    for id in &gone {
        erase(&service.app, *id, ErasureReason::PersonalData)
            .await
            .unwrap();
    }
    gone.len()
}

#[tokio::test]
async fn what_an_erasure_leaves_is_explained_and_nothing_else() {
    let service = busy_service().await;
    let count = erase_some(&service).await;
    service.clock.set_ms((T0 + 5) * 1000);
    epoch::run(&service.app, None).await.unwrap();
    service.app.log.publish().await.unwrap();
    let data = service.stop().await;
    let outcome = look(data.path()).await;
    assert!(outcome.ok && outcome.complete, "{outcome:#?}");
    assert_eq!(outcome.checked.erased, u64::try_from(count).unwrap());

    let one = number(data.path(), "SELECT min(idx) FROM erased").await;
    let by = number(data.path(), "SELECT by FROM erased ORDER BY idx").await;
    let spare = number(data.path(), "SELECT max(idx) FROM reports").await;
    let some = b64::url_encode([7; 32]);
    let matrix = [
        (
            format!("DELETE FROM erased WHERE idx = {one}"),
            vec![
                ("fsck.erasure", format!("entry {by}")),
                ("fsck.body", format!("entry {one}")),
            ],
        ),
        (
            format!("UPDATE erased SET by = by + 1000 WHERE idx = {one}"),
            vec![("fsck.erasure", format!("erased report {one} "))],
        ),
        (
            format!(
                "INSERT INTO erased (idx, id, by) VALUES (100000, x'{}', 5)",
                "07".repeat(32)
            ),
            vec![("fsck.erasure", format!("erased report 100000 ({some})"))],
        ),
        (
            format!(
                "DELETE FROM bodies WHERE idx = {spare}; DELETE FROM reports WHERE idx = {spare}"
            ),
            vec![("fsck.body", format!("entry {spare}"))],
        ),
    ];
    for (sql, expected) in matrix {
        let dir = tempfile::tempdir().unwrap();
        copy(data.path(), dir.path());
        damage(dir.path(), &sql.split("; ").collect::<Vec<_>>()).await;
        let outcome = look(dir.path()).await;
        for (code, place) in &expected {
            assert!(
                outcome
                    .problems
                    .iter()
                    .any(|p| p.code == *code && p.place.starts_with(place.as_str())),
                "{sql}: no [{code}] {place} in {outcome:#?}"
            );
        }
        assert!(!outcome.ok);
    }
}
