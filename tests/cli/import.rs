//! Importing: what is taken, what is refused, and that again means again.

use std::collections::{BTreeSet, HashMap};

use crate::support::{Dir, run, shared, six_rows};

const SEED: [&str; 2] = ["--key-seed", "a secret of the test"];

fn import(data: &str, file: &str) -> crate::support::Ran {
    run([
        "import",
        file,
        "--historical",
        "--data",
        data,
        "--json",
        SEED[0],
        SEED[1],
    ])
}

#[test]
fn plain_and_gzip_are_the_same_and_a_second_time_changes_nothing() {
    let dir = Dir::new();
    let data = dir.file("data");
    // Its first bytes say what it is, not its name.
    let (plain, gzip) = (
        dir.csv("trades.csv", &six_rows()),
        dir.csv_gz("also-trades.csv", &six_rows()),
    );
    let first = import(&data, &plain).json();
    assert_eq!(
        (&first["rows"], &first["new"], &first["already_there"]),
        (&6.into(), &6.into(), &0.into())
    );
    let again = import(&data, &gzip).json();
    assert_eq!(
        (&again["rows"], &again["new"], &again["already_there"]),
        (&6.into(), &0.into(), &6.into())
    );
    // An import that stopped half-way is run again.
    let mut more = six_rows().to_vec();
    more.push("1790000500,t6,query-a,purchase,bob,carol,buyer,1,USD,,,fulfilled,9000,,,,,,,,,,");
    let rest = import(&data, &dir.csv("more.csv", &more)).json();
    assert_eq!(
        (&rest["new"], &rest["already_there"]),
        (&1.into(), &6.into())
    );
}

#[test]
fn another_key_seed_would_be_other_agents() {
    let dir = Dir::new();
    let data = dir.file("data");
    let file = dir.csv("trades.csv", &six_rows());
    import(&data, &file).json();
    run([
        "import",
        &file,
        "--data",
        &data,
        "--historical",
        "--key-seed",
        "another",
    ])
    .fails(1, "agent.alias_taken");
}

#[test]
fn a_faulty_file_is_refused_whole_with_line_and_column() {
    let dir = Dir::new();
    let data = dir.file("data");
    let rows = six_rows();
    let with = |from: &str, to: &str| {
        let bad = rows[4].replacen(from, to, 1);
        dir.csv(
            "bad.csv",
            &[rows[0], rows[1], rows[2], rows[3], &bad, rows[5]],
        )
    };
    let told = import(&data, &with(",failed,", ",lost,")).fails(1, "import.invalid");
    assert!(told.contains("line 6, column status"), "{told}");
    let told = import(&data, &with("1790000300", "1789999999")).fails(1, "import.not_ascending");
    assert!(told.contains("line 6, column time"), "{told}");
    let told = import(&data, &with(",40,", ",4O,")).fails(1, "import.invalid");
    assert!(told.contains("line 6, column amount"), "{told}");
    let told =
        import(&data, &dir.write("header.csv", "time,price\n1,2\n")).fails(1, "import.invalid");
    assert!(told.contains("price"), "{told}");
    import(&data, &dir.file("absent.csv")).fails(1, "input.unreadable");
    assert!(
        !std::path::Path::new(&data).exists(),
        "a refused file left a data directory behind"
    );
}

#[test]
fn refused_reports_are_counted_by_code_and_the_rest_goes_in() {
    let dir = Dir::new();
    let data = dir.file("data");
    let mut rows = six_rows().to_vec();
    // The same trade told differently, and a rating without a quality.
    rows.push("1790000500,t2,query-a,service,alice,bob,buyer,12.5,USD,,,failed,0,false,,,,,,,,,");
    rows.push("1790000600,t9,query-a,service,alice,bob,buyer,12.5,USD,,,fulfilled,,,,,,,,,,,");
    let ran = import(&data, &dir.csv("trades.csv", &rows));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let summary: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(summary["new"], 6);
    assert_eq!(
        summary["refused"]["report.trade_already_reported"]["count"],
        1
    );
    assert_eq!(
        summary["refused"]["report.trade_already_reported"]["examples"][0]["line"],
        8
    );
    assert_eq!(summary["refused"]["report.quality_required"]["count"], 1);
    // Trades of long ago need --historical.
    let old = run([
        "import",
        &dir.csv("old.csv", &six_rows()),
        "--data",
        &dir.file("new"),
        "--json",
        SEED[0],
        SEED[1],
    ]);
    assert_eq!(old.code, Some(1), "{old:?}");
    assert!(
        old.out.contains("report.too_old") || old.out.contains("report.future_dated"),
        "{old:?}"
    );
}

#[test]
fn a_simulated_market_is_imported_and_scored_whole() {
    let file = shared("data/market-103/reports-all.csv.gz");
    let seeds = shared("data/market-103/seeds.txt");
    let dir = Dir::new();
    let data = dir.file("data");
    let summary = import(&data, file.to_str().unwrap()).json();
    assert_eq!(summary["new"], summary["rows"]);
    let changed = run([
        "policy",
        "set",
        "--seeds",
        &format!("@{}", seeds.display()),
        "--data",
        &data,
        "--json",
    ])
    .json();
    assert_eq!(changed["version"], 2);
    let epoch = run(["epoch", "--data", &data, "--json"]).json();
    let csv = run(["scores", "--data", &data]).ok();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert_eq!(header.len(), 14 + 13);
    let rows: Vec<HashMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(epoch["statements"], rows.len());
    assert!(rows.is_sorted_by(|a, b| a["agent"] < b["agent"]));
    let scored: BTreeSet<_> = rows.iter().map(|row| row["alias"].clone()).collect();
    let mut text = String::new();
    std::io::Read::read_to_string(
        &mut flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()),
        &mut text,
    )
    .unwrap();
    let mut named = BTreeSet::new();
    for row in csv::Reader::from_reader(text.as_bytes())
        .deserialize::<HashMap<String, String>>()
        .map(Result::unwrap)
    {
        named.insert(row["reporter"].clone());
        named.insert(row["subject"].clone());
    }
    assert!(
        named.is_subset(&scored),
        "{:?}",
        named.difference(&scored).take(5).collect::<Vec<_>>()
    );
    assert!(rows.iter().any(|row| row["state"] == "established"));
}
