//! A database that is behind, or different from, what was published is not served.

use goodstanding::app::{App, Open};

use crate::{
    history::copy,
    support::{Service, T0, agent, report},
};

async fn reopen(data: &std::path::Path) -> Result<(), goodstanding::code::Fault> {
    let app = App::open(Open::new(data)).await?;
    app.close().await;
    Ok(())
}

#[tokio::test]
async fn an_older_or_different_database_is_refused() {
    let service = Service::start(T0).await;
    service
        .submit(report(&agent(1), &agent(2), "t-1", T0 - 60))
        .await;
    let data = service.stop().await;
    let backup = tempfile::tempdir().unwrap();
    copy(data.path(), backup.path());
    let older = std::fs::read(data.path().join("head.guard")).unwrap();

    // The log goes on: reports are acknowledged and published.
    let app = App::open(Open {
        clock: goodstanding::clock::Clock::manual(T0 * 1000),
        ..Open::new(data.path())
    })
    .await
    .unwrap();
    goodstanding::ingest::submit_one(&app, report(&agent(1), &agent(2), "t-2", T0 - 60))
        .await
        .unwrap();
    app.close().await;
    reopen(data.path()).await.unwrap();

    // The older database under the newer guard.
    let guard = std::fs::read(data.path().join("head.guard")).unwrap();
    std::fs::write(backup.path().join("head.guard"), &guard).unwrap();
    assert_eq!(
        reopen(backup.path()).await.unwrap_err().code(),
        "log.behind_guard"
    );

    // Another history of the same length, signed by the same key: with its own guard it is served.
    std::fs::remove_file(backup.path().join("head.guard")).unwrap();
    assert_eq!(
        reopen(backup.path()).await.unwrap_err().code(),
        "data.guard_missing"
    );
    std::fs::write(backup.path().join("head.guard"), &older).unwrap();
    let fork = App::open(Open {
        clock: goodstanding::clock::Clock::manual(T0 * 1000),
        ..Open::new(backup.path())
    })
    .await
    .unwrap();
    for n in 0..3 {
        goodstanding::ingest::submit_one(
            &fork,
            report(&agent(3), &agent(2), &format!("t-{n}"), T0 - 60),
        )
        .await
        .unwrap();
    }
    fork.close().await;
    std::fs::write(backup.path().join("head.guard"), &guard).unwrap();
    assert_eq!(
        reopen(backup.path()).await.unwrap_err().code(),
        "log.behind_guard"
    );

    // A guard that cannot be read is not a guard that allows everything.
    std::fs::write(data.path().join("head.guard"), "garbage").unwrap();
    assert_eq!(
        reopen(data.path()).await.unwrap_err().code(),
        "store.corrupt"
    );
}

#[tokio::test]
async fn a_directory_has_one_user_and_keeps_its_name() {
    let service = Service::start(T0).await;
    assert_eq!(
        reopen(service.data.path()).await.unwrap_err().code(),
        "data.locked"
    );
    let data = service.stop().await;
    let other = Open {
        issuer: Some("https://other.example".into()),
        ..Open::new(data.path())
    };
    assert_eq!(App::open(other).await.unwrap_err().code(), "data.mismatch");
    assert_eq!(
        reopen(&data.path().join("nothing"))
            .await
            .unwrap_err()
            .code(),
        "data.missing"
    );
    reopen(data.path()).await.unwrap();
}

#[tokio::test]
async fn publishing_goes_on_where_it_was_interrupted() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    // The guard cannot be written: a folder stands where its new file belongs.
    let blocked = service.data.path().join("head.guard.new");
    std::fs::create_dir(&blocked).unwrap();
    service
        .submit(report(&agent(1), &agent(2), "t-1", T0 - 60))
        .await;
    let before = service.get("/checkpoint").await.text().await.unwrap();
    assert!(service.app.log.publish().await.is_err());
    assert_eq!(
        service.get("/checkpoint").await.text().await.unwrap(),
        before,
        "published without the guard knowing"
    );
    std::fs::remove_dir(&blocked).unwrap();
    service.app.log.publish().await.unwrap();
    assert_ne!(
        service.get("/checkpoint").await.text().await.unwrap(),
        before
    );
    // A crash between database and guard: the guard catches up at the next start.
    let data = service.stop().await;
    let guard = std::fs::read_to_string(data.path().join("head.guard")).unwrap();
    std::fs::write(data.path().join("head.guard"), before).unwrap();
    reopen(data.path()).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(data.path().join("head.guard")).unwrap(),
        guard
    );
}
