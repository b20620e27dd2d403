//! `bench audit`: real audits of logs of several sizes, beside the bare signature check on the same cores in the same run.
//!
//! Each audit is a process of its own, so that its memory is its own; the largest resident set that the system saw is read
//! while it runs.

use std::{
    hint::black_box,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::ValueEnum;
use ed25519_dalek::{Signature, VerifyingKey};
use goodstanding_score::policy::Policy;
use goodstanding_verify::{merkle::leaf_hash, report::Report};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, Open},
    cli::{
        Ctx,
        output::{self, say},
    },
    code::{Code, Fault},
    config::Config,
    ingest::blocking,
    keys::{KeyFile, SecretKey},
    log::{
        plan::{Candidate, Rules, State, plan_reports},
        sign::LogSigner,
        tree::{Edge, Touched},
    },
    store::{
        AdmissionFacts, Published, Store as _,
        sqlite::{FILE, SqliteStore},
    },
};

/// Reports of one commit of the log that is built.
const CHUNK: u64 = 4096;
/// How long the bare check runs each time.
const BARE: Duration = Duration::from_secs(3);
/// How often a process's memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Where the audit reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Over {
    /// The data directory.
    Dir,
    /// A service on this machine; it shares the cores.
    Http,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Reports in the log; give several to see whether memory grows
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [100_000, 2_000_000])]
    reports: Vec<u64>,
    /// Agents that the reports are by and about
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    agents: u32,
    /// What the audit reads
    #[arg(long, value_enum, default_value_t = Over::Dir)]
    over: Over,
    /// Let the audit keep a state file
    #[arg(long)]
    state: bool,
    /// Build the logs here instead of in a temporary directory, and keep them
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// One audit.
#[derive(Clone, Debug, Serialize)]
struct Row {
    reports: u64,
    built_s: f64,
    audit_s: f64,
    reports_per_s: f64,
    bare_per_s: f64,
    share_of_bare: f64,
    /// Processor time of the audit for one report, microseconds: what a busy machine does not distort.
    cpu_us: f64,
    /// Processor time of one bare check, microseconds.
    bare_cpu_us: f64,
    peak_rss_mib: f64,
}

/// What the system says that a process took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Took {
    peak_kib: u64,
    /// Hundredths of a second.
    cpu: u64,
}

/// A rate, and the processor time of one.
#[derive(Clone, Copy, Debug)]
struct Rate {
    per_s: f64,
    cpu_us: f64,
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    let scratch = std::env::temp_dir().join(format!("goodstanding-bench-{}", std::process::id()));
    let base = args.keep.clone().unwrap_or_else(|| scratch.clone());
    let done = measure(ctx, &args, &base).await;
    if args.keep.is_none() {
        let _ = std::fs::remove_dir_all(&scratch);
    }
    let rows = done?;
    let cores = rayon::current_num_threads();
    if ctx.json {
        return output::json(
            &json!({"cores": cores, "over": args.over, "agents": args.agents, "state": args.state, "audits": rows}),
        );
    }
    say!(
        "{cores} threads; bare = ed25519-dalek verify_strict, the key from its 32 bytes, all cores"
    );
    say!(
        "{:>9} {:>8} {:>10} {:>9} {:>6} {:>11} {:>9} {:>9}",
        "reports",
        "seconds",
        "reports/s",
        "bare/s",
        "share",
        "cpu/report",
        "bare cpu",
        "peak RSS"
    );
    for row in &rows {
        say!(
            "{:>9} {:>8.1} {:>10.0} {:>9.0} {:>5.0}% {:>8.1} µs {:>6.1} µs {:>5.0} MiB",
            row.reports,
            row.audit_s,
            row.reports_per_s,
            row.bare_per_s,
            row.share_of_bare * 100.0,
            row.cpu_us,
            row.bare_cpu_us,
            row.peak_rss_mib
        );
    }
    Ok(())
}

