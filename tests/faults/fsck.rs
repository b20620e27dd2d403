//! `fsck` finds nothing in a directory where much has happened, and every single damage with its code and place.

use std::path::Path;

use goodstanding::fsck::{self, Options, Outcome};

use crate::{
    history::{busy_service, copy, damage, number},
    support::T0,
};

async fn look(data: &Path) -> Outcome {
    fsck::run(data, &Options::new(T0 + 10)).await.unwrap()
}

/// Whether exactly these problems were found, as (code, place): a place that ends in `*` is a beginning.
fn finds(name: &str, outcome: &Outcome, expected: &[(&str, &str)]) {
    if let Err(why) = compare(name, outcome, expected) {
        panic!("{why}");
    }
}

fn compare(name: &str, outcome: &Outcome, expected: &[(&str, &str)]) -> Result<(), String> {
    let found: Vec<String> = outcome
        .problems
        .iter()
        .map(|p| format!("[{}] {}: {}", p.code, p.place, p.detail))
        .collect();
    let mut left: Vec<_> = outcome.problems.iter().collect();
    for (code, place) in expected {
        let hit = left.iter().position(|p| {
            p.code == *code
                && place
                    .strip_suffix('*')
                    .map_or(p.place == *place, |start| p.place.starts_with(start))
        });
        match hit {
            Some(hit) => left.remove(hit),
            None => return Err(format!("{name}: no [{code}] {place} in {found:#?}")),
        };
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("{name}: more than expected in {found:#?}"))
    }
}

#[tokio::test]
async fn nothing_is_wrong_where_nothing_was_touched() {
    let service = busy_service().await;
    // Beside the running service, and after it stopped.
    let beside = look(service.data.path()).await;
    assert!(beside.ok && beside.complete, "{beside:#?}");
    let size = service.log_size();
    assert_eq!(beside.size, size);
    let data = service.stop().await;
    let after = look(data.path()).await;
    assert!(after.ok && after.complete, "{after:#?}");
    let seen = after.checked;
    assert_eq!((after.size, seen.epochs, seen.tokens), (size, 2, 3));
    assert_eq!(seen.reports, 560 + 9 + 4 + 1);
    assert!(
        seen.checkpoints >= 4 && seen.statements >= 36 && seen.tiles >= 6,
        "{seen:?}"
    );
}

/// What is done to the database, and what `fsck` then says, and where.
type Damage = (
    &'static str,
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
);

const FREE: &str = "PRAGMA ignore_check_constraints = ON";

