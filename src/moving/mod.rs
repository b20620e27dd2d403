//! `migrate --from --to`: a log goes on in another database, with the same entries, keys and roots.
//!
//! # Never two databases that may go on
//! 1. Source and target are taken: the directory's lock, or the lead of a PostgreSQL database.
//! 2. The target is marked ([`Mark::Moving`]) before anything is in it, and filled in one transaction that keeps the mark.
//! 3. The copy is checked: everything that `fsck` looks at, and head, publishing and epochs against the source.
//! 4. The source is marked ([`Mark::Moved`]).
//! 5. What stands beside the database is set (`head.guard`, `log.state`, `log.turn`), and the target loses its mark.
//!
//! Interrupted before 4, the source goes on as if nothing had happened and the target is refused. Interrupted after it, neither goes
//! on, and the same command again does the rest: the marks have the move's random id.

mod beside;
mod compare;
mod ends;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use goodstanding_verify::b64;
use serde::Serialize;

pub use self::ends::End;
use self::ends::Lead;
use crate::{
    app,
    backup::files::make_dir,
    code::{Code, Fault},
    fsck,
    log::{
        cluster::past::Past,
        guard::HeadGuard,
        moved::Mark,
        tenure::{COPY, TENURE, Tenure},
    },
    store::{
        Error, Store as _,
        load::{self, Load},
        postgres::load::{PostgresLoad, unmark},
        snapshot::Snapshot,
        sqlite::{FILE, file::rewrite_meta, load::SqliteLoad},
    },
};

/// What to move.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the log is.
    pub from: End,
    /// Where it is to be: nothing is there yet.
    pub to: End,
    /// The data directory of a log on PostgreSQL: keys and head guard.
    pub data: PathBuf,
    /// Unix seconds.
    pub now_s: u64,
}

/// A log that was moved.
#[derive(Clone, Debug, Serialize)]
pub struct Moved {
    /// Where from, without a password.
    pub from: String,
    /// Where to, without a password.
    pub to: String,
    /// The directory with keys, head guard and settings from now on.
    pub data: PathBuf,
    /// Entries.
    pub size: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// Whether this was the end of a move that had been interrupted.
    pub resumed: bool,
}

/// Moves, or ends a move that was interrupted.
///
/// # Errors
/// `data.missing`, `data.locked`, `data.not_empty`, `data.moved`, `data.other_copy`, `store.corrupt` when the copy is not right, or what kept
/// one of the databases from being read or written.
pub async fn run(request: &Request) -> Result<Moved, Fault> {
    let mut moving = Move::prepare(request).await?;
    if !moving.is_resumed() {
        moving.copy().await?;
        moving.check().await?;
        moving.leave().await?;
    }
    moving.settle().await
}

/// A move, step by step. Dropped after any of them, it is an interrupted one.
#[derive(Debug)]
pub struct Move {
    id: String,
    request: Request,
    /// The directories that hold keys and guard, before and after.
    data: (PathBuf, PathBuf),
    /// The locks of both.
    _locks: (File, Option<File>),
    source: Option<Lead>,
    target: Option<Lead>,
    resumed: bool,
}

impl Move {
    /// Takes the source, and the target as far as it is there.
    ///
    /// # Errors
    /// Those of [`run`].
    pub async fn prepare(request: &Request) -> Result<Self, Fault> {
        let (from, to) = (&request.from, &request.to);
        let data_from = from.directory().unwrap_or(&request.data).to_owned();
        let data_to = to.directory().unwrap_or(&data_from).to_owned();
        if !from.place().exists() || !data_from.is_dir() {
            let why = format!("{} has no data", data_from.display());
            return Err(Fault::new(Code::DataMissing, why));
        }
        // Processes on a server share the lock of their directory, so this keeps those away too.
        let lock = app::lock(&data_from)?;
        let other = if same(&data_from, &data_to) {
            None
        } else {
            make_dir(&data_to)?;
            Some(app::lock(&data_to)?)
        };
        let source = Lead::of(from).await?;
        let mut snapshot = from.place().snapshot().await?;
        let state = State::of(snapshot.as_mut()).await;
        snapshot.close().await;
        let state = state?;
        let mut moving = Self {
            id: random()?,
            request: request.clone(),
            data: (data_from, data_to),
            _locks: (lock, other),
            source,
            target: None,
            resumed: false,
        };
        match state.mark.as_deref().map(Mark::of) {
            None => moving.may_go_on(&state).await?,
            Some(Mark::Moved { id, to }) => moving.resume(id, to).await?,
            Some(mark) => return Err(mark.refusal()),
        }
        Ok(moving)
    }

