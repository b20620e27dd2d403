//! `audit` as an auditor runs it: exit codes, what it says, what it keeps.

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{Dir, Ran, Serving, bearer, command, market, run, run_with};

/// Changes the database behind the program's back.
pub(crate) fn sql(dir: &Dir, statement: &'static str) {
    let file = dir.path().join("data/goodstanding.sqlite");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(file);
        let mut db = SqliteConnection::connect_with(&options).await.unwrap();
        let done = sqlx::query(statement).execute(&mut db).await.unwrap();
        assert!(done.rows_affected() > 0, "{statement}");
        db.close().await.unwrap();
    });
}

#[test]
fn an_honest_log_agrees_and_the_next_audit_goes_on() {
    let dir = market();
    let (data, state) = (dir.file("data"), dir.file("state.json"));
    let first = run(["audit", &data, "--state", &state]).ok();
    assert!(
        first.starts_with("the log agrees with its rules\n"),
        "{first}"
    );
    assert!(
        first.contains("NOT CHECKED: the log named it itself"),
        "{first}"
    );
    assert!(
        first.contains("reports     6 verified, 0 erased"),
        "{first}"
    );
    assert!(first.contains("epochs      1 recomputed"), "{first}");
    run(["epoch", "--data", &data]).ok();
    let second = run(["audit", &data, "--state", &state, "--json"]).json();
    assert_eq!(second["agrees"], true);
    let audit = &second["audit"];
    assert_eq!(
        (audit["entries"].as_u64(), audit["epochs"].as_u64()),
        (Some(1), Some(2))
    );
    assert_eq!(audit["first_use"], false);
    assert_eq!(audit["log_key_from"], "the state file");
    let other = run(["audit", &data, "--seeds", "bob", "--json"]).json();
    let view = &other["audit"]["other_view"];
    assert_eq!(
        (view["epoch"].as_u64(), view["taking_part"].as_u64()),
        (Some(2), Some(1))
    );
    assert!(
        view["moved"]
            .as_array()
            .is_some_and(|moved| !moved.is_empty())
    );
    let shown = run(["audit", &data, "--seeds", "bob"]).ok();
    assert!(
        shown.contains("with your 1 trust root (1 trade)"),
        "{shown}"
    );
}

#[test]
fn a_full_audit_reads_again_what_the_state_has_and_holds_the_log_to_it() {
    let dir = market();
    let (data, state) = (dir.file("data"), dir.file("state.json"));
    run(["audit", &data, "--full"]).usage();
    run(["audit", &data, "--state", &state]).ok();
    let full = ["audit", &data, "--state", &state, "--full"];
    let again = run(full.into_iter().chain(["--json"])).json();
    let audit = &again["audit"];
    assert_eq!(
        (&audit["resumed_at"], &audit["reports"]),
        (&0.into(), &6.into())
    );
    assert_eq!(
        (&audit["checkpoints_seen"], &audit["log_key_from"]),
        (&1.into(), &"the state file".into())
    );
    let said = run(full).ok();
    assert!(
        said.contains("restarted   from the first entry: as asked for"),
        "{said}"
    );
    // What was taken away behind the state's back is not looked at by the next audit, but by this one.
    sql(
        &dir,
        "UPDATE bodies SET jws = replace(jws, 'e', 'f') WHERE idx = (SELECT min(idx) FROM bodies)",
    );
    run(["audit", &data, "--state", &state]).ok();
    run(full).fails(3, "audit.body_altered");
    // The lie has been seen: the next audit begins at the first entry as well, and what was remembered still is.
    run(["audit", &data, "--state", &state]).fails(3, "audit.body_altered");
    let held: serde_json::Value = serde_json::from_str(&dir.read("state.json")).unwrap();
    assert_eq!(held["checkpoints"].as_array().unwrap().len(), 1);
}

#[test]
fn a_full_audit_of_another_history_is_a_fork() {
    let dir = market();
    let (data, state, fork) = (dir.file("data"), dir.file("state.json"), dir.file("fork"));
    let copied = std::process::Command::new("cp")
        .args(["-r", &data, &fork])
        .status();
    assert!(copied.unwrap().success());
    run(["policy", "set", "--seeds", "bob", "--data", &data]).ok();
    for seeds in ["mallory", "mallory,bob"] {
        run(["policy", "set", "--seeds", seeds, "--data", &fork]).ok();
    }
    run(["audit", &data, "--state", &state]).ok();
    run(["audit", &fork, "--state", &state, "--full"]).fails(3, "audit.log_forked");
    assert!(dir.path().join("state.json.evidence.json").exists());
}

#[test]
fn a_log_for_auditors_is_audited_with_a_token_that_is_in_no_command_line() {
    let dir = market();
    let data = dir.file("data");
    let settings = dir.write("settings.toml", "visibility = 'auditors'");
    let serving = Serving::with(&data, &["--config", &settings]);
    let url = serving.url.as_str();
    let why = run(["audit", url]).fails(1, "auth.missing");
    assert!(
        why.contains("/v1/log/bodies") && why.contains("--role auditor"),
        "{why}"
    );
    run(["audit", url, "--token", &bearer(&dir, &data, "operator")]).fails(1, "auth.forbidden");
    let token = bearer(&dir, &data, "auditor");
    let file = token.trim_start_matches('@');
    let said = run(["audit", url, "--token", file]).ok();
    assert!(said.contains("reports     6 verified"), "{said}");
    let text = std::fs::read_to_string(file).unwrap();
    run_with(["audit", url, "--token", "-"], &text).ok();
    let why = run(["audit", url, "--token", text.trim()]).usage();
    assert!(!why.contains(text.trim()), "{why}");
    let set = |name: &str| {
        let set = command(["audit", url]).env(name, text.trim()).output();
        Ran::of(set.unwrap())
    };
    set("GOODSTANDING_AUDIT_TOKEN").ok();
    // That one opens services that are operated from here: it is not for whoever is audited.
    set("GOODSTANDING_TOKEN").fails(1, "auth.missing");
    // Nor is any for everybody on the way.
    let why = run(["audit", "http://log.example", "--token", file]).usage();
    assert!(why.contains("https only"), "{why}");
}

