//! A market in miniature, from nothing to scores.

use std::{collections::BTreeMap, io::Read as _};

use crate::support::{Dir, HEADER, run};

/// What the judge of the evaluation reads, in the order of the markets that it was written for.
const LABELS: &str = "agent,role,latent_quality,attack,group,attack_role,join_time,newcomer,honest_cluster,victim_of,quality_start,drift_day,\
                      n_sold,delivered_quality,delivered_quality_by_amount";

fn simulate<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["simulate", "--agents", "300", "--trades", "1500"];
    args.extend(["--seed", "4", "--out", out]);
    args.extend(more);
    args
}

fn unpacked(dir: &Dir, name: &str) -> String {
    let mut text = String::new();
    let packed = std::fs::read(dir.path().join(name)).unwrap();
    let mut reader = flate2::read::GzDecoder::new(packed.as_slice());
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_market_is_imported_scored_and_has_labels() {
    let dir = Dir::new();
    let (out, data) = (dir.file("market"), dir.file("data"));
    let attack = [
        "--attack",
        "sybil_ring:groups=1",
        "slander",
        "--habits",
        "gradual-additive",
    ];
    let made = run(simulate(&out, &attack).into_iter().chain(["--json"])).json();
    let reports = made["reports"].as_u64().unwrap();
    assert!(made["agents"].as_u64().unwrap() > 300 && made["attackers"].as_u64().unwrap() > 5);

    let text = unpacked(&dir, "market/reports.csv.gz");
    assert_eq!(text.lines().next().unwrap(), HEADER);
    let file = format!("{out}/reports.csv.gz");
    let import = [
        "import",
        &file,
        "--historical",
        "--data",
        &data,
        "--key-seed",
        "s",
        "--json",
    ];
    let imported = run(import).json();
    assert_eq!(imported["new"].as_u64(), Some(reports), "{imported}");
    assert_eq!(imported["refused"], serde_json::json!({}), "{imported}");

    let seeds = format!("@{out}/seeds.txt");
    run(["policy", "set", "--seeds", &seeds, "--data", &data]).ok();
    run(["epoch", "--data", &data]).ok();
    let scores = run(["scores", "--format", "csv", "--data", &data]).ok();
    let scored: Vec<&str> = scores
        .lines()
        .skip(1)
        .map(|l| l.split(',').nth(1).unwrap())
        .collect();

    let labels = dir.read("market/labels.csv");
    let mut lines = labels.lines();
    assert_eq!(lines.next().unwrap(), LABELS);
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), 15, "{line}");
        *parts.entry(cells[3]).or_default() += 1;
        if cells[12] != "0" && text.contains(&format!(",{},buyer,", cells[0])) {
            assert!(scored.contains(&cells[0]), "{line} has no score");
        }
    }
    let kinds: Vec<&str> = parts.keys().copied().collect();
    assert_eq!(kinds, ["honest", "slander", "sybil_ring"]);
    let market: serde_json::Value = serde_json::from_str(&dir.read("market/market.json")).unwrap();
    assert_eq!(
        (market["agents"].as_u64(), market["seed"].as_u64()),
        (Some(300), Some(4))
    );
    assert_eq!(market["attacks"][1]["kind"], "slander");
}

#[test]
fn the_same_seed_makes_the_same_files_and_nothing_is_overwritten() {
    let dir = Dir::new();
    let (a, b) = (dir.file("a"), dir.file("b"));
    let said = run(simulate(&a, &["--attack", "all"])).ok();
    assert!(
        said.contains("seeds.txt") && said.contains("dishonest"),
        "{said}"
    );
    run(simulate(&b, &["--attack", "all"])).ok();
    for name in ["reports.csv.gz", "labels.csv", "seeds.txt", "market.json"] {
        let read = |at: &str| std::fs::read(dir.path().join(at).join(name)).unwrap();
        assert!(read("a") == read("b"), "{name} differs");
    }
    let before = std::fs::read(dir.path().join("a/reports.csv.gz")).unwrap();
    run(simulate(&a, &["--attack", "none"])).fails(1, "data.not_empty");
    assert!(before == std::fs::read(dir.path().join("a/reports.csv.gz")).unwrap());
}

#[test]
fn habits_come_from_a_file_and_what_is_wrong_is_named() {
    let dir = Dir::new();
    let habits = dir.write("own.toml", "foreign = 1.0\nunlisted = 1.0\n");
    let out = dir.file("own");
    run(simulate(&out, &["--habits", &habits])).ok();
    let text = unpacked(&dir, "own/reports.csv.gz");
    assert!(text.contains(",GPUH,") || text.contains(",JPYC,"));
    assert!(!text.contains(",USDC,"));

    let out = dir.file("none");
    let wrong = dir.write("wrong.toml", "loyalty = 2.0\n");
    for (more, code) in [
        (["--habits", "martian"], "simulate.habits_unknown"),
        (["--habits", &wrong], "simulate.parameter_out_of_range"),
        (["--habits", "missing.toml"], "input.unreadable"),
        (["--attack", "magic"], "simulate.attack_invalid"),
        (
            ["--attack", "slander:mix=7"],
            "simulate.parameter_out_of_range",
        ),
        (["--agents", "20"], "simulate.parameter_out_of_range"),
    ] {
        let args = ["simulate", "--out", &out].into_iter().chain(more);
        run(args).fails(1, code);
        assert!(
            !dir.path().join("none").exists(),
            "{more:?} left something behind"
        );
    }
}
