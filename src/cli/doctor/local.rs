//! Checks of the data directory itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    entry::{Body, Entry, KeyUse},
    keyring::KeyRing,
    note::VerifierKey,
};

use super::Check;
use crate::{
    app::{self, Reader},
    backup::Last,
    cli::output::{count, utc},
    code::{Code, Fault},
    fsck::files::{key_files, key_problems, mode},
    keys::KeyFile,
    log::{
        guard::HeadGuard,
        sequencer::MOST_AHEAD_MS,
        sign::LogSigner,
        tenure::{self, Left, Tenure},
        witness::Witnesses,
    },
    store::sqlite::snapshot::{HeadRow, Snapshot},
};

const MIB: u64 = 1 << 20;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 86_400;

/// A check; it may have more than one thing to say.
type Look = fn(&Facts) -> Vec<Check>;

/// All checks of the directory, in the order in which they are shown.
pub(super) const LOCAL: [Look; 12] = [
    directory, keys, lock, database, space, guard, clock, policy, epoch, key_life, backup,
    witnesses,
];

/// What was read from the directory, once.
pub(super) struct Facts {
    data: PathBuf,
    now_ms: u64,
    db: Result<Db, Fault>,
    pub(super) log_key: Option<VerifierKey>,
}

/// What was read from the database.
struct Db {
    version: String,
    journal: String,
    damage: Vec<String>,
    head: Option<HeadRow>,
    published: Option<(u64, u64)>,
    name: Option<String>,
    copy: Option<String>,
    ring: Result<KeyRing, String>,
    policy: Option<Result<Policy, String>>,
    /// Log time (ms) and size of the newest epoch's entry.
    epoch: Option<(u64, u64)>,
    reached: usize,
}

impl Facts {
    pub(super) async fn gather(data: &Path, now_ms: u64) -> Self {
        let db = Db::read(data).await;
        let origin = match Reader::open(data).await {
            Ok(reader) => {
                let origin = reader.store.meta("origin").await.ok().flatten();
                reader.store.close().await;
                origin
            }
            Err(_) => None,
        };
        let key = KeyFile::read(&data.join("keys").join("log.json")).ok();
        let log_key = origin
            .zip(key)
            .and_then(|(origin, key)| LogSigner::new(&origin, key).verifier().ok());
        Self {
            data: data.to_owned(),
            now_ms,
            db,
            log_key,
        }
    }

    fn now_s(&self) -> u64 {
        self.now_ms / 1000
    }

    fn head(&self) -> Option<&HeadRow> {
        self.db.as_ref().ok()?.head.as_ref()
    }

    /// Entries in the database.
    pub(super) fn size(&self) -> Option<u64> {
        self.head().map(|head| head.size)
    }
}

impl Db {
    async fn read(data: &Path) -> Result<Self, Fault> {
        let reader = Reader::open(data).await?;
        let epochs = reader.store.events("epoch", u64::MAX >> 1).await;
        let keys = reader.store.events("key", u64::MAX >> 1).await;
        let policies = reader.store.events("policy", u64::MAX >> 1).await;
        let reached = reader.store.reached().await;
        reader.store.close().await;
        let mut snapshot = Snapshot::open(&data.join("goodstanding.sqlite")).await?;
        let (version, journal) = snapshot.engine().await?;
        let db = Self {
            version,
            journal,
            damage: snapshot.integrity(3, true).await?,
            head: snapshot.head().await?,
            published: snapshot
                .published()
                .await?
                .map(|row| (row.size, row.published_ms)),
            name: snapshot.meta(tenure::TENURE).await?,
            copy: snapshot.meta(tenure::COPY).await?,
            ring: ring(&keys?),
            policy: policies?.last().map(|(_, bytes)| policy_of(bytes)),
            epoch: epochs?
                .last()
                .and_then(|(index, bytes)| Some((Entry::parse(bytes).ok()?.at, *index))),
            reached: reached?.len(),
        };
        snapshot.close().await;
        Ok(db)
    }
}

fn ring(entries: &[(u64, Vec<u8>)]) -> Result<KeyRing, String> {
    let mut ring = KeyRing::default();
    for (index, bytes) in entries {
        let entry = Entry::parse(bytes).map_err(|e| format!("entry {index}: {e}"))?;
        if let Body::Key(event) = entry.body {
            ring.apply(&event)
                .map_err(|e| format!("entry {index}: {e}"))?;
        }
    }
    Ok(ring)
}