async fn measure(ctx: &Ctx, args: &Args, base: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for reports in &args.reports {
        let data = base.join(format!("log-{reports}"));
        let started = Instant::now();
        if !data.join("built").exists() {
            if !ctx.json {
                eprintln!("building a log of {reports} reports in {}", data.display());
            }
            build(&data, *reports, args.agents.max(2)).await?;
        }
        let built_s = started.elapsed().as_secs_f64();
        let before = blocking(bare).await?;
        let (summary, took) = match args.over {
            Over::Dir => audited(&data, &data.to_string_lossy(), args.state).await?,
            Over::Http => over_http(&data, args.state).await?,
        };
        let after = blocking(bare).await?;
        let verified = summary["reports"].as_u64().unwrap_or(0);
        if verified != *reports {
            let detail = format!("the audit verified {verified} of {reports} reports");
            return Err(Fault::new(Code::Internal, detail).into());
        }
        let audit_s = seconds(summary["took_ms"].as_u64().unwrap_or(0));
        let per_s = count(verified) / audit_s.max(0.001);
        let bare_per_s = f64::midpoint(before.per_s, after.per_s);
        rows.push(Row {
            reports: *reports,
            built_s,
            audit_s,
            reports_per_s: per_s,
            bare_per_s,
            share_of_bare: per_s / bare_per_s.max(1.0),
            cpu_us: count(took.cpu) * 10_000.0 / count(verified.max(1)),
            bare_cpu_us: f64::midpoint(before.cpu_us, after.cpu_us),
            peak_rss_mib: count(took.peak_kib) / 1024.0,
        });
    }
    Ok(rows)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate that is shown; counts stay far below 2^52"
)]
fn count(n: u64) -> f64 {
    n as f64
}

fn seconds(ms: u64) -> f64 {
    count(ms) / 1000.0
}

/// The report that agent `n` makes of its neighbour.
fn report(agents: &[SecretKey], n: u64, now_s: u64) -> Result<String, Fault> {
    let place = |n: u64| usize::try_from(n % u64::try_from(agents.len()).unwrap_or(1)).unwrap_or(0);
    let unknown = || Fault::new(Code::Internal, "no such agent");
    // Neighbours change from round to round, so that pairs do too.
    let round = n / u64::try_from(agents.len()).unwrap_or(1) + 1;
    let reporter = agents.get(place(n)).ok_or_else(unknown)?;
    let mut subject = place(n + round);
    if subject == place(n) {
        subject = place(n + 1);
    }
    let subject = agents.get(subject).ok_or_else(unknown)?;
    let payload = json!({
        "iss": reporter.did(), "sub": subject.did(), "jti": format!("bench-{n:012}"), "iat": now_s,
        "trade": {
            "id": format!("trade-{n}"), "market": "https://market.example", "kind": "purchase", "role": "buyer",
            "amount": "0.25", "currency": "USDC", "closed_at": now_s - 5, "resource": "query",
        },
        "outcome": {"status": "fulfilled", "quality_bp": 9000 + n % 1000, "on_time": true},
    });
    reporter
        .sign_agent("trade-outcome+jwt", &payload)
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))
}

/// Builds a log by direct commits: what an audit reads does not depend on how it was written.
async fn build(data: &Path, reports: u64, agents: u32) -> anyhow::Result<()> {
    let _ = std::fs::remove_dir_all(data);
    std::fs::create_dir_all(data)?;
    let app = App::open(Open {
        create: true,
        ..Open::new(data)
    })
    .await?;
    let origin = app.signer.origin().to_owned();
    app.close().await;
    drop(app);
    let signer = LogSigner::new(&origin, KeyFile::read(&data.join("keys").join("log.json"))?);
    let store = SqliteStore::open(&data.join(FILE), false).await?;
    let head = store
        .head()
        .await?
        .ok_or_else(|| Fault::new(Code::StoreCorrupt, "no head"))?;
    let mut edge = Edge::default();
    let first = store.entries(0, head.size).await?;
    edge.append(first.iter().map(|e| leaf_hash(e)), &mut Touched::new());
    let mut state = State {
        edge,
        at_ms: head.at_ms,
        begun: true,
    };
    let rules = Rules::of(&Policy::preset("agent-market")?);
    let keys: Arc<Vec<SecretKey>> = Arc::new(
        (0..agents)
            .into_par_iter()
            .map(|n| SecretKey::of_alias("bench", &n.to_string()))
            .collect(),
    );
    let now_ms = head.at_ms;
    let mut from = 0;
    while from < reports {
        let end = reports.min(from + CHUNK);
        let keys = keys.clone();
        let candidates = blocking(move || {
            let candidate = |n| {
                let jws = report(&keys, n, now_ms / 1000)?;
                Ok(Candidate {
                    report: Report::parse_admitted(&jws)?,
                    jws,
                    historical_ms: None,
                    reached: true,
                    facts: AdmissionFacts::default(),
                    used_documents: Arc::default(),
                })
            };
            (from..end)
                .into_par_iter()
                .map(candidate)
                .collect::<Result<Vec<_>, Fault>>()
        })
        .await??;
        let planned = plan_reports(&state, &candidates, &rules, now_ms, &signer);
        if let Some(refused) = planned.verdicts.into_iter().find_map(Result::err) {
            return Err(refused.into());
        }
        if let Some(commit) = &planned.commit {
            store.commit(commit).await?;
        }
        state = planned.state;
        from = end;
    }
    let (size, root) = (state.edge.size(), state.edge.root());
    let published = Published {
        size,
        published_ms: now_ms,
        note: signer.checkpoint(size, &root),
    };
    store.publish(&published).await?;
    store.close().await;
    Ok(std::fs::write(data.join("built"), "")?)
}