#[test]
fn a_lie_is_exit_3_with_its_code_and_its_place() {
    let dir = market();
    let data = dir.file("data");
    sql(
        &dir,
        "UPDATE statements SET claims = json_set(claims, '$.lower_bp', 9999) WHERE leaf = 0",
    );
    let said = run(["audit", &data]);
    assert!(said.out.is_empty(), "{said:?}");
    let said = said.fails(3, "audit.statement_wrong");
    assert!(said.contains("epoch 1, agent did:key:z6Mk"), "{said}");
    assert!(said.contains("lower_bp is 9999, recomputed "), "{said}");
    let ran = run(["audit", &data, "--json"]);
    assert_eq!(ran.code, Some(3));
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["agrees"], false);
    assert_eq!(value["error"]["code"], "audit.statement_wrong");
    assert_eq!(value["disagreement"]["place"]["epoch"], 1);
    assert!(value["disagreement"]["place"]["agent"].is_string());
    // Without epochs, the lie is not looked at.
    run(["audit", &data, "--no-epochs"]).ok();
}

#[test]
fn a_fork_is_kept_with_both_checkpoints() {
    let dir = market();
    let (data, state) = (dir.file("data"), dir.file("state.json"));
    // The same keys, but two histories from here on.
    let fork = dir.file("fork");
    let copied = std::process::Command::new("cp")
        .args(["-r", &data, &fork])
        .status();
    assert!(copied.unwrap().success());
    run(["policy", "set", "--seeds", "bob", "--data", &data]).ok();
    run(["policy", "set", "--seeds", "mallory", "--data", &fork]).ok();
    run(["audit", &data, "--state", &state]).ok();
    let said = run(["audit", &fork, "--state", &state]).fails(3, "audit.log_forked");
    let kept = dir.read("state.json.evidence.json");
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let notes = kept["checkpoints"].as_array().unwrap();
    assert_eq!(notes.len(), 2);
    for note in notes {
        assert!(said.contains(note.as_str().unwrap()), "{said}");
    }
    assert!(said.contains("state.json.evidence.json"), "{said}");
    // Evidence that cannot be kept does not hide what it is evidence of.
    std::fs::remove_file(dir.file("state.json.evidence.json")).unwrap();
    std::fs::create_dir(dir.file("state.json.evidence.json")).unwrap();
    let ran = run(["audit", &fork, "--state", &state, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown["error"]["code"], "audit.log_forked");
    let said = ran.fails(3, "audit.log_forked");
    assert!(
        said.contains("warning: the evidence was not kept: "),
        "{said}"
    );
    std::fs::remove_dir(dir.file("state.json.evidence.json")).unwrap();
    // A longer fork is one too; a shorter one as well.
    run(["epoch", "--data", &fork]).ok();
    run(["audit", &fork, "--state", &state]).fails(3, "audit.log_forked");
    run(["epoch", "--data", &data]).ok();
    run(["policy", "set", "--seeds", "alice", "--data", &data]).ok();
    run(["audit", &data, "--state", &state]).ok();
    run(["audit", &fork, "--state", &state]).fails(3, "audit.log_shrunk");
}

#[test]
fn what_is_no_lie_is_not_exit_3() {
    let dir = market();
    let (data, state) = (dir.file("data"), dir.file("state.json"));
    run(["audit", &dir.file("nothing")]).fails(1, "data.missing");
    run(["audit", "http://127.0.0.1:1"]).fails(1, "client.unreachable");
    run(["audit", "https://log.example"]).fails(1, "client.unreachable");
    run(["audit", &data, "--no-epochs", "--seeds", "bob"]).usage();
    run(["audit", &data, "--log-key", "nonsense"]).usage();
    run(["audit", &data, "--seeds", "nobody-here"]).fails(1, "agent.unknown");
    dir.write("state.json", "{}");
    run(["audit", &data, "--state", &state]).fails(1, "audit.state_unusable");
    assert_eq!(dir.read("state.json"), "{}");
}

#[test]
fn a_benchmark_says_what_it_measured() {
    let keep = Dir::new();
    let ran = run([
        "bench",
        "audit",
        "--reports",
        "300,600",
        "--agents",
        "9",
        "--keep",
        &keep.file("logs"),
        "--json",
    ]);
    let value = ran.json();
    let audits = value["audits"].as_array().unwrap();
    assert_eq!(audits.len(), 2);
    for (audit, reports) in audits.iter().zip([300, 600]) {
        assert_eq!(audit["reports"], reports);
        assert!(
            audit["reports_per_s"].as_f64() > Some(0.0) && audit["bare_per_s"].as_f64() > Some(0.0)
        );
    }
}