fn policy_of(bytes: &[u8]) -> Result<Policy, String> {
    match Entry::parse(bytes).map_err(|e| e.to_string())?.body {
        Body::Policy { policy, .. } => Policy::parse(&policy).map_err(|e| e.to_string()),
        _ => Err("not a policy entry".to_owned()),
    }
}

fn directory(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "directory";
    let shown = facts.data.display();
    let metadata = match fs::metadata(&facts.data) {
        Ok(metadata) => metadata,
        Err(error) => {
            return vec![Check::problem(
                NAME,
                format!("{shown}: {error}"),
                "name it with --data, or make one with `serve` or `import`",
            )];
        }
    };
    if !metadata.is_dir() {
        return vec![Check::problem(
            NAME,
            format!("{shown} is no directory"),
            "name another one with --data",
        )];
    }
    if let Some(mode) = mode(&metadata).filter(|mode| mode & 0o022 != 0) {
        let detail =
            format!("{shown} has mode {mode:03o}: others can replace the database and the guard");
        return vec![Check::problem(NAME, detail, "chmod go-w it")];
    }
    let keys = fs::metadata(facts.data.join("keys"))
        .ok()
        .and_then(|m| mode(&m));
    if let Some(mode) = keys.filter(|mode| mode & 0o022 != 0) {
        let detail = format!("{shown}/keys has mode {mode:03o}: others can replace the keys");
        return vec![Check::problem(NAME, detail, "chmod go-w it")];
    }
    vec![Check::ok(NAME, shown.to_string())]
}

fn keys(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "keys";
    let Ok(db) = &facts.db else { return Vec::new() };
    if facts.log_key.is_none() {
        let detail = "keys/log.json is missing or unusable";
        return vec![Check::problem(
            NAME,
            detail,
            "put it back: without it the log has ended; docs/OPERATIONS.md says how to name a successor",
        )];
    }
    let ring = match &db.ring {
        Ok(ring) => ring,
        Err(why) => return vec![Check::problem(NAME, why.as_str(), "run `fsck`")],
    };
    let problems = key_problems(&facts.data, ring, facts.now_s(), db.copy.is_some());
    if problems.is_empty() {
        let count = key_files(&facts.data).map_or(0, |files| files.len());
        return vec![Check::ok(
            NAME,
            format!("{count} files, private, and every key that the log says is in use is there"),
        )];
    }
    problems
        .into_iter()
        .map(|p| {
            Check::problem(
                NAME,
                format!("{}: {}", p.place, p.detail),
                "chmod 600 what others can read; put back what is missing",
            )
        })
        .collect()
}

fn lock(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "lock";
    let path = facts.data.join("lock");
    if !path.exists() {
        return vec![Check::ok(NAME, "nobody has the directory open")];
    }
    vec![match app::lock(&facts.data) {
        Ok(_) => Check::ok(NAME, "nobody has the directory open"),
        Err(fault) if fault.is(Code::DataLocked) => match app::holder(&path) {
            Some(pid) => Check::ok(NAME, format!("process {pid} has the directory open")),
            None => Check::ok(NAME, "another process has the directory open"),
        },
        Err(fault) => Check::warning(
            NAME,
            fault.detail(),
            "run as the user that the service runs as",
        ),
    }]
}

fn database(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "database";
    let db = match &facts.db {
        Ok(db) => db,
        Err(fault) => {
            return vec![Check::problem(
                NAME,
                fault.to_string(),
                "restore a backup that is not behind head.guard",
            )];
        }
    };
    if let Some(first) = db.damage.first() {
        return vec![Check::problem(
            NAME,
            first.as_str(),
            "stop the service; restore a backup that is not behind head.guard",
        )];
    }
    if db.copy.is_some() {
        return vec![Check::problem(
            NAME,
            "this is a backup, not a data directory",
            "use `restore`",
        )];
    }
    if db.journal != "wal" {
        let detail = format!("SQLite {}, journal mode {}", db.version, db.journal);
        return vec![Check::warning(
            NAME,
            detail,
            "the next start sets it to wal",
        )];
    }
    let size = db.head.as_ref().map_or(0, |head| head.size);
    vec![Check::ok(
        NAME,
        format!(
            "{size} entries, SQLite {}, wal, quick_check ok; synchronous=FULL is asserted at start",
            db.version
        ),
    )]
}

