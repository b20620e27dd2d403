//! The side that sends: jobs go to whoever leads, and their answers come back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    LEASE, LOOK, Left, Router,
    seal::{self, Seal, Way},
    wire,
};
use crate::{
    code::{Code, Fault},
    log::sequencer::{Job, Parts, Shared},
    store::cluster::{Cluster, MOST_JOB, Mark, Ticket},
};

/// Jobs that may wait for their answers, and their bytes. More are left in the queue, which is bounded.
const MOST_WAITING: usize = 1024;
const MOST_BYTES: usize = 64 << 20;
/// Jobs that are sent at a time.
const AT_ONCE: usize = 64;
/// How long the first of them waits for company.
const LINGER: Duration = Duration::from_millis(2);
/// How long a job waits for its answer: several takeovers. An epoch waits for as long as somebody leads, and then as long again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked whether what waits for an answer is still there.
const MEND: Duration = Duration::from_secs(1);

/// What a process that does not write keeps.
pub(super) struct Following {
    pub(super) parts: Parts,
    pub(super) shared: Arc<Shared>,
    cluster: Arc<dyn Cluster>,
    seal: Arc<Seal>,
    /// Whether the guard was held against the database, once.
    pub(super) is_held: bool,
    /// Who waits for the answer to which job.
    waiting: HashMap<u64, Waiting>,
    mended: Instant,
    /// That the database does not know the newest turn that this process saw.
    pub(super) other_past: Option<Fault>,
}

/// A job that was sent.
struct Waiting {
    waiter: wire::Waiter,
    mark: Mark,
    /// Since when there is no hope of an answer.
    since: Instant,
    /// It is done as long as somebody leads, however long it takes.
    slow: bool,
    /// As it was sent, if it may be sent again.
    again: Option<Vec<u8>>,
}

impl Following {
    pub(super) fn new(
        parts: Parts,
        shared: Arc<Shared>,
        cluster: Arc<dyn Cluster>,
        seal: Arc<Seal>,
    ) -> Self {
        Self {
            parts,
            shared,
            cluster,
            seal,
            is_held: false,
            waiting: HashMap::new(),
            mended: Instant::now(),
            other_past: None,
        }
    }

    /// Sends jobs to whoever leads. Those that cannot be sent are answered with the reason.
    pub(super) async fn send(&mut self, jobs: Vec<Job>) {
        let refusal = self.shared.standing().refusal();
        let (mut parcels, mut bytes) = (Vec::new(), 0);
        for job in jobs {
            let slow = matches!(job, Job::Epoch { .. });
            let Some(parcel) = wire::sent(job, self.shared.size()) else {
                continue;
            };
            if let Some(refusal) = &refusal {
                parcel.waiter.fail(refusal);
                continue;
            }
            let mark = match seal::new_mark() {
                Ok(mark) => mark,
                Err(fault) => {
                    parcel.waiter.fail(&fault);
                    continue;
                }
            };
            let sealed = self.seal.put(Way::ToWriter, &mark, &parcel.bytes);
            bytes += sealed.len();
            let waiting = Waiting {
                waiter: parcel.waiter,
                mark,
                since: Instant::now(),
                slow,
                again: parcel.repeatable.then(|| sealed.clone()),
            };
            parcels.push((sealed, waiting));
            if bytes >= MOST_JOB {
                self.post(std::mem::take(&mut parcels)).await;
                bytes = 0;
            }
        }
        self.post(parcels).await;
    }

    async fn post(&mut self, mut parcels: Vec<(Vec<u8>, Waiting)>) {
        while !parcels.is_empty() {
            let (bytes, waiting): (Vec<_>, Vec<_>) =
                std::mem::take(&mut parcels).into_iter().unzip();
            match self.cluster.send(&bytes).await {
                Ok(ids) => {
                    for (id, waiting) in ids.into_iter().zip(waiting) {
                        // A number that was given out again: the job that had it is gone.
                        if let Some(old) = self.waiting.insert(id, waiting) {
                            parcels.extend(old.lost());
                        }
                    }
                }
                Err(error) => {
                    let fault = Fault::from(error);
                    for waiting in waiting {
                        waiting.waiter.fail(&fault);
                    }
                }
            }
        }
    }

    /// Whether another job may be sent.
    fn has_room(&self) -> bool {
        let bytes = |waiting: &Waiting| waiting.again.as_ref().map_or(0, Vec::len);
        self.waiting.len() < MOST_WAITING
            && self.waiting.values().map(bytes).sum::<usize>() < MOST_BYTES
    }

    /// Reads on, hands over the answers that have come, and sees after those that do not come.
    pub(super) async fn hear(&mut self) {
        // Answers are taken before the log is read, and handed over after: who has one may look for what it wrote, and nobody gets
        // one out of a log that is not believed.
        let answers = self.fetch().await;
        let _ = self.observe().await;
        match self.shared.standing().refusal() {
            None => self.hand_over(answers).await,
            Some(refusal) => return self.give_up(&refusal, |_| true).await,
        }
        self.see_after().await;
    }

    /// [`Self::hear`] for a process that writes by now: its own log it knows.
    pub(super) async fn collect(&mut self) {
        let answers = self.fetch().await;
        self.hand_over(answers).await;
        self.see_after().await;
    }