/// The audit command on a target, and what it took.
async fn audited(data: &Path, target: &str, state: bool) -> anyhow::Result<(Value, Took)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["audit", target, "--no-epochs", "--json"]);
    let file = data.join("audit-state.json");
    if state {
        // From the first entry every time.
        let _ = std::fs::remove_file(&file);
        command.arg("--state").arg(&file);
    }
    blocking(move || {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let (status, stat) = (
            format!("/proc/{}/status", child.id()),
            format!("/proc/{}/stat", child.id()),
        );
        let mut took = Took::default();
        let exit = loop {
            if let Ok(text) = std::fs::read_to_string(&status) {
                took.peak_kib = took.peak_kib.max(high_water(&text));
            }
            if let Ok(text) = std::fs::read_to_string(&stat) {
                took.cpu = took.cpu.max(cpu_time(&text));
            }
            match child.try_wait()? {
                Some(exit) => break exit,
                None => std::thread::sleep(LOOK),
            }
        };
        let mut out = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut out)?;
        }
        if !exit.success() {
            let detail = format!("the audit ended with {exit}: {out}");
            return Err(Fault::new(Code::Internal, detail).into());
        }
        let mut value: Value = serde_json::from_str(&out)?;
        Ok((value["audit"].take(), took))
    })
    .await?
}

/// `VmHWM` of a process's status, KiB; 0 where the system does not say.
fn high_water(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Processor time of a process's `stat`, hundredths of a second; 0 where the system does not say.
fn cpu_time(stat: &str) -> u64 {
    // The name in parentheses may have spaces; user and system time are the 12th and 13th word after it.
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return 0;
    };
    let times = rest.split(' ').skip(11).take(2);
    times.filter_map(|n| n.parse::<u64>().ok()).sum()
}

fn own_cpu_time() -> u64 {
    std::fs::read_to_string("/proc/self/stat").map_or(0, |stat| cpu_time(&stat))
}

async fn over_http(data: &Path, state: bool) -> anyhow::Result<(Value, Took)> {
    let app = App::open(Open::new(data)).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let serving = crate::http::serve(app.clone(), Config::default(), listener, stop.clone());
    let auditing = async {
        let done = audited(data, &url, state).await;
        stop.cancel();
        done
    };
    let (served, done) = tokio::join!(serving, auditing);
    app.close().await;
    served?;
    done
}

/// Bare signature checks a second, on all cores: the key is decoded every time, as for a stranger's report.
fn bare() -> Rate {
    let cases: Vec<([u8; 32], Vec<u8>, [u8; 64])> = (0..512_u64)
        .into_par_iter()
        .map(|n| {
            let key = SecretKey::of_alias("bench", &n.to_string());
            let message = n.to_be_bytes().repeat(85);
            let signature = key.sign(&message);
            (*key.public().as_bytes(), message, signature)
        })
        .collect();
    let done = AtomicU64::new(0);
    let cpu = own_cpu_time();
    let started = Instant::now();
    let until = started + BARE;
    (0..rayon::current_num_threads())
        .into_par_iter()
        .for_each(|_| {
            for (key, message, signature) in cases.iter().cycle() {
                let verified = VerifyingKey::from_bytes(black_box(key)).is_ok_and(|key| {
                    key.verify_strict(message, &Signature::from_bytes(signature))
                        .is_ok()
                });
                done.fetch_add(u64::from(black_box(verified)), Ordering::Relaxed);
                if Instant::now() >= until {
                    break;
                }
            }
        });
    let done = count(done.load(Ordering::Relaxed).max(1));
    Rate {
        per_s: done / started.elapsed().as_secs_f64(),
        cpu_us: count(own_cpu_time().saturating_sub(cpu)) * 10_000.0 / done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_as_the_system_says_it() {
        assert_eq!(
            high_water("Name:\tx\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n"),
            12345
        );
        assert_eq!(high_water("Name:\tx\n"), 0);
        let stat = "77 (a (b) c) R 1 77 77 0 -1 4194304 100 0 0 0 250 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_time(stat), 280);
        assert_eq!(cpu_time("nonsense"), 0);
    }

    #[tokio::test]
    async fn a_built_log_is_one_that_an_audit_agrees_with() {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path(), 300, 7).await.unwrap();
        let source = crate::audit::DirSource::open(dir.path()).await.unwrap();
        let options = crate::audit::Options::default();
        let summary = crate::audit::audit(&source, &options, &|_, _| ()).await;
        assert_eq!(summary.unwrap().reports, 300);
    }
}
