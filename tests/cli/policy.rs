//! Policies as people read them: what a constant means, what the log has had, what differs, and that the past stays.

use serde_json::{Value, json};

use crate::{
    audit::sql,
    support::{Dir, Ran, market, run},
};

fn policy(data: &str, more: &[&str]) -> Ran {
    run([&["policy"], more, &["--data", data]].concat())
}

fn pointers(diff: &Value) -> Vec<&str> {
    let changed = diff["changed"].as_array().unwrap();
    changed
        .iter()
        .map(|c| c["pointer"].as_str().unwrap())
        .collect()
}

/// The policy in force with another value of one constant, as a file.
fn with(dir: &Dir, name: &str, value: u64) -> String {
    let mut shown = policy(&dir.file("data"), &["show", "--json"]).json()["policy"].take();
    shown["scoring"][name] = value.into();
    dir.write(&format!("{name}.json"), shown.to_string())
}

#[test]
fn every_constant_is_shown_with_its_range_and_meaning() {
    let dir = market();
    let data = dir.file("data");
    let file = with(&dir, "z_milli", 777);
    policy(&data, &["set", "--file", &file]).ok();
    let told = policy(&data, &["show", "--explain", "--json"]).json();
    let constants = told["constants"].as_array().unwrap();
    let members = |object: &str| told["policy"][object].as_object().unwrap().len();
    assert_eq!(constants.len(), members("scoring") + members("admission"));
    for constant in constants {
        let value = told["policy"].pointer(constant["pointer"].as_str().unwrap());
        assert_eq!(Some(&constant["value"]), value);
        let number = |name: &str| constant[name].as_u64().unwrap();
        assert!(
            (number("min")..=number("max")).contains(&number("value")),
            "{constant}"
        );
        assert!(
            constant["meaning"].as_str().unwrap().ends_with('.'),
            "{constant}"
        );
        assert!(constant["presets"]["rating-network"].is_u64(), "{constant}");
    }
    let z = constants
        .iter()
        .find(|c| c["pointer"] == "/scoring/z_milli");
    assert_eq!(
        z.unwrap(),
        &json!({
            "pointer": "/scoring/z_milli", "value": 777, "min": 0, "max": 10_000,
            "presets": {"agent-market": 400, "rating-network": 1000},
            "meaning": "Standard errors between mean and lower bound, thousandths.",
        })
    );
    // To people, with a mark at what is not as in the preset.
    let shown = policy(&data, &["show", "--explain"]).ok();
    assert!(
        shown.contains(
            "* z_milli = 777\n      Standard errors between mean and lower bound, thousandths.\n      \
             0 to 10000; agent-market 400, rating-network 1000\n"
        ),
        "{shown}"
    );
    assert_eq!(
        shown.lines().filter(|line| line.starts_with("* ")).count(),
        2
    );
    assert!(
        shown.ends_with("* 1 constant not as in agent-market\n"),
        "{shown}"
    );
    // Without, it is the policy itself and can be set from a file.
    let plain: Value = serde_json::from_str(&policy(&data, &["show"]).ok()).unwrap();
    assert_eq!(plain, told["policy"]);
}

#[test]
fn presets_and_files_are_compared_without_a_log() {
    let dir = Dir::new();
    let nowhere = dir.file("nowhere");
    let preset = policy(&nowhere, &["show", "--preset", "rating-network"]).ok();
    let mut own: Value = serde_json::from_str(&preset).unwrap();
    assert_eq!(own["preset"], "rating-network");
    let against = ["--against", "rating-network", "--json"];
    let diff = ["diff", "--preset", "agent-market"];
    let told = policy(&nowhere, &[&diff[..], &against].concat()).json();
    let z = &told["changed"].as_array().unwrap();
    let z = z.iter().find(|c| c["pointer"] == "/scoring/z_milli");
    assert_eq!(
        z.unwrap(),
        &json!({
            "pointer": "/scoring/z_milli", "from": 400, "to": 1000,
            "meaning": "Standard errors between mean and lower bound, thousandths.",
        })
    );
    own["scoring"]["z_milli"] = 7.into();
    let file = dir.write("own.json", own.to_string());
    let told = policy(
        &nowhere,
        &["diff", "--preset", "rating-network", "--against", &file],
    )
    .ok();
    assert_eq!(told, "/scoring/z_milli: 1000 → 7\n");
    let told = policy(
        &nowhere,
        &[
            "diff",
            "--file",
            &file,
            "--against",
            "rating-network",
            "--explain",
        ],
    )
    .ok();
    assert_eq!(
        told,
        "/scoring/z_milli: 7 → 1000\n  Standard errors between mean and lower bound, thousandths.\n"
    );
    let told = policy(&nowhere, &["diff", "--file", &file, "--against", &file]).ok();
    assert_eq!(told, "nothing differs\n");
    policy(&nowhere, &["show", "--preset", "other"]).fails(1, "policy.preset_unknown");
    policy(
        &nowhere,
        &["diff", "--preset", "agent-market", "--against", "other"],
    )
    .fails(1, "input.unreadable");
    // What needs a log says that there is none, and makes none.
    policy(&nowhere, &["diff", "--against", "rating-network"]).fails(1, "data.missing");
    assert!(!std::path::Path::new(&nowhere).exists());
}