const MATRIX: &[Damage] = &[
    // The log.
    (
        "entry gone",
        &["DELETE FROM entries WHERE idx = 18"],
        &[
            ("fsck.head", "head"),
            ("fsck.entry", "entry 18"),
            ("fsck.body", "report 18 *"),
        ],
    ),
    (
        "entry altered",
        &["UPDATE entries SET bytes = (SELECT bytes FROM entries WHERE idx = 19) WHERE idx = 18"],
        &[("fsck.entry", "entry 18"), ("fsck.report", "report 18 *")],
    ),
    (
        "entry not canonical",
        &["UPDATE entries SET bytes = CAST(bytes || x'20' AS BLOB) WHERE idx = 301"],
        &[("fsck.entry", "entry 301"), ("fsck.entry", "entry 301")],
    ),
    (
        "entry time column",
        &["UPDATE entries SET at_ms = at_ms + 1 WHERE idx = 41"],
        &[("fsck.entry", "entry 41")],
    ),
    (
        "entry kind column",
        &["UPDATE entries SET kind = 'reply' WHERE idx = 41"],
        &[("fsck.entry", "entry 41")],
    ),
    (
        "surplus entry",
        &[
            "INSERT INTO entries SELECT idx + 1, at_ms, kind, bytes FROM entries ORDER BY idx DESC LIMIT 1",
        ],
        &[("fsck.entry", "entry 583")],
    ),
    (
        "leaf tile altered",
        &[
            "UPDATE tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE tree = 0 AND level = 0 AND n = 1",
        ],
        &[("fsck.tile", "tile 0/001 of the log")],
    ),
    (
        "edge tile altered",
        &[
            "UPDATE tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE tree = 0 AND level = 0 AND n = 2",
        ],
        &[("fsck.tile", "tile 0/002 of the log")],
    ),
    (
        "upper tile altered",
        &[
            "UPDATE tiles SET hashes = CAST(substr(hashes, 1, 32) || zeroblob(32) AS BLOB) WHERE tree = 0 AND level = 1",
        ],
        &[("fsck.tile", "tile 1/000 of the log")],
    ),
    (
        "tile short",
        &[
            "UPDATE tiles SET hashes = CAST(substr(hashes, 1, 320) AS BLOB) WHERE tree = 0 AND level = 0 AND n = 0",
        ],
        &[("fsck.tile", "tile 0/000 of the log")],
    ),
    (
        "tile gone",
        &["DELETE FROM tiles WHERE tree = 0 AND level = 1"],
        &[("fsck.tile", "tile 1/000 of the log")],
    ),
    (
        "tile too wide",
        &[
            "UPDATE tiles SET hashes = CAST(hashes || zeroblob(32) AS BLOB) WHERE tree = 0 AND level = 1",
        ],
        &[("fsck.tile", "tile 1/0 of the log")],
    ),
    (
        "tile of no tree",
        &["INSERT INTO tiles VALUES (9, 0, 0, zeroblob(32))"],
        &[("fsck.tile", "tile 0/0 of epoch 9's score tree")],
    ),
    (
        "head root",
        &["UPDATE head SET root = zeroblob(32)"],
        &[("fsck.head", "head"), ("fsck.head", "head")],
    ),
    (
        "head size",
        &["UPDATE head SET size = size - 1"],
        &[
            ("fsck.head", "head"),
            ("fsck.head", "head"),
            ("fsck.guard", "head.guard"),
            ("fsck.checkpoint", "checkpoint 583"),
            ("fsck.tile", "tile 0/2 of the log"),
            ("fsck.entry", "entry 582"),
            ("fsck.report", "report 582"),
            ("fsck.body", "body 582"),
        ],
    ),
    (
        "head time",
        &["UPDATE head SET at_ms = at_ms + 1"],
        &[("fsck.head", "head")],
    ),
    (
        "head note",
        &["UPDATE head SET note = (SELECT note FROM checkpoints ORDER BY size LIMIT 1)"],
        &[("fsck.head", "head")],
    ),
    (
        "checkpoint signature",
        &[
            "UPDATE checkpoints SET note = substr(note, 1, length(note) - 9) || 'AAAAAAA=' || char(10) WHERE size = (SELECT min(size) FROM checkpoints)",
        ],
        &[("fsck.checkpoint", "checkpoint *")],
    ),
    (
        "checkpoint of another size",
        &[
            "UPDATE checkpoints SET size = size + 1 WHERE size = (SELECT min(size) FROM checkpoints)",
        ],
        &[("fsck.checkpoint", "checkpoint *")],
    ),
    // Reports.
    (
        "body gone",
        &["DELETE FROM bodies WHERE idx = 21"],
        &[("fsck.body", "report 21 *")],
    ),
    (
        "body of another",
        &["UPDATE bodies SET jws = (SELECT jws FROM bodies WHERE idx = 23) WHERE idx = 21"],
        &[
            // Id, subject, reporter, trade and jti are the other's.
            ("fsck.report", "report 21 *"),
            ("fsck.report", "report 21 *"),
            ("fsck.report", "report 21 *"),
            ("fsck.report", "report 21 *"),
            ("fsck.report", "report 21 *"),
        ],
    ),
    (
        "stray body",
        &["INSERT INTO bodies VALUES (0, 'x')"],
        &[("fsck.body", "body 0")],
    ),
    (
        "report gone",
        &["DELETE FROM reports WHERE idx = 31"],
        &[("fsck.body", "body 31"), ("fsck.body", "entry 31")],
    ),
    (
        "report without entry",
        &[
            "INSERT INTO reports SELECT 0, zeroblob(32), at_ms, reporter, subject, market, 'other', role, 'other', 0, 1, NULL \
                               FROM reports WHERE idx = 31",
        ],
        &[("fsck.body", "report 0 *"), ("fsck.body", "report 0 *")],
    ),
    (
        "reporter",
        &[
            "UPDATE reports SET reporter = (SELECT id FROM agents ORDER BY id DESC LIMIT 1) WHERE idx = 34",
        ],
        &[("fsck.report", "report 34 *")],
    ),
    (
        "subject",
        &[
            "UPDATE reports SET subject = (SELECT id FROM agents ORDER BY id DESC LIMIT 1) WHERE idx = 34",
        ],
        &[("fsck.report", "report 34 *")],
    ),
    (
        "market",
        &[
            "INSERT INTO markets (name) VALUES ('m')",
            "UPDATE reports SET market = (SELECT id FROM markets WHERE name = 'm') WHERE idx = 34",
        ],
        &[("fsck.report", "report 34 *")],
    ),
    (
        "trade id",
        &["UPDATE reports SET trade_id = 'x' WHERE idx = 34"],
        &[("fsck.report", "report 34 *")],
    ),
    (
        "role",
        &["UPDATE reports SET role = 1 WHERE idx = 34"],
        &[("fsck.report", "report 34 *")],
    ),
    (
        "jti",
        &["UPDATE reports SET jti = 'x' WHERE idx = 34"],
        &[("fsck.report", "report 34 *")],
    ),
    (
        "historical",
        &["UPDATE reports SET historical = 1 WHERE idx = 34"],
        &[("fsck.report", "report 34 *")],
    ),
    (
        "report time",
        &["UPDATE reports SET at_ms = 5 WHERE idx = 34"],
        &[("fsck.report", "report 34 *")],
    ),
    (
        "report id",
        &["UPDATE reports SET id = zeroblob(32) WHERE idx = 34"],
        &[
            ("fsck.report", "report 34 *"),
            ("fsck.report", "report 34 *"),
        ],
    ),
    (
        "alone",
        &["UPDATE reports SET alone = 1 - alone WHERE idx = 34"],
        &[("fsck.alone", "report 34 *")],
    ),
    (
        "alone of an attested one",
        &[
            "UPDATE reports SET alone = 1 WHERE idx = (SELECT min(idx) FROM reports WHERE trade_id = 'after')",
        ],
        &[("fsck.alone", "report *")],
    ),
    (
        "superseded by nothing",
        &["UPDATE reports SET superseded_by = 6 WHERE idx = 34"],
        &[("fsck.supersession", "report 34 *")],
    ),
    (
        "chain cut",
        &[
            "DROP INDEX reports_current",
            "UPDATE reports SET superseded_by = NULL WHERE trade_id = 'after'",
        ],
        &[
            ("fsck.schema", "goodstanding.sqlite"),
            ("fsck.supersession", "report *"),
        ],
    ),
    (
        "document gone",
        &["DELETE FROM documents WHERE idx = (SELECT max(idx) FROM documents)"],
        &[("fsck.document", "report *")],
    ),
    (
        "document too many",
        &["INSERT INTO documents VALUES (zeroblob(32), 33)"],
        &[("fsck.document", "document *")],
    ),
    // Epochs, tokens, settings, schema.
    (
        "epoch gone",
        &["DELETE FROM epochs WHERE number = 2"],
        &[
            ("fsck.epoch", "epoch 2"),
            ("fsck.database", "table statements"),
        ],
    ),
    (
        "epoch elsewhere",
        &["UPDATE epochs SET idx = 3 WHERE number = 2"],
        &[("fsck.epoch", "epoch 2")],
    ),
    (
        "salt key",
        &["UPDATE epochs SET salt_key = zeroblob(32) WHERE number = 1"],
        &[("fsck.epoch", "epoch 1")],
    ),
    (
        "claims",
        &[
            "UPDATE statements SET claims = (SELECT claims FROM statements WHERE epoch = 1 AND leaf = 4) WHERE epoch = 2 AND leaf = 5",
        ],
        &[("fsck.statement", "epoch 2, statement 5")],
    ),
    (
        "claims no JSON",
        &["UPDATE statements SET claims = '{' WHERE epoch = 2 AND leaf = 5"],
        &[("fsck.statement", "epoch 2, statement 5")],
    ),
    (
        "statement of another",
        &[
            "UPDATE statements SET agent = (SELECT agent FROM statements WHERE epoch = 1 AND leaf = 0) WHERE epoch = 1 AND leaf = 5",
        ],
        &[
            ("fsck.statement", "epoch 1, statement 5"),
            ("fsck.statement", "epoch 1, statement 5"),
        ],
    ),
    (
        "statement gone",
        &["DELETE FROM statements WHERE epoch = 1 AND leaf = 5"],
        &[("fsck.statement", "epoch 1, statement 5")],
    ),
    (
        "statement too many",
        &[
            "INSERT INTO statements SELECT epoch, leaf + 1000, agent, reached, claims FROM statements WHERE epoch = 1 AND leaf = 5",
        ],
        &[("fsck.statement", "epoch 1, statement 1005")],
    ),
    (
        "score tile",
        &[
            "UPDATE tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE tree = 1",
        ],
        &[("fsck.tile", "tile 0/000 of epoch 1's score tree")],
    ),
    (
        "token of no epoch",
        &["UPDATE tokens SET epoch = 7 WHERE idx = (SELECT min(idx) FROM tokens)"],
        &[("fsck.token", "token *")],
    ),
    (
        "token out of place",
        &["UPDATE tokens SET idx = 200000 WHERE idx = (SELECT min(idx) FROM tokens)"],
        &[("fsck.token", "token 200000 of *")],
    ),
    (
        "origin",
        &["UPDATE meta SET value = 'other.example' WHERE key = 'origin'"],
        &[("fsck.settings", "setting origin")],
    ),
    (
        "no issuer",
        &["DELETE FROM meta WHERE key = 'issuer'"],
        &[("fsck.settings", "setting issuer")],
    ),
    (
        "index dropped",
        &["DROP INDEX reports_alone"],
        &[("fsck.schema", "goodstanding.sqlite")],
    ),
    (
        "foreign migration",
        &["UPDATE _sqlx_migrations SET checksum = zeroblob(48) WHERE version = 1"],
        &[("fsck.schema", "goodstanding.sqlite")],
    ),
    (
        "impossible value",
        &[FREE, "UPDATE reports SET role = 7 WHERE idx = 34"],
        &[("fsck.report", "report 34 *")],
    ),
];