fn space(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "space";
    let Some(free) = free_bytes(&facts.data) else {
        return vec![Check::warning(
            NAME,
            "free space is not known",
            "look at it with df",
        )];
    };
    let used = fs::metadata(facts.data.join("goodstanding.sqlite")).map_or(0, |m| m.len());
    let detail = format!(
        "{} MiB free, the database has {} MiB",
        free / MIB,
        used / MIB
    );
    vec![if free < 64 * MIB {
        Check::problem(
            NAME,
            detail,
            "make room: on a full disk nothing is acknowledged",
        )
    } else if free < 1024 * MIB || free < used {
        Check::warning(NAME, detail, "make room before it gets short")
    } else {
        Check::ok(NAME, detail)
    }]
}

#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

fn guard(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "head guard";
    const NEVER: &str = "do not serve; restore a newer copy of the database, or end this log and name its successor; never delete the guard";
    let Ok(db) = &facts.db else { return Vec::new() };
    let Some(head) = &db.head else {
        return vec![Check::ok(NAME, "nothing was published yet")];
    };
    let mut found = Vec::new();
    match HeadGuard::new(&facts.data.join("head.guard")).signed() {
        Err(fault) => found.push(Check::problem(NAME, fault.to_string(), NEVER)),
        Ok(None) if db.published.is_none() => {
            found.push(Check::ok(NAME, "nothing was published yet"));
        }
        Ok(None) => found.push(Check::problem(
            NAME,
            "is missing, and the database has published checkpoints",
            "put it back; docs/OPERATIONS.md says what to do if it is lost",
        )),
        Ok(Some(signed)) => found.push(compare(
            &signed,
            head,
            db.published,
            facts.log_key.as_ref(),
            NEVER,
        )),
    }
    let tenure = Tenure::of(&facts.data);
    match tenure.check(db.name.as_deref(), db.copy.as_deref()) {
        Err(fault) => found.push(Check::problem(
            "last stop",
            fault.to_string(),
            "docs/OPERATIONS.md, section on restoring",
        )),
        Ok(Left::Open(_)) if app::lock(&facts.data).is_ok() => found.push(Check::warning(
            "last stop",
            "the service did not stop cleanly; this is the database it had",
            "start it again: it goes on where it was. Do not put another copy in its place",
        )),
        Ok(_) => {}
    }
    found
}

fn compare(
    signed: &SignedCheckpoint,
    head: &HeadRow,
    published: Option<(u64, u64)>,
    key: Option<&VerifierKey>,
    never: &'static str,
) -> Check {
    const NAME: &str = "head guard";
    let guard = signed.checkpoint();
    if let Some(Err(error)) = key.map(|key| signed.verify_log(key)) {
        return Check::problem(
            NAME,
            error.to_string(),
            "put guard, keys and database that belong together back",
        );
    }
    if guard.size > head.size {
        let detail = format!(
            "{} entries were published, the database ends at {}",
            guard.size, head.size
        );
        return Check::problem(NAME, detail, never);
    }
    if guard.size == head.size && guard.root.as_slice() != head.root {
        return Check::problem(
            NAME,
            format!("the database has another tree of {} entries", head.size),
            never,
        );
    }
    let published = published.map_or(0, |(size, _)| size);
    Check::ok(
        NAME,
        format!(
            "head {}, published {published}, guard {}",
            head.size, guard.size
        ),
    )
}

fn clock(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "clock";
    let Some(head) = facts.head() else {
        return Vec::new();
    };
    let ahead_ms = head.at_ms.saturating_sub(facts.now_ms);
    let detail = format!(
        "now {}, newest entry {}",
        utc(facts.now_s()),
        utc(head.at_ms / 1000)
    );
    vec![if ahead_ms > MOST_AHEAD_MS {
        Check::problem(
            NAME,
            detail,
            "set the clock: nothing is admitted while it is behind the log",
        )
    } else if ahead_ms > 1000 {
        Check::warning(NAME, detail, "the clock is behind the log; let NTP keep it")
    } else {
        Check::ok(NAME, detail)
    }]
}

