//! A large log made quickly, to measure what reading it costs.

use std::path::{Path, PathBuf};

use goodstanding_verify::{
    entry::{Body, Entry},
    merkle::leaf_hash,
    report::ReportId,
};
use rayon::prelude::*;

use crate::{
    app::{App, Open},
    clock::Clock,
    code::Fault,
    log::{prove, sign::LogSigner, tree::Touched},
    store::{Commit, Head, NewEntry, Published, Store, Tree},
};

/// Entries of one transaction.
const CHUNK: u64 = 65_536;

/// Makes the data directory a log of `size` entries, published, or makes the one that is there grow to that.
///
/// The entries are report entries of the usual size, the tiles and the signed checkpoint those of any log, and all goes
/// through the store's own commit. There are no reports behind the entries: nothing that is admitted could be made this
/// fast, and proofs read tiles only.
///
/// # Errors
/// When the directory cannot be opened or written.
pub async fn to(data: &Path, database_url: Option<&str>, size: u64) -> Result<(), Fault> {
    let app = App::open(Open {
        create: true,
        database_url: database_url.map(str::to_owned),
        ..Open::new(data)
    })
    .await?;
    // From here on, this is the only writer.
    app.log.stop().await;
    let grown = append(app.store.as_ref(), &app.signer, size).await;
    app.close().await;
    grown
}

async fn append(store: &dyn Store, signer: &LogSigner, size: u64) -> Result<(), Fault> {
    let mut at_ms = Clock::System.now_ms();
    let Some(mut head) = store.head().await? else {
        return Ok(());
    };
    let mut edge = prove::edge(store, head.size).await?;
    while edge.size() < size {
        at_ms = at_ms.max(head.at_ms);
        let start = edge.size();
        let end = size.min(start + CHUNK);
        let entries = crate::ingest::blocking(move || {
            (start..end)
                .into_par_iter()
                .map(|i| entry(i, at_ms))
                .collect::<Result<Vec<_>, _>>()
        })
        .await??;
        let mut touched = Touched::new();
        edge.append(entries.iter().map(|e| leaf_hash(&e.bytes)), &mut touched);
        let root = edge.root();
        let next = Head {
            size: end,
            root,
            at_ms,
            note: signer.checkpoint(end, &root),
        };
        let commit = Commit {
            expected: Some((head.size, head.root)),
            head: next.clone(),
            entries,
            reports: Vec::new(),
            tiles: touched
                .into_iter()
                .map(|(id, tile)| (Tree::Log, id, tile))
                .collect(),
            epoch: None,
            erasure: None,
        };
        store.commit(&commit).await?;
        head = next;
    }
    let published = Published {
        size: head.size,
        published_ms: at_ms,
        note: head.note,
    };
    Ok(store.publish(&published).await?)
}

fn entry(index: u64, at: u64) -> Result<NewEntry, Fault> {
    let id = ReportId(leaf_hash(&index.to_be_bytes()));
    let body = Body::Report {
        id,
        historical: false,
    };
    Ok(NewEntry {
        index,
        at_ms: at,
        kind: "report",
        bytes: Entry { at, body }.to_bytes()?,
    })
}

/// Bytes of the files of a directory.
///
/// # Errors
/// When it cannot be read.
pub fn bytes_of(data: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for file in std::fs::read_dir(data)? {
        sum += file?.metadata()?.len();
    }
    Ok(sum)
}

/// A directory that goes when this goes.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new directory within `parent`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn within(parent: &Path) -> std::io::Result<Self> {
        let path = parent.join(format!("goodstanding-bench-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "the benchmark's files could not be removed");
        }
    }
}
