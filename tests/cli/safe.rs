//! `fsck`, `backup`, `restore` and `doctor`, as an operator runs them.

use serde_json::Value;

use crate::support::{Ran, command, market, run};

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}

#[test]
fn a_directory_is_checked_copied_and_brought_back() {
    let dir = market();
    let (data, out, target) = (dir.file("data"), dir.file("backup"), dir.file("restored"));
    let said = run(["fsck", "--data", &data]).ok();
    assert!(
        said.contains("6 reports") && said.lines().last().unwrap().starts_with("ok: size "),
        "{said}"
    );
    let before = run(["fsck", "--data", &data, "--json"]).json();
    let made = run(["backup", "--out", &out, "--data", &data, "--json"]).json();
    assert_eq!(
        (&made["size"], &made["root"], &made["keys"]),
        (&before["size"], &before["root"], &true.into())
    );
    run(["backup", "--out", &out, "--data", &data]).fails(1, "data.not_empty");

    let why = run(["restore", &out, "--data", &target]).fails(1, "backup.newest_unknown");
    assert!(
        why.contains("--newest FILE") && why.contains("--nothing-newer"),
        "{why}"
    );
    run([
        "restore",
        &out,
        "--data",
        &target,
        "--nothing-newer",
        "--newest",
        "x",
    ])
    .usage();
    // The newest checkpoint from the trust bundle that a verifier keeps.
    let bundle = dir.file("bundle");
    run(["trust-bundle", "--data", &data, "--out", &bundle]).ok();
    let restored = run([
        "restore", &out, "--data", &target, "--newest", &bundle, "--json",
    ])
    .json();
    assert_eq!(
        (&restored["root"], &restored["vouched_by"]),
        (&before["root"], &"newest".into())
    );
    assert_eq!(
        (
            &restored["held_against"][0]["from"],
            &restored["held_against"][0]["root"]
        ),
        (&bundle.as_str().into(), &before["root"])
    );
    assert!(restored["bytes"].as_u64() > Some(4096), "{restored}");
    assert_eq!(
        run(["fsck", "--data", &target, "--json"]).json()["root"],
        before["root"]
    );
    assert_eq!(
        run(["scores", "--data", &target]).ok(),
        run(["scores", "--data", &data]).ok()
    );
    run(["restore", &out, "--data", &target, "--nothing-newer"]).fails(1, "data.not_empty");
    run([
        "restore",
        &dir.file("nothing"),
        "--data",
        &dir.file("x"),
        "--nothing-newer",
    ])
    .fails(1, "backup.invalid");
}