fn policy(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "policy";
    let Ok(db) = &facts.db else { return Vec::new() };
    vec![match &db.policy {
        None => Check::problem(
            NAME,
            "the log has none",
            "start the service once: it logs one",
        ),
        Some(Err(why)) => Check::problem(NAME, why.as_str(), "run `fsck`"),
        Some(Ok(policy)) if policy.seeds.is_empty() => Check::warning(
            NAME,
            "it has no trust roots, so no epoch can be computed",
            "name some with `policy set --seeds`",
        ),
        Some(Ok(policy)) if db.epoch.is_some() && db.reached <= policy.seeds.len() => {
            let detail = format!(
                "{}, and in the newest epoch flow reached {}",
                count(policy.seeds.len(), "trust root"),
                count(db.reached, "agent")
            );
            Check::warning(
                NAME,
                detail,
                "check that the trust roots trade: flow starts from them",
            )
        }
        Some(Ok(policy)) => Check::ok(
            NAME,
            format!(
                "{}, flow reached {}",
                count(policy.seeds.len(), "trust root"),
                count(db.reached, "agent")
            ),
        ),
    }]
}

fn epoch(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "epoch";
    let Ok(db) = &facts.db else { return Vec::new() };
    let size = facts.size().unwrap_or(0);
    let Some((at_ms, index)) = db.epoch else {
        return vec![Check::warning(
            NAME,
            "none was computed yet",
            "name trust roots, then run `epoch` or wait an hour",
        )];
    };
    let age_s = facts.now_s().saturating_sub(at_ms / 1000);
    let detail = format!(
        "the newest is of {}, {} ago",
        utc(at_ms / 1000),
        count(size.saturating_sub(index + 1), "entry")
    );
    vec![if index + 1 < size && age_s > 2 * HOUR_S {
        Check::warning(
            NAME,
            detail,
            "run `epoch`, or look at the service's log for why the hourly one fails",
        )
    } else {
        Check::ok(NAME, detail)
    }]
}

fn key_life(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "key life";
    const ROTATE: &str = "announce a new key before the old one ends";
    let Ok(Db { ring: Ok(ring), .. }) = &facts.db else {
        return Vec::new();
    };
    let now = facts.now_s();
    let mut found = Vec::new();
    for usage in [KeyUse::Token, KeyUse::Status, KeyUse::Bundle] {
        match ring.signing(usage, now) {
            None => found.push(Check::problem(
                NAME,
                format!("no {usage} key is in use"),
                ROTATE,
            )),
            Some(key) => {
                let successor = ring.signing(usage, now.saturating_add(7 * DAY_S)).is_some();
                if let Some(to) = key.to.filter(|_| !successor) {
                    found.push(Check::warning(
                        NAME,
                        format!("the {usage} key ends at {}", utc(to)),
                        ROTATE,
                    ));
                }
            }
        }
    }
    if found.is_empty() {
        found.push(Check::ok(NAME, "token, status and bundle keys are in use"));
    }
    found
}

fn backup(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "backup";
    const MAKE: &str = "run `backup --out DIR`, and keep the copy on another machine";
    vec![match Last::read(&facts.data) {
        None => Check::warning(NAME, "none is known", MAKE),
        Some(last) => {
            let behind = facts.size().unwrap_or(0).saturating_sub(last.size);
            let detail = format!(
                "the last one is of {}, {} ago",
                utc(last.made_at),
                count(behind, "entry")
            );
            if behind > 0 && facts.now_s().saturating_sub(last.made_at) > DAY_S {
                Check::warning(NAME, detail, MAKE)
            } else {
                Check::ok(NAME, detail)
            }
        }
    }]
}

fn witnesses(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "witnesses";
    let Some(key) = &facts.log_key else {
        // Without the log's key, which was named above, nothing can be said.
        return Vec::new();
    };
    vec![match Witnesses::load(&facts.data, key) {
        Err(fault) => Check::problem(
            NAME,
            fault.detail(),
            "correct witnesses.toml: the service does not start with it",
        ),
        Ok(witnesses) if !witnesses.policy.wants_quorum() => Check::warning(
            NAME,
            format!("none: nobody but this directory knows that {key} has one history"),
            "name some in witnesses.toml; docs/WITNESSES.md",
        ),
        Ok(witnesses) => {
            let names: Vec<&str> = witnesses.policy.witnesses().map(|(name, _)| name).collect();
            let missed = witnesses.when_missed.as_str();
            let detail = format!("{}; without a quorum: {missed}", names.join(", "));
            Check::ok(NAME, detail)
        }
    }]
}
