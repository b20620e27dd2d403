//! How fast entries become durable under a signed checkpoint, beside the same rows in the bare store.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use goodstanding_score::policy::Policy;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{Spread, Times, median, micros, per_second, share_bp, workload};
use crate::{
    app::{App, Open},
    clock::Clock,
    code::{Code, Fault},
    keys::SecretKey,
    log::{
        plan::{Rules, State, plan_reports},
        sequencer::{Submission, candidates},
        sign::LogSigner,
    },
    store::{
        Commit, Place, Store,
        postgres::{Options, PostgresStore},
        sqlite::SqliteStore,
    },
};

/// How long the queue may keep a batch waiting before that is an error.
const PATIENCE: Duration = Duration::from_mins(1);
/// Batches on their way to the writer at a time.
const IN_FLIGHT: usize = 4;

/// What was measured at one batch size. Rates are medians over the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Appended {
    /// Entries of one transaction.
    pub batch: usize,
    /// Rounds, each of the same number of transactions on both sides.
    pub rounds: usize,
    /// Transactions of one round.
    pub commits: usize,
    /// Entries a second: admission look-ups, plan, hashes, signature, transaction with tiles.
    pub log_per_s: u64,
    /// Rows a second: the same entries and reports, the head compared and swapped, no look-ups, hashes, tiles or signature.
    pub bare_per_s: u64,
    /// The first in basis points of the second.
    pub share_bp: u64,
    /// One transaction of the log.
    pub log_commit: Spread,
    /// One transaction of the bare store.
    pub bare_commit: Spread,
    /// Where the log's time goes, microseconds a transaction.
    pub parts: Parts,
}

/// Microseconds of one transaction on average.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Parts {
    /// What the store knows of the reports.
    pub look_up_us: u64,
    /// Rules, entries, hashes, tiles, signature.
    pub plan_us: u64,
    /// The durable transaction.
    pub commit_us: u64,
}

/// The log's side: what the writer does with a batch, without its queue.
struct Log {
    store: Arc<dyn Store>,
    signer: LogSigner,
    rules: Rules,
    state: State,
    times: Times,
    parts: [Duration; 3],
}

impl Log {
    fn over(store: Arc<dyn Store>) -> Result<Self, Fault> {
        Ok(Self {
            store,
            signer: signer(),
            rules: rules()?,
            state: State::default(),
            times: Times::default(),
            parts: [Duration::ZERO; 3],
        })
    }

    async fn write(&mut self, batch: Vec<Submission>) -> Result<Duration, Fault> {
        let now_ms = Clock::System.now_ms();
        let start = Instant::now();
        let candidates = candidates(self.store.as_ref(), batch, &HashSet::new(), now_ms).await?;
        let known = Instant::now();
        let planned = plan_reports(&self.state, &candidates, &self.rules, now_ms, &self.signer);
        let ready = Instant::now();
        if let Some(refused) = planned.verdicts.iter().find_map(|v| v.as_ref().err()) {
            return Err(refused.clone());
        }
        let commit = planned.commit.ok_or_else(nothing)?;
        self.store.commit(&commit).await?;
        self.state = planned.state;
        let done = Instant::now();
        let took = done - start;
        self.times.push(took);
        let parts = [known - start, ready - known, done - ready];
        for (sum, part) in self.parts.iter_mut().zip(parts) {
            *sum += part;
        }
        Ok(took)
    }
}

/// The bare store's side: commits that were made ready before the clock runs.
struct Bare {
    store: Arc<dyn Store>,
    times: Times,
}

impl Bare {
    async fn write(&mut self, commit: &Commit) -> Result<Duration, Fault> {
        let start = Instant::now();
        self.store.commit(commit).await?;
        let took = start.elapsed();
        self.times.push(took);
        Ok(took)
    }
}

/// A new store, or one whose schema is there and empty.
async fn open(place: &Place) -> Result<Arc<dyn Store>, Fault> {
    Ok(match place {
        Place::File(path) => Arc::new(SqliteStore::open(path, true).await?),
        Place::Server(url) => Arc::new(PostgresStore::connect(url, Options::default()).await?),
    })
}

fn signer() -> LogSigner {
    LogSigner::new("bench.example", SecretKey::from_seed(&[7; 32]))
}

fn rules() -> Result<Rules, Fault> {
    Ok(Rules::of(&Policy::preset("agent-market")?))
}

fn nothing() -> Fault {
    Fault::new(Code::Internal, "a batch made no entry")
}

/// The same rows as the log writes for these batches, less what makes it a log: no tiles, and in place of root and
/// signed checkpoint as many bytes that cost nothing.
fn bare_commits(batches: &[Vec<Submission>]) -> Result<Vec<Commit>, Fault> {
    let (signer, rules) = (signer(), rules()?);
    let mut state = State::default();
    let mut expected = None;
    let mut commits = Vec::with_capacity(batches.len());
    for batch in batches {
        let candidates: Vec<_> = batch.iter().map(Submission::unknown).collect();
        let now_ms = Clock::System.now_ms();
        let planned = plan_reports(&state, &candidates, &rules, now_ms, &signer);
        let mut commit = planned.commit.ok_or_else(nothing)?;
        state = planned.state;
        commit.expected = expected;
        commit.tiles.clear();
        commit.head.root = [0; 32];
        commit.head.root[..8].copy_from_slice(&commit.head.size.to_be_bytes());
        commit.head.note = "x".repeat(commit.head.note.len());
        expected = Some((commit.head.size, commit.head.root));
        commits.push(commit);
    }
    Ok(commits)
}

