//! `bench log`: on SQLite, and with `--database-url` on PostgreSQL too.

use std::path::PathBuf;

use serde_json::json;

use super::super::{
    Ctx,
    output::{self, percent, say, unreadable},
};
use crate::{
    bench::{
        append::{self, Appended},
        grow::{self, Scratch},
        proofs::{self, Proven},
    },
    store::{Error, Place, postgres::Scratch as Schemas},
};

/// Reports of one round at every batch size, within the bounds below.
const ROUND: usize = 8_192;
const COMMITS: std::ops::RangeInclusive<usize> = 1..=256;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Entries a transaction
    #[arg(long, value_delimiter = ',', default_value = "1,16,256", value_parser = batch)]
    batches: Vec<usize>,
    /// Rounds at each batch size; the medians count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// Entries of the logs that are read; `k` and `m` stand for thousands and millions
    #[arg(long, value_delimiter = ',', default_value = "10k,1m", value_parser = super::count)]
    sizes: Vec<u64>,
    /// Proofs of each kind at each size
    #[arg(long, default_value_t = 2_000)]
    proofs: usize,
    /// Measure only this
    #[arg(long)]
    only: Option<Part>,
    /// Where to make the files that are written, and removed afterwards [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Append,
    Proofs,
}

fn batch(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=crate::log::sequencer::BATCH).contains(n))
        .ok_or_else(|| format!("1 to {}", crate::log::sequencer::BATCH))
}

/// What was measured of one kind of store.
#[derive(Debug, Default, serde::Serialize)]
struct Measured {
    append: Vec<Appended>,
    queue_per_s: Option<u64>,
    proofs: Vec<Proven>,
}

/// Where the stores of one kind are made.
enum Ground {
    /// Files in the directory.
    Files(PathBuf),
    /// Schemas of a database, and the keys in the directory.
    Server(PathBuf, Schemas),
}

impl Ground {
    fn name(&self) -> &'static str {
        match self {
            Self::Files(_) => "sqlite",
            Self::Server(..) => "postgres",
        }
    }

    /// An empty database.
    async fn database(&mut self, name: &str) -> Result<Place, Error> {
        match self {
            Self::Files(dir) => Ok(Place::File(dir.join(format!("{name}.sqlite")))),
            Self::Server(_, schemas) => schemas.make(name).await.map(Place::Server),
        }
    }

    /// An empty data directory, and the database of it when that is elsewhere.
    async fn directory(&mut self, name: &str) -> Result<(PathBuf, Option<String>), Error> {
        match self {
            Self::Files(dir) => Ok((dir.join(name), None)),
            Self::Server(dir, schemas) => {
                let url = schemas.make(name).await?;
                Ok((dir.join(format!("{name}-keys")), Some(url)))
            }
        }
    }
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = Scratch::within(&parent).map_err(|e| unreadable(parent.display(), &e))?;
    let mut grounds = vec![Ground::Files(scratch.path().to_owned())];
    if let Some(url) = &ctx.database_url {
        // Says now what is wrong with the URL.
        Place::of(&parent, Some(url))?;
        grounds.push(Ground::Server(scratch.path().to_owned(), Schemas::new(url)));
    }
    let mut measured: Vec<Measured> = grounds.iter().map(|_| Measured::default()).collect();
    let done = measure(ctx, &args, &mut grounds, &mut measured).await;
    let mut dropped = Ok(());
    for ground in grounds {
        if let Ground::Server(_, schemas) = ground {
            dropped = schemas.drop_all().await;
        }
    }
    done?;
    dropped?;
    if ctx.json {
        let mut measured = measured.into_iter();
        let mut answer = json!(measured.next());
        if let Some(server) = measured.next() {
            answer["postgres"] = json!(server);
        }
        return output::json(&answer);
    }
    Ok(())
}

/// Every store at one setting before the next setting: what else the machine does is the same for both.
async fn measure(
    ctx: &Ctx,
    args: &Args,
    grounds: &mut [Ground],
    measured: &mut [Measured],
) -> anyhow::Result<()> {
    if args.only != Some(Part::Proofs) {
        append(ctx, args, grounds, measured).await?;
    }
    if args.only != Some(Part::Append) {
        read(ctx, args, grounds, measured).await?;
    }
    Ok(())
}

