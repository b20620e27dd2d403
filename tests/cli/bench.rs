//! Benchmarks do what they say they measure, and leave nothing behind.

use crate::support::{Dir, run};

#[test]
fn bench_log_measures_both_sides_and_verified_proofs() {
    let dir = Dir::new();
    let at = dir.path().to_str().unwrap();
    let args = [
        "bench",
        "log",
        "--json",
        "--dir",
        at,
        "--batches",
        "1",
        "--rounds",
        "1",
        "--sizes",
        "300,70k",
        "--proofs",
        "40",
    ];
    let answer = run(args).json();
    let appended = &answer["append"][0];
    assert_eq!(
        (&appended["batch"], &appended["commits"]),
        (&1.into(), &256.into())
    );
    for figure in ["log_per_s", "bare_per_s", "share_bp"] {
        assert!(appended[figure].as_u64().unwrap() > 0, "{figure}");
    }
    for side in ["log_commit", "bare_commit"] {
        assert_eq!(
            appended[side]["count"], 256,
            "the round that warms up is not counted"
        );
    }
    assert!(answer["queue_per_s"].as_u64().unwrap() > 0);
    for (proven, size) in answer["proofs"]
        .as_array()
        .unwrap()
        .iter()
        .zip([300, 70_000])
    {
        assert_eq!(proven["size"], size);
        for kind in [
            "inclusion",
            "consistency",
            "inclusion_http",
            "consistency_http",
        ] {
            assert_eq!(proven[kind]["count"], 40, "{kind} at {size}");
        }
        #[cfg(target_os = "linux")]
        assert!(proven["resident_after_kib"].as_u64().unwrap() > 1_000);
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn bench_log_refuses_what_it_cannot_measure() {
    for bad in [
        ["--batches", "257"],
        ["--batches", "0"],
        ["--sizes", "1"],
        ["--sizes", "1g"],
        ["--rounds", "0"],
    ] {
        run(["bench", "log", bad[0], bad[1]]).usage();
    }
    let missing = run(["bench", "log", "--dir", "/nonexistent/place"]);
    assert!(
        missing
            .fails(1, "input.unreadable")
            .contains("/nonexistent/place")
    );
}

#[test]
fn bench_score_measures_every_stage_and_both_sides() {
    let sizes = [
        "bench", "score", "--agents", "1k", "--pairs", "4k", "--json",
    ];
    let answer = run(sizes).json();
    let epoch = &answer["epochs"][0];
    assert_eq!(
        (&epoch["agents"], &epoch["passes"]),
        (&1_000.into(), &12.into())
    );
    for stage in [
        "ledger",
        "evidence",
        "weights",
        "graph",
        "flow",
        "claims",
        "statements",
    ] {
        assert!(epoch["stages"][stage].as_u64().unwrap() > 0, "{stage}");
    }
    for side in ["flow", "statements"] {
        assert!(epoch[side]["share_bp"].as_u64().unwrap() > 0, "{side}");
    }
    #[cfg(target_os = "linux")]
    assert!(epoch["peak_kib"].as_u64().unwrap() > 1_000);
    // Agents in proportion to pairs, each in a process of its own.
    let args = [
        "bench",
        "score",
        "--sizes",
        "10k,20k",
        "--threads",
        "1",
        "--json",
    ];
    let answer = run(args).json();
    let agents: Vec<_> = answer["epochs"].as_array().unwrap().iter().collect();
    assert_eq!(
        (
            &agents[0]["agents"],
            &agents[1]["agents"],
            &agents[1]["threads"]
        ),
        (&1_000.into(), &2_000.into(), &1.into())
    );
    run(["bench", "score", "--pairs", "4k", "--sizes", "4k"]).usage();
    run(["bench", "score", "--threads", "0"]).usage();
}
