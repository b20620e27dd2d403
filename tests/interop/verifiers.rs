//! Foreign verifiers on the live log.

use goodstanding_verify::tile::{TileId, TilePath};

use crate::{
    altered,
    cases::{self, Case},
    judge,
    published::{Published, market},
};

/// Fills in where the altered logs are served.
fn placed(mut cases: Vec<Case>, url: &str) -> Vec<Case> {
    for case in &mut cases {
        if let Some(path) = case.json["url"]
            .as_str()
            .and_then(|u| u.strip_prefix("URL"))
        {
            case.json["url"] = format!("{url}{path}").into();
        }
    }
    cases
}

/// Every judge on every case of a log.
pub(crate) async fn judged(log: &Published, mut cases: Vec<Case>) {
    let (tiles, alterations) = cases::tiles(log);
    let url = altered::serve(&log.url, alterations).await;
    cases.extend(placed(tiles, &url));
    // The judges fetch from servers that run here.
    tokio::task::spawn_blocking(move || {
        for judge in judge::all() {
            let (accepted, refused) = judge.check(&cases);
            assert!(accepted > 10 && refused > 100, "{} saw little", judge.name);
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn foreign_verifiers_accept_the_log_and_refuse_it_tampered_with() {
    let (service, log) = market().await;
    assert!(log.size() > 3_100, "several tiles on two levels");
    let mut all = cases::checkpoints(&log);
    all.extend(cases::inclusion(&log));
    all.extend(cases::consistency(&log));
    judged(&log, all).await;
    service.stop().await;
}

/// The paths that `tlog_tiles` and Go print are the checksum database's: with the height, and another word for entries.
#[test]
fn tile_paths_are_those_of_tlog_tiles() {
    for (level, n, width) in [
        (0, 0, 256),
        (0, 273, 112),
        (1, 1, 17),
        (2, 0, 1),
        (3, 1_234_067, 256),
    ] {
        let ours = TileId { level, n }.path(width).to_string();
        let w = u32::try_from(width).unwrap();
        let theirs = tlog_tiles::Tile::new(8, level, n, w, false).path();
        assert_eq!(theirs.strip_prefix("tile/8/"), Some(ours.as_str()));
        let theirs = tlog_tiles::Tile::new(8, 0, n, w, true).path();
        let ours = TilePath::entries(n, width).to_string();
        assert_eq!(
            theirs.strip_prefix("tile/8/data/"),
            ours.strip_prefix("entries/")
        );
    }
}
