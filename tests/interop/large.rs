//! A log of three levels of tiles: more than 65,536 entries.

use std::{fmt::Write as _, process::Command};

use goodstanding::config::Config;

use crate::{
    cases::{consistency, inclusion},
    published::{Published, publish},
    support::{Service, T0, agent, report},
    verifiers::judged,
};

/// Reports that are imported.
const ROWS: u64 = 66_000;
const HEADER: &str = "time,trade_id,market,kind,reporter,subject,role,amount,currency,units,resource,status,quality_bp,on_time,\
                      claimed_quality_bp,swap_id,auction_id,auction_format,reserve,task_class,utilisation_bp,bids,level";

/// A data directory with as many old reports, made by `goodstanding import`.
fn imported() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut csv = format!("{HEADER}\n");
    for n in 0..ROWS {
        let (time, buyer, seller) = (T0 - 2 * ROWS + n, n % 97, n % 89);
        writeln!(
            csv,
            "{time},t{n},market,purchase,b{buyer},s{seller},buyer,1,USD,,,fulfilled,9000,,,,,,,,,,"
        )
        .unwrap();
    }
    let file = directory.path().join("reports.csv");
    std::fs::write(&file, csv).unwrap();
    let import = Command::new(env!("CARGO_BIN_EXE_goodstanding"))
        .args(["import", "--historical", "--key-seed", "large", "--data"])
        .args([directory.path(), &file])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&import.stderr);
    assert!(import.status.success(), "{said}");
    directory
}

#[tokio::test]
async fn foreign_verifiers_on_three_levels_of_tiles() {
    let data = tokio::task::spawn_blocking(imported).await.unwrap();
    let service = Service::prepared(T0, Config::default(), None, data).await;
    let mut checkpoints = vec![publish(&service).await];
    for n in 0..4 {
        let one = report(&agent(n), &agent(60), &format!("late-{n}"), T0 - 60);
        assert_eq!(service.submit(one).await.0, 201);
        checkpoints.push(publish(&service).await);
    }
    let origin = service.app.signer.origin();
    let mut log = Published::read(&service.url, service.data.path(), origin, checkpoints).await;
    assert!(log.size() > 65_536 + 256);
    for index in [5_u64, 255, 256, 12_345, 65_535, 65_536, log.size() - 2] {
        let entry: serde_json::Value =
            serde_json::from_slice(&log.entries[usize::try_from(index).unwrap()]).unwrap();
        let id = entry["id"].as_str().unwrap();
        let receipt = service.get(&format!("/v1/reports/{id}/receipt")).await;
        let receipt = receipt.text().await.unwrap();
        log.proofs.push((format!("report {index}"), index, receipt));
    }
    let mut all = inclusion(&log);
    all.extend(consistency(&log));
    judged(&log, all).await;
    service.stop().await;
}
