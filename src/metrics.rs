//! What operators watch: counters, gauges and histograms in the `OpenMetrics` text format, at `/metrics`.
//!
//! Labels are from small closed sets (routes, codes, witnesses of the settings), never ids: their number does not grow with use.

use std::{sync::atomic::AtomicU64, time::Duration};

use goodstanding_verify::entry::Entry;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

use crate::{
    app::App,
    code::Fault,
    log::witness::round::Outcome,
    store::{Head, Published},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: String,
    method: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    witness: String,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    witness: String,
}

/// Everything that is counted. Cheap to update from any task.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    request_time: Family<Route, Histogram, fn() -> Histogram>,
    reports: Family<Verdict, Counter>,
    batch: Histogram,
    commit_time: Histogram,
    commit_failures: Counter,
    published: Family<Verdict, Counter>,
    asked: Family<Asked, Counter>,
    witness_time: Family<Named, Histogram, fn() -> Histogram>,
    epochs: Family<Verdict, Counter>,
    turns: Family<Verdict, Counter>,
    writes: Gauge,
    contradicted: Gauge,
    leader_age: Gauge<f64, AtomicU64>,
    log_size: Gauge,
    published_size: Gauge,
    witnessed_size: Gauge,
    published_age: Gauge<f64, AtomicU64>,
    published_lag: Gauge,
    witnessed_lag: Gauge,
    epoch_age: Gauge<f64, AtomicU64>,
    quorum_met: Gauge,
    ended: Gauge,
    queued: Gauge,
}

/// 1 ms to 16 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("goodstanding");
        let this = Self {
            requests: Family::default(),
            request_time: Family::new_with_constructor(seconds as fn() -> Histogram),
            reports: Family::default(),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            commit_time: seconds(),
            commit_failures: Counter::default(),
            published: Family::default(),
            asked: Family::default(),
            witness_time: Family::new_with_constructor(seconds as fn() -> Histogram),
            epochs: Family::default(),
            turns: Family::default(),
            writes: Gauge::default(),
            contradicted: Gauge::default(),
            leader_age: Gauge::default(),
            log_size: Gauge::default(),
            published_size: Gauge::default(),
            witnessed_size: Gauge::default(),
            published_age: Gauge::default(),
            published_lag: Gauge::default(),
            witnessed_lag: Gauge::default(),
            epoch_age: Gauge::default(),
            quorum_met: Gauge::default(),
            ended: Gauge::default(),
            queued: Gauge::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register(
            "build",
            "What is running",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        r.register("log_ended", "1 if this log has ended", this.ended.clone());
        r.register("http_requests", "Requests answered", this.requests.clone());
        r.register(
            "http_request_duration_seconds",
            "Time to the answer's first byte",
            this.request_time.clone(),
        );
        r.register(
            "reports",
            "Reports by what became of them: admitted, known, or a code",
            this.reports.clone(),
        );
        r.register(
            "batch_reports",
            "Reports of one transaction",
            this.batch.clone(),
        );
        r.register(
            "commit_duration_seconds",
            "Time of one transaction",
            this.commit_time.clone(),
        );
        r.register(
            "commit_failures",
            "Transactions that failed or whose outcome was unknown",
            this.commit_failures.clone(),
        );
        r.register(
            "checkpoints_published",
            "Checkpoints published, witnessed or not",
            this.published.clone(),
        );
        r.register(
            "witness_requests",
            "Cosignatures asked for, by what came",
            this.asked.clone(),
        );
        r.register(
            "witness_duration_seconds",
            "Time a witness took",
            this.witness_time.clone(),
        );
        r.register(
            "epochs",
            "Epochs by what became of them: logged, or a code",
            this.epochs.clone(),
        );
        r.register(
            "turns",
            "Turns at writing that this process took or would have taken, of several that share a database: led, or the code of what was in the way",
            this.turns.clone(),
        );
        r.register(
            "writes",
            "1 if this process writes to the log",
            this.writes.clone(),
        );
        r.register(
            "log_contradicted",
            "1 if the database is not the log that this process has seen, so that it passes nothing on",
            this.contradicted.clone(),
        );
        r.register(
            "leader_heard_age_seconds",
            "Time since a process that writes was heard of, of several that share a database; 0 if this one does",
            this.leader_age.clone(),
        );
        r.register("log_size_entries", "Durable entries", this.log_size.clone());
        r.register(
            "published_size_entries",
            "Entries under the newest published checkpoint",
            this.published_size.clone(),
        );
        r.register(
            "witnessed_size_entries",
            "Entries under the newest checkpoint with a quorum",
            this.witnessed_size.clone(),
        );
        r.register(
            "published_age_seconds",
            "Time since the newest publishing",
            this.published_age.clone(),
        );
        r.register(
            "published_lag_entries",
            "Durable entries that no published checkpoint covers yet",
            this.published_lag.clone(),
        );
        r.register(
            "witnessed_lag_entries",
            "Durable entries that no checkpoint with a quorum covers yet; 0 where no quorum is asked for",
            this.witnessed_lag.clone(),
        );
        r.register(
            "epoch_age_seconds",
            "Time since the newest epoch was logged; -1 before the first",
            this.epoch_age.clone(),
        );
        r.register(
            "witness_quorum_met",
            "1 unless the newest round of witnesses missed the quorum",
            this.quorum_met.clone(),
        );
        r.register(
            "writer_queue_jobs",
            "Jobs that wait for the writer",
            this.queued.clone(),
        );
        Self { registry, ..this }
    }
}

