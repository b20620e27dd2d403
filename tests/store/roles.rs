//! PostgreSQL only: docs/OPERATIONS.md names the rights that the service needs. They are enough, and they are few.

use std::time::Duration;

use goodstanding::store::{
    Error, IssuedToken, Published, Store as _,
    postgres::{Options, PostgresStore},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{
    fixture::{Log, again, did, hash, key, part, report},
    support::postgres::{Database, execute},
};

/// The SQL block of the document that begins with this comment.
pub(crate) fn documented(begin: &str) -> String {
    let document = include_str!("../../docs/OPERATIONS.md");
    let mut blocks = document.split("```sql\n").skip(1);
    let block = blocks.find(|block| block.starts_with(begin));
    let block = block.unwrap_or_else(|| panic!("no SQL block begins with {begin:?}"));
    block.split("```").next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_works_with_the_rights_that_are_documented() {
    let database = Database::new().await;
    // Roles belong to the server, which other tests use as well.
    let own = |sql: String| {
        sql.replace("goodstanding_owner", &format!("{}_owner", database.name))
            .replace(
                "goodstanding_service",
                &format!("{}_service", database.name),
            )
            .replace(
                "DATABASE goodstanding ",
                &format!("DATABASE {} ", database.name),
            )
    };
    let (owner, service) = (
        own("goodstanding_owner".into()),
        own("goodstanding_service".into()),
    );
    let roles = own(documented("-- roles")).replace("CREATE DATABASE", "ALTER DATABASE");
    let roles = roles
        .replace(" OWNER ", " OWNER TO ")
        .replace(" ENCODING 'UTF8' TEMPLATE template0", "");
    database.execute(&roles).await;
    let works = with_rights(&database, &owner, &service, own(documented("-- rights")));
    let works = tokio::spawn(works).await;
    database.execute(&format!("DROP OWNED BY {service}; REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}; DROP ROLE {service}; DROP ROLE {owner}")).await;
    works.unwrap();
}

fn with_rights(
    database: &Database,
    owner: &str,
    service: &str,
    rights: String,
) -> impl Future<Output = ()> + Send + use<> {
    let (as_owner, as_service) = (
        database.url_as(owner, "owner's password"),
        database.url_as(service, "service's password"),
    );
    async move {
        // The service cannot make the schema, the owner can.
        let migrate = Options {
            migrate: true,
            ..Options::default()
        };
        let refused = PostgresStore::connect(&as_service, migrate)
            .await
            .unwrap_err();
        assert!(matches!(refused, Error::Unsupported(_)), "{refused}");
        let store = PostgresStore::connect(&as_owner, migrate).await.unwrap();
        store.close().await;
        execute(&as_owner, &rights).await;
        let store = PostgresStore::connect(&as_service, Options::default())
            .await
            .unwrap();
        everything(&store).await;
        // Without the owner's right to vacuum, scrubbing waits for the owner or for autovacuum, and says so.
        assert!(!store.scrub().await.unwrap());
        execute(&as_owner, "VACUUM (INDEX_CLEANUP ON, ANALYZE)").await;
        while !store.scrub().await.unwrap() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        store.close().await;
        let mut connection = PgConnection::connect(&as_service).await.unwrap();
        for forbidden in [
            "UPDATE entries SET bytes = ''",
            "DELETE FROM entries",
            "DELETE FROM checkpoints",
            "UPDATE checkpoints SET published_ms = 0",
            "DELETE FROM head",
            "UPDATE epochs SET salt_key = ''",
            "DELETE FROM statements",
            "DELETE FROM tiles WHERE tree = 0",
            "DELETE FROM erased",
            "UPDATE reports SET reporter = subject",
            "UPDATE bodies SET jws = ''",
            "DELETE FROM tokens",
            "TRUNCATE bodies",
            "DELETE FROM _sqlx_migrations",
            "DROP TABLE meta",
            "CREATE TABLE public.more ()",
        ] {
            let done = sqlx::raw_sql(AssertSqlSafe(forbidden))
                .execute(&mut connection)
                .await;
            let error = done.expect_err(forbidden);
            let code = error.as_database_error().unwrap().code().unwrap();
            assert_eq!(code, "42501", "{forbidden}: {error}");
        }
        connection.close().await.unwrap();
    }
}

/// Every kind of write and the reads that go with it.
async fn everything(store: &PostgresStore) {
    let mut log = Log::default();
    let mut first = report(1, 2, "t");
    first.documents = vec![hash("document")];
    log.reports(store, 1, vec![first.clone(), report(3, 4, "u")])
        .await;
    log.reports(store, 2, vec![again(&first, 2, 0)]).await;
    log.epoch(store, 1, vec![(did(2), true, "{}".to_owned())])
        .await;
    for _ in 0..2 {
        let tile = (
            goodstanding::store::Tree::Log,
            goodstanding::log::tree::TileId { level: 0, n: 0 },
            vec![hash("a")],
        );
        log.tiles(store, vec![tile]).await;
        let published = Published {
            size: 1,
            published_ms: 1,
            note: "note".to_owned(),
        };
        store.publish(&published).await.unwrap();
        store.replace_meta("changing", "value").await.unwrap();
        store
            .set_aliases(&[("one".to_owned(), did(1))])
            .await
            .unwrap();
    }
    let token = IssuedToken {
        list: 0,
        idx: 0,
        agent: did(1),
        epoch: 1,
        iat: 1,
        exp: 2,
    };
    assert!(store.add_token(&token).await.unwrap());
    store.set_meta("once", "value").await.unwrap();
    let (two, rows) = (key("two", 0), vec![(did(5), true, "{}".to_owned())]);
    let score = goodstanding::log::tree::TileId { level: 0, n: 0 };
    let mut staged = part(2, 0, rows);
    staged.tiles.insert(score, vec![hash("a")]);
    store.claim_staging(Some(two)).await.unwrap();
    store.stage(two, &staged).await.unwrap();
    log.erase(store, 1, report(3, 4, "u").id).await;
    assert_eq!(store.claim_staging(None).await.unwrap(), 1);
    assert!(store.clear_staging(None).await.unwrap());
    assert_eq!(store.erased_since(2).await.unwrap(), 1);
    assert_eq!(store.statements_of(&did(2), 9, 9).await.unwrap().len(), 1);
    assert_eq!(store.bodies(0, 9, 9).await.unwrap().len(), 2);
}