    /// Whether all is copied and the source is left: only [`Self::settle`] remains.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Copies everything into the target, which stays marked.
    ///
    /// # Errors
    /// `data.not_empty`, `data.locked`, `store.*`.
    pub async fn copy(&mut self) -> Result<(), Fault> {
        let mark = Mark::Moving(self.id.clone()).value();
        let (data_from, data_to) = (&self.data.0, &self.data.1);
        let (mut to, file): (Box<dyn Load>, _) = match &self.request.to {
            End::Directory(data) => {
                if self.request.to.place().exists() {
                    return Err(not_empty(&self.request.to).await);
                }
                let file = beside::fresh(data)?;
                (Box::new(SqliteLoad::create(&file).await?), Some(file))
            }
            End::Server(url) => {
                let load = PostgresLoad::create(url, (COPY, &mark)).await?;
                let Some(load) = load else {
                    return Err(not_empty(&self.request.to).await);
                };
                // Marked, nobody takes it any more; somebody may have had it before.
                self.target = Lead::of(&self.request.to).await?;
                (Box::new(load), None)
            }
        };
        if !same(data_from, data_to) {
            beside::copy(data_from, data_to)?;
        }
        let mut from = self.request.from.place().snapshot().await?;
        let copied = async {
            load::copy(from.as_mut(), to.as_mut()).await?;
            to.settings(&[(COPY.to_owned(), mark)]).await
        };
        let copied = self.while_held(copied).await;
        from.close().await;
        copied?;
        to.finish().await?;
        if let Some(file) = file {
            beside::name(&file, &data_to.join(FILE))?;
        }
        Ok(())
    }

    /// Looks at the copy: by itself, and beside the source.
    ///
    /// # Errors
    /// `store.corrupt` with the first thing that is wrong.
    pub async fn check(&self) -> Result<(), Fault> {
        let to = self.request.to.place();
        let options = fsck::Options {
            place: Some(to.clone()),
            ..fsck::Options::new(self.request.now_s)
        };
        let checked = self.while_held(async {
            let outcome = fsck::run(&self.data.1, &options).await?;
            if let Some(first) = outcome.problems.first() {
                let all: u64 = outcome.counts.values().sum();
                let why = format!(
                    "the copy is not right, and nothing was changed at the source: [{}] {}: {} ({all} in all; look with \
                     `fsck` at the source)",
                    first.code, first.place, first.detail
                );
                return Err(Fault::new(Code::StoreCorrupt, why));
            }
            let mut from = self.request.from.place().snapshot().await?;
            let mut to = to.snapshot().await?;
            let compared = compare::same(from.as_mut(), to.as_mut()).await;
            from.close().await;
            to.close().await;
            compared
        });
        checked.await
    }

    /// Marks the source: from here on nobody writes to it.
    ///
    /// # Errors
    /// `store.*`; whether it is marked is then unknown.
    pub async fn leave(&self) -> Result<(), Fault> {
        let mark = Mark::Moved {
            id: self.id.clone(),
            to: self.request.to.place().to_string(),
        };
        for lead in [&self.source, &self.target].into_iter().flatten() {
            lead.still()?;
        }
        if let Some(source) = &self.source {
            // Refused by the database if another process has taken the lead.
            source.store.replace_meta(COPY, &mark.value()).await?;
        }
        if let Some(data) = self.request.from.directory() {
            rewrite_meta(&data.join(FILE), &[(COPY, Some(&mark.value()))]).await?;
        }
        Ok(())
    }

