//! A snapshot of PostgreSQL says what one of SQLite does, of a whole database and of a damaged one.

use goodstanding::{
    fsck,
    store::{
        Error, Place,
        load::{Load, copy},
        postgres::{load::PostgresLoad, snapshot::PostgresSnapshot},
        snapshot::Snapshot,
    },
};

use crate::{
    history::{self, damage},
    support::{
        T0,
        postgres::{Database, execute, server},
    },
    whole::{assert_same, everything, told, told_by},
};

/// Fills an empty database with what a directory's has.
async fn filled(data: &std::path::Path) -> Result<Database, Error> {
    let database = Database::new().await;
    let load = PostgresLoad::create(&database.url(), ("copy", "moving")).await?;
    let mut load: Box<dyn Load> = Box::new(load.expect("it is empty"));
    let mut from = goodstanding::store::snapshot(data).await?;
    let copied = copy(from.as_mut(), load.as_mut()).await;
    from.close().await;
    copied?;
    load.finish().await?;
    Ok(database)
}

async fn snapshot(database: &Database) -> Box<dyn Snapshot> {
    Box::new(PostgresSnapshot::open(&database.url()).await.unwrap())
}

async fn problems(data: &std::path::Path, place: Option<Place>) -> Vec<String> {
    let options = fsck::Options {
        place,
        ..fsck::Options::new(T0 + 10)
    };
    let outcome = fsck::run(data, &options).await.unwrap();
    let line = |p: &fsck::Problem| format!("{} {} {}", p.code, p.place, p.detail);
    outcome.problems.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_has_the_same_answer_on_both() {
    let data = everything().await;
    let database = filled(data.path()).await.unwrap();
    let mut view = snapshot(&database).await;
    assert_eq!(view.integrity(10, false).await.unwrap(), [""; 0]);
    assert!(view.engine().await.unwrap().name.starts_with("PostgreSQL"));
    let before = told_by(data.path()).await;
    assert!(before.len() > 100, "{}", before.len());
    assert_same(&before, &told(view.as_mut()).await);
    // What is written later is not in it.
    database
        .execute("DELETE FROM documents; DELETE FROM tokens")
        .await;
    assert_same(&before, &told(view.as_mut()).await);
    view.close().await;
    let mut later = snapshot(&database).await;
    assert_ne!(before, told(later.as_mut()).await);
}

/// Damage that both databases take in the same words, without their constraints.
const DAMAGE: [&str; 12] = [
    "INSERT INTO bodies (idx, jws) VALUES (100000, 'x')",
    "UPDATE bodies SET idx = -5 WHERE idx = 40",
    "UPDATE reports SET alone = NOT alone",
    "UPDATE reports SET superseded_by = 3 WHERE idx = 21",
    "DELETE FROM agents WHERE id = (SELECT reporter FROM reports ORDER BY idx LIMIT 1)",
    "DELETE FROM markets",
    "UPDATE statements SET epoch = 9 WHERE epoch = 1 AND leaf = 0",
    "DELETE FROM tiles WHERE tree = 0 AND level = 0 AND n = 1",
    "UPDATE tokens SET iat = exp + 1",
    "UPDATE head SET at_ms = at_ms + 1",
    "DELETE FROM documents",
    "UPDATE entries SET at_ms = at_ms - 1000000 WHERE idx = 30",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_told_alike() {
    let data = everything().await;
    assert_eq!(problems(data.path(), None).await, [""; 0]);
    let database = filled(data.path()).await.unwrap();
    let template = &database.name;
    let before = told_by(data.path()).await;
    let (mut differ, mut found) = (Vec::new(), 0);
    for statement in DAMAGE {
        let broken = tempfile::tempdir().unwrap();
        history::copy(data.path(), broken.path());
        damage(broken.path(), &[statement]).await;
        let other = Database::new().await;
        for sql in [
            format!("DROP DATABASE {}", other.name),
            format!("CREATE DATABASE {} TEMPLATE {template}", other.name),
        ] {
            execute(&server(), &sql).await;
        }
        other
            .execute(&format!(
                "SET session_replication_role = replica; {statement}"
            ))
            .await;
        let place = Place::Server(other.url());
        let (sqlite, postgres) = (
            problems(broken.path(), None).await,
            problems(data.path(), Some(place)).await,
        );
        let mut view = snapshot(&other).await;
        let (one, two) = (told_by(broken.path()).await, told(view.as_mut()).await);
        assert_ne!(one, before, "{statement}");
        if sqlite != postgres {
            differ.push(format!("{statement}\n{sqlite:#?}\n{postgres:#?}"));
        }
        if one != two {
            let at = one.iter().zip(&two).find(|(one, two)| one != two);
            differ.push(format!("{statement}\n{at:.600?}"));
        }
        found += sqlite.len();
    }
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
    assert!(found > DAMAGE.len(), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_reading_finds_does_not_arrive_in_silence() {
    let data = everything().await;
    for statement in [DAMAGE[0], DAMAGE[4], DAMAGE[6]] {
        let broken = tempfile::tempdir().unwrap();
        history::copy(data.path(), broken.path());
        damage(broken.path(), &[statement]).await;
        match filled(broken.path())
            .await
            .map(|database| database.name.clone())
        {
            Err(Error::Corrupt(_)) => {}
            other => panic!("{statement}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_the_one_that_is_described() {
    let database = Database::new().await;
    database.store().await;
    let mut view = PostgresSnapshot::open(&database.url()).await.unwrap();
    let described = format!("{}\n", view.objects().await.unwrap().join("\n"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/postgres/schema.txt");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &described).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    assert!(
        described == expected,
        "run this again with UPDATE_SCHEMA=1 and look at the difference:\n{described}"
    );
    Box::new(view).close().await;

    database
        .execute(
            "ALTER TABLE meta ALTER COLUMN value DROP NOT NULL; DROP INDEX documents_idx; CREATE INDEX own ON tokens (exp); \
             ALTER TABLE tiles DROP CONSTRAINT tiles_hashes_check; CREATE TABLE somebody_elses (n INT); \
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
             CREATE TRIGGER swallow BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION f()",
        )
        .await;
    let mut view = snapshot(&database).await;
    let found = view.schema_differences().await.unwrap();
    assert_eq!(
        found,
        [
            "column meta.value is missing or altered",
            "constraint tiles.tiles_hashes_check is missing or altered",
            "index documents.documents_idx is missing or altered",
            "index tokens.own is not one of this program's",
            "trigger entries.swallow is not one of this program's",
        ]
    );
    view.close().await;
    database
        .execute("ALTER TABLE reports DISABLE TRIGGER ALL; UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tokens_agent'::regclass; \
             UPDATE _sqlx_migrations SET success = false WHERE version = 2; DELETE FROM _sqlx_migrations WHERE version = 3")
        .await;
    let mut view = snapshot(&database).await;
    let found = view.integrity(10, true).await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("foreign key of reports"), "{found:?}");
    assert!(found[1].contains("tokens_agent"), "{found:?}");
    let found = view.schema_differences().await.unwrap();
    assert!(
        found[0].contains("migration 2") && found[1].contains("migration 3"),
        "{found:?}"
    );
}