impl Metrics {
    /// A request was answered.
    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let (route, method) = (route.to_owned(), method.to_owned());
        self.request_time
            .get_or_create(&Route {
                route: route.clone(),
            })
            .observe(took.as_secs_f64());
        self.requests
            .get_or_create(&Request {
                route,
                method,
                status,
            })
            .inc();
    }

    /// A report was admitted (`true` = for the first time) or refused.
    pub fn report(&self, verdict: Result<bool, &Fault>) {
        let result = match verdict {
            Ok(true) => "admitted",
            Ok(false) => "known",
            Err(fault) => fault.code(),
        };
        let result = result.to_owned();
        self.reports.get_or_create(&Verdict { result }).inc();
    }

    /// A transaction of so many new reports took so long.
    pub fn commit(&self, reports: usize, took: Duration, succeeded: bool) {
        self.batch
            .observe(u32::try_from(reports).map_or(f64::INFINITY, f64::from));
        self.commit_time.observe(took.as_secs_f64());
        if !succeeded {
            self.commit_failures.inc();
        }
    }

    /// A checkpoint was published.
    pub fn published(&self, witnessed: bool) {
        let result = if witnessed {
            "witnessed"
        } else {
            "unwitnessed"
        };
        let result = result.to_owned();
        self.published.get_or_create(&Verdict { result }).inc();
    }

    /// A round of witnesses ended.
    pub fn witness_round(&self, outcome: &Outcome) {
        for witness in outcome.late.iter().cloned() {
            let result = "late".to_owned();
            self.asked.get_or_create(&Asked { witness, result }).inc();
        }
        for answer in &outcome.answers {
            let witness = answer.witness.name.clone();
            let result = answer.outcome.as_ref().err().map_or("ok", |r| r.kind);
            let result = result.to_owned();
            self.witness_time
                .get_or_create(&Named {
                    witness: witness.clone(),
                })
                .observe(answer.took.as_secs_f64());
            self.asked.get_or_create(&Asked { witness, result }).inc();
        }
    }

    /// An epoch was logged, or not.
    pub fn epoch(&self, outcome: Result<(), &Fault>) {
        let result = outcome.err().map_or("logged", Fault::code).to_owned();
        self.epochs.get_or_create(&Verdict { result }).inc();
    }

    /// This process took a turn at writing, or something was in the way.
    pub fn turn(&self, outcome: Result<(), &Fault>) {
        let result = outcome.err().map_or("led", Fault::code).to_owned();
        self.turns.get_or_create(&Verdict { result }).inc();
    }

    /// Everything as `OpenMetrics` text, with what `app` says at this moment.
    ///
    /// # Errors
    /// Never in practice: text is written to memory.
    pub async fn text(&self, app: &App) -> Result<String, std::fmt::Error> {
        // A database that does not answer is told by other numbers: those must not go with it.
        if let Ok(newest) = app.store.epoch(None).await {
            let at_ms = newest.and_then(|epoch| Some(Entry::parse(&epoch.entry).ok()?.at));
            self.epoch_age.set(at_ms.map_or(-1.0, |at| {
                Duration::from_millis(app.clock.now_ms().saturating_sub(at)).as_secs_f64()
            }));
        }
        let shared = app.log.shared();
        let entries = |size: Option<u64>| size.and_then(|s| i64::try_from(s).ok()).unwrap_or(0);
        let size = |p: &Option<Published>| entries(p.as_ref().map(|p| p.size));
        let head: Option<Head> = shared.head.borrow().clone();
        let log_size = entries(head.map(|h| h.size));
        self.log_size.set(log_size);
        self.published_size.set(size(&shared.published.borrow()));
        self.published_lag
            .set(log_size.saturating_sub(self.published_size.get()).max(0));
        // Where no quorum is asked for, none is missed, and nothing is witnessed.
        if shared.witness_policy.wants_quorum() {
            self.witnessed_size.set(size(&shared.witnessed.borrow()));
            self.witnessed_lag
                .set(log_size.saturating_sub(self.witnessed_size.get()).max(0));
        }
        // After a start there may be nothing to publish for days, so no round: then none was missed.
        let met = shared.witnesses().and_then(|report| report.met);
        let met = met.unwrap_or(true) || !shared.witness_policy.wants_quorum();
        self.quorum_met.set(i64::from(met));
        self.ended.set(i64::from(shared.ended().is_some()));
        let standing = shared.standing();
        self.writes.set(i64::from(standing.is_leading()));
        self.leader_age
            .set(shared.standing().silence().as_secs_f64());
        self.contradicted
            .set(i64::from(standing.refusal().is_some()));
        let published_ms = shared.published.borrow().as_ref().map(|p| p.published_ms);
        let age_ms = published_ms.map_or(0, |at| app.clock.now_ms().saturating_sub(at));
        self.published_age
            .set(Duration::from_millis(age_ms).as_secs_f64());
        self.queued
            .set(i64::try_from(app.log.queue().0).unwrap_or(i64::MAX));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