async fn append(
    ctx: &Ctx,
    args: &Args,
    grounds: &mut [Ground],
    measured: &mut [Measured],
) -> anyhow::Result<()> {
    if !ctx.json {
        head_of_appended();
    }
    for batch in &args.batches {
        let commits = (ROUND / batch).clamp(*COMMITS.start(), *COMMITS.end());
        for (ground, measured) in grounds.iter_mut().zip(measured.iter_mut()) {
            let log = ground.database(&format!("log_{batch}")).await?;
            let bare = ground.database(&format!("bare_{batch}")).await?;
            let rounds = usize::from(args.rounds);
            let appended = append::measure(&log, &bare, *batch, commits, rounds).await?;
            if !ctx.json {
                show_appended(ground.name(), &appended)?;
            }
            measured.append.push(appended);
        }
    }
    let batch = crate::log::sequencer::BATCH;
    for (ground, measured) in grounds.iter_mut().zip(measured.iter_mut()) {
        let (data, url) = ground.directory("queue").await?;
        let jobs = 32 * usize::from(args.rounds);
        let rate = append::through_the_queue(data, url, batch, jobs).await?;
        if !ctx.json {
            let name = ground.name();
            say!(
                "{name:<8}  through the running writer's queue, {batch} a job: {rate} entries a second"
            );
        }
        measured.queue_per_s = Some(rate);
    }
    Ok(())
}

async fn read(
    ctx: &Ctx,
    args: &Args,
    grounds: &mut [Ground],
    measured: &mut [Measured],
) -> anyhow::Result<()> {
    let mut sizes = args.sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    if !ctx.json {
        head_of_proven();
    }
    for (ground, measured) in grounds.iter_mut().zip(measured.iter_mut()) {
        let (data, url) = ground.directory("grown").await?;
        for size in &sizes {
            grow::to(&data, url.as_deref(), *size).await?;
            let proven = proofs::measure(&data, url.as_deref(), args.proofs).await?;
            if !ctx.json {
                let bytes = match ground {
                    Ground::Files(_) => {
                        grow::bytes_of(&data).map_err(|e| unreadable(data.display(), &e))?
                    }
                    Ground::Server(_, schemas) => schemas.bytes("grown").await?,
                };
                show_proven(ground.name(), &proven, bytes)?;
            }
            measured.proofs.push(proven);
        }
    }
    Ok(())
}

fn head_of_appended() {
    eprintln!(
        "Entries a second, durable under a signed checkpoint (signatures of reports are verified before, and not counted),\n\
         beside the bare store: the same rows and transactions without look-ups, hashes, tiles and signature.\n"
    );
}

fn show_appended(store: &str, a: &Appended) -> anyhow::Result<()> {
    say!(
        "{store:<8}  batch {:>3}   log {:>6}/s   bare {:>6}/s   {:>8}   a transaction: log {} µs (p99 {}), bare {} µs (p99 {}); look-ups {}, plan {}, commit {}",
        a.batch,
        a.log_per_s,
        a.bare_per_s,
        percent(a.share_bp),
        a.log_commit.p50_us,
        a.log_commit.p99_us,
        a.bare_commit.p50_us,
        a.bare_commit.p99_us,
        a.parts.look_up_us,
        a.parts.plan_us,
        a.parts.commit_us
    );
    Ok(())
}

fn head_of_proven() {
    eprintln!(
        "\nProofs at places all over the log, µs (p50 / p99 / most), and memory of the service that gives them.\n"
    );
}

fn show_proven(store: &str, p: &Proven, bytes: u64) -> anyhow::Result<()> {
    let show = |s: &crate::bench::Spread| format!("{} / {} / {}", s.p50_us, s.p99_us, s.max_us);
    let mib = |kib: Option<u64>| {
        kib.map_or("unknown".to_owned(), |kib| {
            format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024)
        })
    };
    say!("{store}, {} entries ({} MiB of files)", p.size, bytes >> 20);
    say!(
        "  inclusion    {}   over HTTP {}",
        show(&p.inclusion),
        show(&p.inclusion_http)
    );
    say!(
        "  consistency  {}   over HTTP {}",
        show(&p.consistency),
        show(&p.consistency_http)
    );
    say!(
        "  memory       {} at the start, {} afterwards",
        mib(p.resident_before_kib),
        mib(p.resident_after_kib)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_those_of_the_writer() {
        assert_eq!(batch("256"), Ok(256));
        assert!(batch("0").is_err() && batch("257").is_err());
    }
}
