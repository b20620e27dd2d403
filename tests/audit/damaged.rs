//! A database file that is damaged says nothing about the log: no accusation, and no advice to try again either.

use std::process::Command;

use goodstanding::audit::{DirSource, Failure, Options, audit};
use serde_json::Value;

use crate::forge::{Copy, market};

#[tokio::test]
async fn a_damaged_file_is_told_from_one_that_is_busy_and_from_a_lie() {
    let data = market().await.stop().await;
    let whole = std::fs::read(data.path().join("goodstanding.sqlite")).unwrap();
    let pages = whole.len() / 4096;
    let mut met = 0;
    // Every page in turn: some are never read, all that are met are met as damage.
    for page in (1..pages).step_by(7) {
        let copy = Copy::of(data.path());
        let mut torn = whole.clone();
        torn[page * 4096..(page + 1) * 4096].fill(0xa5);
        std::fs::write(copy.path().join("goodstanding.sqlite"), torn).unwrap();
        let audited = async {
            let source = DirSource::open(copy.path()).await?;
            let done = audit(&source, &Options::default(), &|_, _| ()).await;
            source.close().await;
            done
        };
        match audited.await {
            Ok(_) => {}
            Err(Failure::Disagrees(found)) => {
                // A page in the middle of a long value is altered content, which is not SQLite's to notice.
                assert_ne!(found.code(), "audit.log_forked", "page {page}: {found}");
            }
            Err(Failure::Pending(pending)) => panic!("page {page}: {pending}"),
            Err(Failure::Fault(fault)) => {
                assert_eq!(fault.code(), "store.corrupt", "page {page}: {fault}");
                met += 1;
            }
        }
    }
    assert!(met > 3, "hardly any damage was met: {met} of {pages} pages");

    let copy = Copy::of(data.path());
    let file = copy.path().join("goodstanding.sqlite");
    std::fs::write(&file, vec![0x20; 8192]).unwrap();
    for name in ["goodstanding.sqlite-wal", "goodstanding.sqlite-shm"] {
        let _ = std::fs::remove_file(copy.path().join(name));
    }
    let output = Command::new(env!("CARGO_BIN_EXE_goodstanding"))
        .args(["--json", "audit"])
        .arg(copy.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["code"], "store.corrupt", "{answer}");
}