/// Measures one batch size: `rounds` rounds of `commits` transactions on each side, in turns. `log` and `bare` are two databases
/// of one kind, both empty.
///
/// # Errors
/// When the stores cannot be written or a report is refused.
pub async fn measure(
    log: &Place,
    bare: &Place,
    batch: usize,
    commits: usize,
    rounds: usize,
) -> Result<Appended, Fault> {
    // One more, which is not counted: the first transactions make the files.
    let count = batch * commits * (rounds + 1);
    let now_s = Clock::System.now_s();
    let all = crate::ingest::blocking(move || workload::submissions(count, now_s)).await??;
    let mut batches: Vec<Vec<Submission>> = Vec::new();
    let mut rest = all.into_iter();
    loop {
        let next: Vec<_> = rest.by_ref().take(batch).collect();
        if next.is_empty() {
            break;
        }
        batches.push(next);
    }
    let bare_commits = bare_commits(&batches)?;
    let mut log = Log::over(open(log).await?)?;
    let mut bare = Bare {
        store: open(bare).await?,
        times: Times::default(),
    };
    let (mut log_rates, mut bare_rates) = (Vec::new(), Vec::new());
    let mut batches = batches.into_iter();
    let mut bare_commits = bare_commits.iter();
    for round in 0..=rounds {
        let (mut log_time, mut bare_time) = (Duration::ZERO, Duration::ZERO);
        for turn in 0..commits {
            // Who is first changes: the second finds the disk as the first left it.
            for log_now in [turn % 2 == 0, turn % 2 == 1] {
                if log_now {
                    let batch = batches.next().ok_or_else(nothing)?;
                    log_time += log.write(batch).await?;
                } else {
                    let commit = bare_commits.next().ok_or_else(nothing)?;
                    bare_time += bare.write(commit).await?;
                }
            }
        }
        log_rates.push(per_second(batch * commits, log_time));
        bare_rates.push(per_second(batch * commits, bare_time));
        if round == 0 {
            (log_rates, bare_rates) = (Vec::new(), Vec::new());
            (log.times, bare.times) = (Times::default(), Times::default());
            log.parts = [Duration::ZERO; 3];
        }
    }
    log.store.close().await;
    bare.store.close().await;
    let done = u32::try_from(commits * rounds).unwrap_or(u32::MAX).max(1);
    let [look_up, plan, commit] = log.parts.map(|part| micros(part / done));
    let (log_per_s, bare_per_s) = (median(log_rates), median(bare_rates));
    Ok(Appended {
        batch,
        rounds,
        commits,
        log_per_s,
        bare_per_s,
        share_bp: share_bp(log_per_s, bare_per_s),
        log_commit: log.times.spread(),
        bare_commit: bare.times.spread(),
        parts: Parts {
            look_up_us: look_up,
            plan_us: plan,
            commit_us: commit,
        },
    })
}

/// Entries a second through the running writer and its queue, in jobs of `batch` reports, checkpoints published meanwhile.
/// The log is a new one in `data`, and its database, if on a server, an empty one at `database_url`.
///
/// # Errors
/// When the data directory cannot be made or a report is refused.
pub async fn through_the_queue(
    data: PathBuf,
    database_url: Option<String>,
    batch: usize,
    jobs: usize,
) -> Result<u64, Fault> {
    let now_s = Clock::System.now_s();
    let count = batch * jobs;
    let all = crate::ingest::blocking(move || workload::submissions(count, now_s)).await??;
    let app = App::open(Open {
        create: true,
        database_url,
        ..Open::new(&data)
    })
    .await?;
    let mut shares: Vec<Vec<Vec<Submission>>> = (0..IN_FLIGHT).map(|_| Vec::new()).collect();
    let mut rest = all.into_iter();
    for job in 0..jobs {
        shares[job % IN_FLIGHT].push(rest.by_ref().take(batch).collect());
    }
    let start = Instant::now();
    let mut senders = JoinSet::new();
    for share in shares {
        let app = Arc::clone(&app);
        senders.spawn(async move {
            for job in share {
                for answer in app.log.submit(job, false, PATIENCE).await? {
                    answer?;
                }
            }
            Ok::<_, Fault>(())
        });
    }
    let mut outcome = Ok(());
    while let Some(sent) = senders.join_next().await {
        let sent = sent.unwrap_or_else(|e| Err(Fault::new(Code::Internal, e.to_string())));
        outcome = outcome.and(sent);
    }
    let rate = per_second(count, start.elapsed());
    app.close().await;
    outcome.map(|()| rate)
}