    /// Sets what stands beside the database, and takes the target's mark off: the log goes on there.
    ///
    /// # Errors
    /// `store.*`, `data.unwritable`; the same move again does the rest.
    pub async fn settle(self) -> Result<Moved, Fault> {
        let Self { request, data, .. } = &self;
        let (data_from, data_to) = data;
        let mut snapshot = request.to.place().snapshot().await?;
        let head = compare::head(snapshot.as_mut()).await;
        snapshot.close().await;
        let head = head?;
        // All that was signed is in the target, so the guard may know all of it.
        beside::guard(data_to, &head.note)?;
        beside::forget_turn(data_to)?;
        match &request.to {
            End::Directory(data) => {
                if !same(data_from, data_to) && request.from.directory().is_some() {
                    Tenure::of(data_from).expect(&random()?)?;
                }
                Tenure::of(data).end()?;
                rewrite_meta(&data.join(FILE), &[(COPY, None)]).await?;
            }
            End::Server(url) => {
                // Only this database may go on beside this directory, should anything look at `log.state`.
                let name = random()?;
                Tenure::of(data_to).expect(&name)?;
                unmark(url, COPY, (TENURE, &name)).await?;
            }
        }
        let written = HeadGuard::new(&data_to.join(beside::GUARD)).read()?;
        let moved = Moved {
            from: request.from.place().to_string(),
            to: request.to.place().to_string(),
            data: data_to.clone(),
            size: written.as_ref().map_or(0, |guard| guard.size),
            root: b64::std_encode(&head.root),
            resumed: self.resumed,
        };
        for lead in [self.source, self.target].into_iter().flatten() {
            lead.release().await;
        }
        Ok(moved)
    }

    /// That the source is a database that could be opened for writing.
    async fn may_go_on(&self, state: &State) -> Result<(), Fault> {
        if !state.has_log {
            return Err(Fault::new(Code::DataMissing, "there is no log to move"));
        }
        match &self.source {
            None => Tenure::of(&self.data.0)
                .check(state.tenure.as_deref(), None)
                .map(drop),
            Some(source) => Past::of(&self.data.0).check(source.store.as_ref()).await,
        }
    }

    /// Goes on with a move that left its source.
    async fn resume(&mut self, id: String, to: String) -> Result<(), Fault> {
        let gone = Mark::Moved { id: id.clone(), to }.refusal();
        let place = self.request.to.place();
        if !place.exists() {
            return Err(gone);
        }
        let mut target = place.snapshot().await?;
        let mark = target.meta(COPY).await;
        target.close().await;
        if mark?.as_deref().map(Mark::of) != Some(Mark::Moving(id.clone())) {
            return Err(gone);
        }
        self.target = Lead::of(&self.request.to).await?;
        self.id = id;
        self.resumed = true;
        Ok(())
    }

    /// Does something for as long as nobody takes source or target away.
    async fn while_held<T, E: Into<Fault>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Fault> {
        tokio::select! {
            done = work => done.map_err(Into::into),
            fault = Lead::lost(self.source.as_ref()) => Err(fault),
            fault = Lead::lost(self.target.as_ref()) => Err(fault),
        }
    }
}

/// What a source says of itself.
struct State {
    mark: Option<String>,
    tenure: Option<String>,
    has_log: bool,
}

impl State {
    async fn of(snapshot: &mut dyn Snapshot) -> Result<Self, Error> {
        Ok(Self {
            mark: snapshot.meta(COPY).await?,
            tenure: snapshot.meta(TENURE).await?,
            has_log: snapshot.head().await?.is_some(),
        })
    }
}

fn random() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Fault::new(Code::Internal, format!("no random bytes: {e}")))?;
    Ok(b64::url_encode(bytes))
}

/// What is in the way, and what to do about it.
async fn not_empty(to: &End) -> Fault {
    let mark = match to.place().snapshot().await {
        Ok(mut snapshot) => {
            let mark = snapshot.meta(COPY).await;
            snapshot.close().await;
            mark.ok().flatten()
        }
        Err(_) => None,
    };
    let what = match mark.as_deref().map(Mark::of) {
        Some(Mark::Moving(_)) => {
            "the target has the copy of a move that was interrupted before it left its source, which goes on"
        }
        _ => "the target is not empty",
    };
    let remedy = match to {
        End::Directory(data) => format!(
            "move {FILE}, -wal and -shm away from {}, everything else stays",
            data.display()
        ),
        End::Server(_) => {
            "make a new database, or drop this one and make it anew if nothing in it is needed"
                .to_owned()
        }
    };
    let why = format!("{what}; {remedy}; then run the same again");
    Fault::new(Code::DataNotEmpty, why)
}

/// Whether two paths are one directory.
fn same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    one == other || (whole(one).is_some() && whole(one) == whole(other))
}