#[test]
fn a_restore_says_what_it_was_held_against_and_what_to_do_next() {
    let dir = market();
    let (data, out) = (dir.file("data"), dir.file("backup"));
    run(["backup", "--out", &out, "--data", &data]).ok();
    // In place, after a clean stop: the guard that stayed vouches for it.
    for name in [
        "goodstanding.sqlite",
        "goodstanding.sqlite-wal",
        "goodstanding.sqlite-shm",
    ] {
        let _ = std::fs::remove_file(dir.path().join("data").join(name));
    }
    let said = run(["restore", &out, "--data", &data]).ok();
    for part in [
        "held against head.guard: ",
        "; the backup has it, and 0 more",
        "by head.guard and a clean stop",
        "goodstanding doctor --data",
        "access grant",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = run([
        "restore",
        &out,
        "--data",
        &dir.file("new"),
        "--nothing-newer",
    ])
    .ok();
    assert!(
        said.contains("held against nothing") && said.contains("by your word alone"),
        "{said}"
    );
}

#[test]
fn the_doctor_holds_the_published_checkpoint_to_the_quorum() {
    let dir = market();
    let data = dir.file("data");
    let check = || {
        let all = json_of(&run(["doctor", "--data", &data, "--json"]));
        let checks = all["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|c| c["name"] == "published")
    };
    // Nobody is asked for: nothing to compare with.
    assert_eq!(check(), None);
    let witness = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
    let settings = |missed: &str| {
        format!(
            "when_missed = '{missed}'\npolicy = '''\nwitness w1 {witness} http://127.0.0.1:9/\nquorum w1\n'''\n"
        )
    };
    dir.write("data/witnesses.toml", settings("wait"));
    let found = check().unwrap();
    let detail = found["detail"].as_str().unwrap();
    assert_eq!(found["state"], "problem");
    assert!(
        detail.contains("lacks the quorum") && detail.contains("none of the newest has one"),
        "{detail}"
    );
    dir.write("data/witnesses.toml", settings("publish"));
    assert_eq!(check().unwrap()["state"], "warning");
}

#[test]
fn keys_can_be_left_out_and_put_back() {
    let dir = market();
    let (data, out, target) = (dir.file("data"), dir.file("backup"), dir.file("restored"));
    run(["backup", "--out", &out, "--data", &data, "--without-keys"]).ok();
    assert!(!std::path::Path::new(&out).join("keys").exists());
    run(["restore", &out, "--data", &target, "--nothing-newer"]).ok();
    run(["epoch", "--data", &target]).fails(1, "key.unusable");
    for key in ["log", "token", "status", "bundle", "casework", "access"] {
        let name = format!("keys/{key}.json");
        std::fs::copy(
            dir.path().join("data").join(&name),
            dir.path().join("restored").join(&name),
        )
        .unwrap();
    }
    run(["fsck", "--data", &target]).ok();
}

#[test]
fn what_is_wrong_is_exit_code_3_and_what_cannot_be_looked_at_1() {
    let dir = market();
    let data = dir.file("data");
    std::fs::remove_file(dir.path().join("data/keys/token.json")).unwrap();
    let ran = run(["fsck", "--data", &data, "--json"]);
    assert_eq!(ran.code, Some(3));
    let outcome = json_of(&ran);
    assert_eq!(outcome["ok"], false);
    assert_eq!(outcome["problems"][0]["code"], "fsck.key_file");
    assert_eq!(outcome["problems"][0]["place"], "keys/token.json");
    let ran = run(["fsck", "--data", &data]);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.out.starts_with("[fsck.key_file] keys/token.json: "),
        "{ran:?}"
    );
    run(["fsck", "--data", &dir.file("nothing")]).fails(1, "data.missing");
}

#[test]
fn the_doctor_names_what_is_wrong_and_what_to_do() {
    let dir = market();
    let data = dir.file("data");
    let state = |ran: &Ran, name: &str| {
        let all = json_of(ran);
        let checks = all["checks"].as_array().unwrap().clone();
        let states: Vec<_> = checks
            .iter()
            .filter(|c| c["name"] == name)
            .map(|c| c["state"].clone())
            .collect();
        assert!(!states.is_empty(), "{name}: {ran:?}");
        states
    };
    let well = run(["doctor", "--data", &data, "--json"]);
    assert_eq!(well.code, Some(0), "{well:?}");
    for name in [
        "directory",
        "keys",
        "lock",
        "database",
        "head guard",
        "clock",
        "policy",
        "key life",
    ] {
        assert_eq!(state(&well, name), ["ok"], "{name}");
    }
    assert_eq!(state(&well, "backup"), ["warning"]);
    run(["backup", "--out", &dir.file("b"), "--data", &data]).ok();
    assert_eq!(
        state(&run(["doctor", "--data", &data, "--json"]), "backup"),
        ["ok"]
    );

    let guard = dir.path().join("data/head.guard");
    let held = std::fs::read(&guard).unwrap();
    std::fs::remove_file(&guard).unwrap();
    let ill = run(["doctor", "--data", &data, "--json"]);
    assert_eq!(
        (ill.code, state(&ill, "head guard")),
        (Some(1), vec!["problem".into()])
    );
    std::fs::write(&guard, held).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let key = dir.path().join("data/keys/log.json");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        let ill = run(["doctor", "--data", &data]);
        assert_eq!(ill.code, Some(1));
        assert!(
            ill.out.contains("PROBLEM  keys") && ill.out.contains("chmod 600"),
            "{ill:?}"
        );
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    // Nobody listens there.
    let ill = run([
        "doctor",
        "--data",
        &data,
        "--url",
        "http://127.0.0.1:9",
        "--json",
    ]);
    assert_eq!(
        (ill.code, state(&ill, "service")),
        (Some(1), vec!["problem".into()])
    );
    let none = run(["doctor", "--data", &dir.file("nothing"), "--json"]);
    assert_eq!(
        (none.code, state(&none, "directory")),
        (Some(1), vec!["problem".into()])
    );
}

#[test]
fn a_move_takes_its_ends_from_the_environment_too() {
    let dir = market();
    let migrate = |args: &[&'static str], set: &[(&str, String)]| {
        let mut command = command(args.iter().copied());
        command.envs(set.iter().map(|(name, value)| (name, value)));
        Ran::of(command.output().unwrap())
    };
    let end = |name: &str| format!("sqlite:{}", dir.file(name));
    let from = ("GOODSTANDING_MIGRATE_FROM", end("data"));
    let to = ("GOODSTANDING_MIGRATE_TO", end("moved"));
    migrate(&["migrate"], std::slice::from_ref(&from)).usage();
    let moved = migrate(&["migrate", "--json"], &[from, to]).json();
    assert_eq!(moved["data"], dir.file("moved"));
    run(["fsck", "--data", &dir.file("moved")]).ok();
    run(["epoch", "--data", &dir.file("data")]).fails(1, "data.moved");
    let secret = "postgres://me:secret@db.example/goodstanding".to_owned();
    let set = ("GOODSTANDING_MIGRATE_FROM", secret);
    let help = migrate(&["migrate", "--help"], &[set]).ok();
    assert!(
        help.contains("GOODSTANDING_MIGRATE_FROM") && !help.contains("secret"),
        "{help}"
    );
}

#[test]
fn without_a_backup_only_a_database_on_a_server_can_be_restored() {
    let dir = market();
    let why = run(["restore", "--nothing-newer", "--data", &dir.file("new")]).usage();
    assert!(why.contains("name the backup"), "{why}");
    assert!(!dir.path().join("new").exists());
}