#[tokio::test]
async fn every_damage_is_found_where_it_is() {
    let data = busy_service().await.stop().await;
    let room = tempfile::tempdir().unwrap();
    assert_eq!(
        number(data.path(), "SELECT size FROM head").await,
        583,
        "the places below are of this log"
    );
    let mut failures = Vec::new();
    for (name, statements, expected) in MATRIX {
        let damaged = room.path().join(name.replace(' ', "-"));
        copy(data.path(), &damaged);
        damage(&damaged, statements).await;
        let outcome = look(&damaged).await;
        failures.extend(compare(name, &outcome, expected).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn what_stands_beside_the_database_is_looked_at_too() {
    let data = busy_service().await.stop().await;
    let room = tempfile::tempdir().unwrap();
    let case = |name: &str| {
        let dir = room.path().join(name);
        copy(data.path(), &dir);
        dir
    };
    let dir = case("guard-gone");
    std::fs::remove_file(dir.join("head.guard")).unwrap();
    finds(
        "guard gone",
        &look(&dir).await,
        &[("fsck.guard", "head.guard")],
    );
    let dir = case("guard-garbage");
    std::fs::write(dir.join("head.guard"), "garbage").unwrap();
    finds(
        "guard garbage",
        &look(&dir).await,
        &[("fsck.guard", "head.guard")],
    );
    let dir = case("guard-foreign");
    let guard = std::fs::read_to_string(dir.join("head.guard")).unwrap();
    std::fs::write(dir.join("head.guard"), guard.replace("\n583\n", "\n582\n")).unwrap();
    finds(
        "guard of another signature",
        &look(&dir).await,
        &[("fsck.guard", "head.guard")],
    );

    let dir = case("key-gone");
    std::fs::remove_file(dir.join("keys/token.json")).unwrap();
    finds(
        "key gone",
        &look(&dir).await,
        &[("fsck.key_file", "keys/token.json")],
    );
    let dir = case("key-swapped");
    std::fs::copy(dir.join("keys/status.json"), dir.join("keys/bundle.json")).unwrap();
    finds(
        "key swapped",
        &look(&dir).await,
        &[("fsck.key_file", "keys/bundle.json")],
    );
    let dir = case("key-halves");
    let text = std::fs::read_to_string(dir.join("keys/access.json")).unwrap();
    let other = std::fs::read_to_string(dir.join("keys/status.json")).unwrap();
    let x = |text: &str| text.split("\"x\": \"").nth(1).unwrap()[..43].to_owned();
    std::fs::write(
        dir.join("keys/access.json"),
        text.replace(&x(&text), &x(&other)),
    )
    .unwrap();
    finds(
        "key halves",
        &look(&dir).await,
        &[("fsck.key_file", "keys/access.json")],
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = case("key-mode");
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(dir.join("keys/token.json"), mode).unwrap();
        finds(
            "key mode",
            &look(&dir).await,
            &[("fsck.key_file", "keys/token.json")],
        );
    }
    let dir = case("log-key-gone");
    std::fs::remove_file(dir.join("keys/log.json")).unwrap();
    finds(
        "log key gone",
        &look(&dir).await,
        &[("fsck.key_file", "keys/log.json")],
    );
}

#[tokio::test]
async fn a_damaged_page_is_a_finding_and_an_absent_database_an_error() {
    let data = busy_service().await.stop().await;
    let file = data.path().join("goodstanding.sqlite");
    let whole = std::fs::read(&file).unwrap();
    let mut torn = whole.clone();
    let middle = torn.len() / 2 / 4096 * 4096;
    torn[middle..middle + 4096].fill(0xa5);
    std::fs::write(&file, torn).unwrap();
    let outcome = look(data.path()).await;
    assert!(
        outcome.problems.iter().any(|p| p.code == "fsck.database"),
        "{outcome:#?}"
    );
    std::fs::write(
        &file,
        b"no database at all, but long enough to be looked at as if it were one",
    )
    .unwrap();
    let outcome = look(data.path()).await;
    assert!(!outcome.ok && !outcome.complete, "{outcome:#?}");
    std::fs::remove_file(&file).unwrap();
    let error = fsck::run(data.path(), &Options::new(T0)).await.unwrap_err();
    assert_eq!(error.code(), "data.missing");
}

#[tokio::test]
async fn problems_beyond_the_limit_are_counted() {
    let data = busy_service().await.stop().await;
    damage(data.path(), &["UPDATE reports SET alone = 1 - alone"]).await;
    let options = Options {
        limit: 3,
        ..Options::new(T0)
    };
    let outcome = fsck::run(data.path(), &options).await.unwrap();
    assert_eq!(outcome.problems.len(), 3);
    assert_eq!(outcome.counts["fsck.alone"], outcome.checked.reports);
}
