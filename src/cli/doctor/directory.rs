//! Checks of what stands beside the database: permissions, keys, the lock, space, backups, witnesses.

use std::{fs, path::Path};

use super::{Check, facts::Facts};
use crate::{
    app,
    backup::Last,
    cli::output::{count, utc},
    code::Code,
    fsck::files::{key_files, key_problems, mode},
    log::witness::Witnesses,
    store::sqlite::FILE,
};

const MIB: u64 = 1 << 20;
const DAY_S: u64 = 86_400;

pub(super) fn directory(facts: &Facts) -> Vec<Check> {
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

pub(super) fn keys(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "keys";
    let Ok(db) = &facts.db else { return Vec::new() };
    if facts.log_key.is_none() && facts.on_server() {
        let detail = "keys/log.json is missing or unusable: this process cannot write";
        return vec![Check::warning(
            NAME,
            detail,
            "right for `serve --role api`; every other role needs it: copy it from another process of the cluster",
        )];
    }
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

pub(super) fn lock(facts: &Facts) -> Vec<Check> {
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

pub(super) fn space(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "space";
    let Some(free) = free_bytes(&facts.data) else {
        return vec![Check::warning(
            NAME,
            "free space is not known",
            "look at it with df",
        )];
    };
    if facts.on_server() {
        // The log is elsewhere; here are only small files, which have to be replaced before anything is published.
        let detail = format!("{} MiB free for head.guard and keys", free / MIB);
        return vec![if free < 64 * MIB {
            Check::problem(
                NAME,
                detail,
                "make room: without a guard nothing is published",
            )
        } else {
            Check::ok(NAME, detail)
        }];
    }
    let used = fs::metadata(facts.data.join(FILE)).map_or(0, |m| m.len());
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

pub(super) fn backup(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "backup";
    const MAKE: &str = "run `backup --out DIR`, and keep the copy on another machine";
    if facts.on_server() {
        return vec![Check::ok(
            NAME,
            "of this directory keep keys/ and witnesses.toml elsewhere too; of the database, see copies",
        )];
    }
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

pub(super) fn witnesses(facts: &Facts) -> Vec<Check> {
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