    async fn fetch(&self) -> Vec<(u64, Vec<u8>)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let answers = self.cluster.collect(&self.tickets()).await;
        answers.unwrap_or_else(|error| {
            tracing::warn!(%error, "answers could not be read");
            Vec::new()
        })
    }

    fn tickets(&self) -> Vec<Ticket> {
        let ticket = |(id, waiting): (&u64, &Waiting)| Ticket {
            id: *id,
            mark: waiting.mark,
        };
        self.waiting.iter().map(ticket).collect()
    }

    async fn hand_over(&mut self, answers: Vec<(u64, Vec<u8>)>) {
        let mut again = Vec::new();
        for (id, bytes) in answers {
            let Some(waiting) = self.waiting.remove(&id) else {
                continue;
            };
            match self.seal.take(Way::Back, &bytes) {
                Some((mark, answer)) if mark == waiting.mark => waiting.waiter.resolve(answer),
                // To the job that had this number before the server crashed.
                Some(_) => again.extend(waiting.lost()),
                None => waiting.waiter.fail(&Fault::new(
                    Code::KeyUnusable,
                    "what came was no answer of a process with this keys/access.json; whether anything was written is not known",
                )),
            }
        }
        self.post(again).await;
    }

    async fn see_after(&mut self) {
        self.mend().await;
        let fault = Fault::new(
            Code::StoreUnavailable,
            "no process that writes has answered; whether anything was written is not known",
        );
        self.give_up(&fault, |since| since.elapsed() > PATIENCE)
            .await;
    }

    /// Sends again what is neither answered nor there: the server crashed, and the table of jobs is not logged.
    async fn mend(&mut self) {
        if self.waiting.is_empty() || self.mended.elapsed() < MEND {
            return;
        }
        self.mended = Instant::now();
        let present = match self.cluster.present(&self.tickets()).await {
            Ok(present) => present.into_iter().collect::<HashSet<_>>(),
            Err(error) => return tracing::warn!(%error, "what became of jobs is not known"),
        };
        let slow = self.waiting.values().any(|waiting| waiting.slow);
        if slow && matches!(self.cluster.is_led(LEASE).await, Ok(true)) {
            let slow = self.waiting.values_mut().filter(|waiting| waiting.slow);
            slow.for_each(|waiting| waiting.since = Instant::now());
        }
        let gone = self.waiting.extract_if(|id, _| !present.contains(id));
        let again: Vec<_> = gone.filter_map(|(_, waiting)| waiting.lost()).collect();
        if !again.is_empty() {
            tracing::warn!(
                jobs = again.len(),
                "the database lost jobs; sending them again"
            );
            self.post(again).await;
        }
    }

    async fn give_up(&mut self, fault: &Fault, whom: impl Fn(&Instant) -> bool) {
        let late: Vec<Ticket> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| whom(&waiting.since))
            .map(|(id, waiting)| Ticket {
                id: *id,
                mark: waiting.mark,
            })
            .collect();
        if late.is_empty() {
            return;
        }
        if let Err(error) = self.cluster.withdraw(&late).await {
            tracing::warn!(%error, "jobs could not be withdrawn");
        }
        for Ticket { id, .. } in late {
            if let Some(waiting) = self.waiting.remove(&id) {
                waiting.waiter.fail(fault);
            }
        }
    }

    /// Whether answers are awaited.
    pub(super) fn awaits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits for the answers that are still to come, and then no longer.
    pub(super) async fn finish(&mut self) {
        let until = Instant::now() + LEASE * 2;
        while self.awaits() && Instant::now() < until {
            self.cluster.wait(Duration::from_millis(100)).await;
            self.hear().await;
        }
        let fault = Fault::new(
            Code::StoreUnavailable,
            "this process stops, and no process that writes has answered; whether anything was written is not known",
        );
        self.give_up(&fault, |_| true).await;
    }
}

impl Waiting {
    /// Of a job that is no longer in the database: once more, if it may be; otherwise whoever waits is told.
    fn lost(self) -> Option<(Vec<u8>, Self)> {
        if let Some(sealed) = self.again.clone() {
            return Some((sealed, self));
        }
        self.waiter.fail(&Fault::new(
            Code::StoreUnavailable,
            "the database lost the job; whether anything was written is not known",
        ));
        None
    }
}

impl Router {
    /// Sends and reads for a while, until it is time to look who leads.
    pub(super) async fn follow(&mut self) -> Left {
        let until = Instant::now() + LOOK;
        let cluster = self.cluster.clone();
        loop {
            let now = Instant::now();
            if now >= until {
                return Left::Vacant;
            }
            let room = self.following.has_room();
            tokio::select! {
                job = self.jobs.recv(), if room => match job {
                    None => {
                        self.following.finish().await;
                        return Left::Orphaned;
                    }
                    Some(first) => {
                        let (jobs, stop) = self.gather(first).await;
                        self.following.send(jobs).await;
                        if let Some(told) = stop {
                            self.following.finish().await;
                            return Left::Stopped(told);
                        }
                    }
                },
                () = cluster.wait(until - now) => self.following.hear().await,
            }
        }
    }

    /// A few jobs that came together, and the request to stop that ended them.
    async fn gather(&mut self, first: Job) -> (Vec<Job>, Option<tokio::sync::oneshot::Sender<()>>) {
        let until = Instant::now() + LINGER;
        let mut jobs = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Stop { answer } => return (jobs, Some(answer)),
                job => jobs.push(job),
            }
            if jobs.len() == AT_ONCE {
                break;
            }
            next = tokio::time::timeout_at(until, self.jobs.recv())
                .await
                .unwrap_or_default();
        }
        (jobs, None)
    }
}