#[test]
fn versions_of_the_log_are_listed_shown_compared_and_set_again() {
    let dir = market();
    let data = dir.file("data");
    let second = policy(&data, &["show", "--json"]).json();
    policy(
        &data,
        &["set", "--preset", "rating-network", "--currency", "SEK=95"],
    )
    .ok();
    let file = with(&dir, "z_milli", 900);
    policy(&data, &["set", "--file", &file]).ok();
    let listed = policy(&data, &["list", "--json"]).json();
    let versions = listed["versions"].as_array().unwrap();
    let column = |name: &str| versions.iter().map(|v| v[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("version"), [1, 2, 3, 4]);
    assert_eq!(
        column("preset"),
        [
            "agent-market",
            "agent-market",
            "rating-network",
            "rating-network"
        ]
    );
    assert_eq!(versions[1]["index"], second["index"]);
    let diff = |more: &[&str]| policy(&data, &[&["diff"], more, &["--json"]].concat()).json();
    // The numbers of the list are those of the differences.
    for (of, and) in [("1", "2"), ("2", "3"), ("3", "4")] {
        let differ = pointers(&diff(&["--version", of, "--against", and])).len();
        let place: usize = and.parse::<usize>().unwrap() - 1;
        assert_eq!(versions[place]["changed"], differ);
    }
    assert_eq!(versions[0]["changed"], Value::Null);
    assert_eq!(
        pointers(&diff(&["--version", "1", "--against", "2"])),
        ["/seeds"]
    );
    let forth = diff(&["--version", "3", "--against", "4"]);
    assert_eq!(
        (&forth["changed"][0]["from"], &forth["changed"][0]["to"]),
        (&1000.into(), &900.into())
    );
    let back = diff(&["--version", "4", "--against", "3"]);
    assert_eq!(
        (pointers(&back), &back["changed"][0]["to"]),
        (vec!["/scoring/z_milli"], &1000.into())
    );
    // The one in force is what is meant without a name; of a preset, what a log has of its own stays.
    assert_eq!(diff(&["--against", "3"]), back);
    assert_eq!(
        pointers(&diff(&["--against", "rating-network"])),
        ["/scoring/z_milli"]
    );
    let file_of_two = dir.write("two.json", second["policy"].to_string());
    assert_eq!(
        diff(&["--version", "2", "--against", &file_of_two])["changed"],
        json!([])
    );
    let shown = policy(&data, &["show", "--version", "2", "--json"]).json();
    assert_eq!(shown, second);
    let told = policy(&data, &["list"]).ok();
    assert!(
        told.lines().count() == 4 && told.contains("agent-market: 1 member changed"),
        "{told}"
    );
    // Back to an earlier version: a new one that says the same.
    let would = diff(&["--version", "2"]);
    let set = policy(&data, &["set", "--version", "2", "--json"]).json();
    assert_eq!(
        (&set["version"], &set["changed"]),
        (&5.into(), &would["changed"])
    );
    assert_eq!(
        policy(&data, &["show", "--json"]).json()["policy"],
        second["policy"]
    );
    policy(&data, &["show", "--version", "9"]).fails(1, "policy.unknown");
    policy(&data, &["set", "--version", "0"]).fails(1, "policy.unknown");
    policy(&data, &["diff", "--against", "9"]).fails(1, "policy.unknown");
    policy(
        &data,
        &["set", "--version", "2", "--preset", "agent-market"],
    )
    .usage();
}

#[test]
fn a_policy_that_another_version_logged_is_still_shown_and_compared() {
    let dir = market();
    let data = dir.file("data");
    // What an older program had instead of a constant of today.
    sql(
        &dir,
        "UPDATE entries SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"z_milli\"', '\"z_mills\"') AS BLOB) WHERE idx = \
         (SELECT min(idx) FROM entries WHERE kind = 'policy')",
    );
    let shown = policy(&data, &["show", "--version", "1"]);
    assert!(
        shown
            .err
            .contains("[policy.unknown_member] /scoring/z_mills"),
        "{shown:?}"
    );
    let first: Value = serde_json::from_str(&shown.ok()).unwrap();
    assert!(first["scoring"]["z_mills"].is_u64());
    let explained = policy(&data, &["show", "--version", "1", "--explain"]).ok();
    assert!(explained.contains("z_milli = missing"), "{explained}");
    let told = policy(&data, &["diff", "--version", "1", "--against", "2"]).ok();
    assert!(
        told.contains("/scoring/z_milli: new, ") && told.contains("/scoring/z_mills: gone, was "),
        "{told}"
    );
    assert_eq!(policy(&data, &["list"]).ok().lines().count(), 2);
    // Nobody computes with it.
    policy(&data, &["set", "--version", "1"]).fails(1, "policy.unknown_member");
}

#[test]
fn another_policy_leaves_past_epochs_as_they_are() {
    let dir = market();
    let data = dir.file("data");
    let audit = || run(["audit", &data, "--json"]).json()["audit"].take();
    let scores = || run(["scores", "--data", &data, "--format", "json"]).json();
    let before = scores();
    assert_eq!(audit()["epochs_recomputed"], 1);
    // Everything about scores is another now, and the old epoch still recomputes: under the policy that it names.
    policy(&data, &["set", "--preset", "rating-network"]).ok();
    assert_eq!(scores(), before);
    let audited = audit();
    assert_eq!(
        (&audited["epochs_recomputed"], &audited["policies"]),
        (&1.into(), &3.into())
    );
    // The next epoch is of the new policy, and both recompute.
    run(["epoch", "--data", &data]).ok();
    assert_ne!(scores(), before);
    assert_eq!(audit()["epochs_recomputed"], 2);
}
