//! `explain` on the market of the golden vectors in which some cheat: what a person reads of it.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::{Dir, SEED, Serving, run};

/// 2026-01-01, the time of the vectors.
const AS_OF: &str = "1767225600";

/// What the agents of the vectors are called here, in the order in which the reports name them.
const NAMES: [&str; 14] = [
    "seed1",
    "good",
    "worse",
    "large",
    "ring1",
    "ring2",
    "ring3",
    "pal1",
    "pal2",
    "seed2",
    "buyer3",
    "buyer4",
    "buyer5",
    "slanderer",
];

/// The reports of the vectors as an import, and an epoch.
fn cheats() -> (Dir, String) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/scores.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let name = "agent-market: some cheat";
    let case = cases.iter().find(|case| case["name"] == name).unwrap();
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut rows = Vec::new();
    for report in case["reports"].as_array().unwrap() {
        let text = |name: &str| report[name].as_str().unwrap();
        let [reporter, subject] = [text("reporter"), text("subject")].map(|did| {
            let next = names.len();
            *names.entry(did).or_insert_with(|| NAMES[next])
        });
        let nano = report["amount_nano"].as_u64().unwrap();
        let time = report["closed_at"].as_u64().unwrap();
        let row = format!(
            "{time},{},{},{},{reporter},{subject},{},{}.{:09},{},,,{},{},,,,,,,,,,",
            text("trade_id"),
            text("market"),
            text("kind"),
            text("role"),
            nano / 1_000_000_000,
            nano % 1_000_000_000,
            text("currency"),
            text("status"),
            report["quality_bp"]
        );
        rows.push((time, row));
    }
    assert_eq!(names.len(), NAMES.len());
    rows.sort_by_key(|(time, _)| *time);
    let rows: Vec<&str> = rows.iter().map(|(_, row)| row.as_str()).collect();
    let dir = Dir::new();
    let (file, data) = (dir.csv("trades.csv", &rows), dir.file("data"));
    let import = ["import", &file, "--historical", "--data", &data];
    run(import.into_iter().chain(["--key-seed", SEED])).ok();
    run(["policy", "set", "--seeds", "seed1,seed2", "--data", &data]).ok();
    run(["epoch", "--as-of", AS_OF, "--data", &data]).ok();
    (dir, data)
}

/// The line that begins like this.
fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    let found = text
        .lines()
        .find(|line| line.trim_start().starts_with(begin));
    found.unwrap_or_else(|| panic!("no line {begin:?} in:\n{text}"))
}

/// Basis points as they are shown.
fn percent(value: &Value) -> String {
    let bp = value.as_u64().unwrap();
    format!("{}.{:02} %", bp / 100, bp % 100)
}

#[test]
fn a_person_reads_which_bound_what_changed_and_what_was_dampened_and_why() {
    let (_dir, data) = cheats();
    let said = |name: &str| run(["explain", name, "--data", &data]).ok();
    let json = |name: &str| run(["explain", name, "--json", "--data", &data]).json();

    let (text, all) = (said("large"), json("large"));
    let headline = line(&text, "headline");
    assert!(headline.contains(&percent(&all["lower_bp"])), "{text}");
    assert!(
        headline.contains("its large trades, from 119.25 on, are the weakest"),
        "{text}"
    );
    assert!(
        line(
            &text,
            "Large trades: from 119.25 of the reference currency on"
        )
        .contains("standard errors")
    );
    assert!(line(&text, "For the headline").contains("is taken from the mean"));

    let (text, all) = (said("worse"), json("worse"));
    let change = &all["changes"][0];
    let shown = line(&text, "2025-10-09");
    assert!(shown.contains("worse, "), "{text}");
    assert!(
        shown.contains(&format!(
            "{} before, {} after",
            percent(&change["before_bp"]),
            percent(&change["after_bp"])
        )),
        "{text}"
    );
    assert!(shown.ends_with("what was before counts 1/16"), "{text}");

    assert_eq!(all["headline_band_from_milli"], 1000);
    let headline = line(&text, "headline");
    assert!(
        headline.ends_with("its trades in the amount band from 1 are the weakest"),
        "{text}"
    );

    let text = said("good");
    assert!(text.contains("slander: rates it "), "{text}");
    let slanderer = line(&text, "slanderer");
    assert!(
        slanderer.contains(" 5.00 %"),
        "what is left of it: {slanderer}"
    );
    assert!(
        said("ring1")
            .contains("wash: their trades pass like amounts on in a circle, 6 links or more")
    );
    for name in ["ring1", "pal2"] {
        let core = "core: boosts inside a group that boosts itself; rates it ";
        assert!(said(name).contains(core), "{name}");
    }
    let seller = line(&said("ring1"), "ring2").to_owned();
    assert!(
        seller.contains("  0.00 %         - "),
        "no mean of what weighs nothing: {seller}"
    );
    let text = said("pal1");
    assert!(
        text.contains("reciprocal: they praise each other; rates it "),
        "{text}"
    );
    assert!(line(&text, "dampening").contains(&percent(&json("pal1")["dampening_bp"])));

    let text = said("buyer3");
    assert!(
        line(&text, "as a buyer").contains("of it counts in the score"),
        "{text}"
    );
    assert!(text.contains(", as its seller"), "{text}");
    let (text, all) = (said("good"), json("good"));
    for (begin, outcome) in [("rated perfect", "good"), ("rated zero", "bad")] {
        let shown = line(&text, begin);
        assert!(
            shown.contains(&percent(&all["one_more"][outcome]["score_bp"])),
            "{text}"
        );
    }
    let now = all["score_bp"].as_u64().unwrap();
    let then = all["one_more"]["bad"]["score_bp"].as_u64().unwrap();
    let moved = percent(&Value::from(now - then));
    assert!(
        line(&text, "rated zero").contains(&format!("(−{moved})")),
        "{text}"
    );
}

#[test]
fn a_service_explains_the_same_in_words_and_numbers() {
    let (_dir, data) = cheats();
    let offline = run(["explain", "good", "--json", "--data", &data]).json();
    let serving = Serving::on(&data);
    let did = offline["agent"].as_str().unwrap();
    assert_eq!(
        run(["explain", did, "--json", "--url", &serving.url]).json(),
        offline
    );
    let said = run(["explain", did, "--url", &serving.url]).ok();
    assert!(said.contains("slander: rates it "), "{said}");
    assert_eq!(offline["contributions_left_out"], 0);
}
