//! Checks of a PostgreSQL server, of the database on it, and of the role that the service has there.

use super::{Check, State, facts::Facts};
use crate::{
    cli::output::{count, utc},
    clock::Clock,
    config::Config,
    log::cluster::{LEASE, past::Past},
    store::{
        Place,
        postgres::look::{Archive, Connections, LastTurn, Looked, RoleFacts},
    },
};

/// What one process may open besides its readers: the writer, the lead, four for jobs, one that listens, one that scrubs.
const BESIDE_READERS: i64 = 8;
/// What the server's and this machine's clock may differ by.
const CLOCKS_MS: u64 = 1000;
/// Jobs are answered at once; one that is older than this waits for somebody.
const PATIENCE_MS: u64 = 5000;
/// Missing rights that are named.
const SHOWN: usize = 8;
const MIB: u64 = 1 << 20;

/// Nothing where the database is a file.
pub(super) async fn checks(facts: &Facts, clock: &Clock) -> Vec<Check> {
    let Place::Server(url) = &facts.place else {
        return Vec::new();
    };
    let noted = Past::of(&facts.data).name().unwrap_or_default();
    match Looked::at(url, noted.as_deref(), clock).await {
        Ok(looked) => judged(
            &looked,
            clock.now_ms(),
            Config::default().database_connections,
        ),
        Err(error) => vec![Check::problem(
            "server",
            error.to_string(),
            "nothing else can be said of the database before that",
        )],
    }
}

fn judged(looked: &Looked, now_ms: u64, readers: u32) -> Vec<Check> {
    let mut found = vec![server(looked)];
    // The schema is told by a table that may be one of those that cannot be read.
    let unread = |right: &String| right == "SELECT ON _sqlx_migrations";
    if !looked.role.missing.iter().any(unread) {
        found.push(schema(looked));
    }
    found.extend(role(&looked.role));
    if looked.schema.is_none() {
        found.push(lead(looked.turn.as_ref(), now_ms));
        found.push(inbox(looked));
        found.extend(past(looked));
    }
    found.extend([
        clocks(looked),
        connections(&looked.connections, readers),
        copies(&looked.archive),
    ]);
    found
}

fn server(looked: &Looked) -> Check {
    const NAME: &str = "server";
    let detail = format!(
        "PostgreSQL {}, {}{}, {} MiB",
        looked.version,
        looked.settings,
        if looked.standby { ", a standby" } else { "" },
        looked.bytes / MIB
    );
    if let Some(why) = &looked.refused {
        let advice = if looked.standby {
            "name the primary; a standby can be read and audited, and not served"
        } else {
            "a process that writes does not start with it; docs/OPERATIONS.md, section on connections and settings"
        };
        return Check::problem(NAME, why, advice);
    }
    match looked.encrypted {
        Some(false) => Check::warning(
            NAME,
            format!("{detail}, not encrypted"),
            "fine on one machine; sslmode=verify-full in the URL where the network is not yours",
        ),
        _ => Check::ok(NAME, detail),
    }
}

fn schema(looked: &Looked) -> Check {
    const NAME: &str = "schema";
    match &looked.schema {
        None => Check::ok(NAME, "this program's"),
        Some(why) => Check::problem(
            NAME,
            why,
            "nothing is served before that; stop the services and back up before migrating",
        ),
    }
}

fn role(role: &RoleFacts) -> Vec<Check> {
    const NAME: &str = "role";
    let who = &role.name;
    if !role.missing.is_empty() {
        return vec![Check::problem(
            NAME,
            format!("{who} lacks {}", some(&role.missing)),
            "as the owner, run the block of rights in docs/OPERATIONS.md again: after every migration that adds a table",
        )];
    }
    let mut found = Vec::new();
    if role.is_superuser || role.owns_tables {
        let what = if role.is_superuser {
            "is a superuser"
        } else {
            "owns the tables"
        };
        found.push(Check::warning(
            NAME,
            format!("{who} {what}: it may alter and delete what was logged"),
            "right for `migrate`; give the service a role of its own, docs/OPERATIONS.md",
        ));
    } else {
        found.push(Check::ok(NAME, format!("{who} has the rights it needs")));
        if !role.vacuums {
            found.push(Check::ok(
                "erasure",
                format!("{who} may not vacuum: erased bytes go when autovacuum comes, or the owner's VACUUM"),
            ));
        }
    }
    found
}

/// The first of many.
fn some(all: &[String]) -> String {
    let (shown, rest) = all.split_at(all.len().min(SHOWN));
    match rest.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn lead(turn: Option<&LastTurn>, now_ms: u64) -> Check {
    const NAME: &str = "lead";
    let Some(turn) = turn else {
        return Check::ok(NAME, "nobody ever wrote here");
    };
    let of = format!(
        "{} since {} ({} s)",
        turn.holder,
        utc(turn.since_ms / 1000),
        now_ms.saturating_sub(turn.since_ms) / 1000
    );
    if !turn.held {
        return Check::warning(
            NAME,
            format!(
                "nobody writes; the last was {of}, heard of {} s ago",
                turn.silent_ms / 1000
            ),
            "fine while every service is stopped; else start one with --role all or sequencer, and look at the log of those that run",
        );
    }
    if u128::from(turn.silent_ms) > LEASE.as_millis() {
        return Check::problem(
            NAME,
            format!("{of}, silent for {} s", turn.silent_ms / 1000),
            "any other process of role all or sequencer takes over within seconds: start one; this one was stopped or cut off",
        );
    }
    Check::ok(NAME, of)
}

fn inbox(looked: &Looked) -> Check {
    const NAME: &str = "inbox";
    let detail = format!(
        "{} not answered yet{}",
        count(looked.waiting, "job"),
        if looked.waiting == 0 {
            String::new()
        } else {
            format!(", the oldest for {} s", looked.oldest_ms / 1000)
        }
    );
    if looked.waiting > 0 && looked.oldest_ms > PATIENCE_MS {
        let advice = "see the lead: what was sent waits for whoever writes; after ten minutes it is dropped, and clients send it again";
        return Check::warning(NAME, detail, advice);
    }
    Check::ok(NAME, detail)
}

fn past(looked: &Looked) -> Option<Check> {
    (looked.has_noted == Some(false)).then(|| {
        Check::problem(
            "past",
            "log.turn names a turn at writing that this database never had: it is another one, or an older state of it",
            "name the right database; never serve an older state. After a move, remove log.turn: docs/OPERATIONS.md",
        )
    })
}

fn clocks(looked: &Looked) -> Check {
    const NAME: &str = "clocks";
    let (ahead, within) = (looked.ahead_ms, looked.give_or_take_ms);
    let detail = format!("the server's is {ahead:+} ms from this machine's, give or take {within}");
    if ahead.unsigned_abs() > CLOCKS_MS.saturating_add(within) {
        let advice = "let NTP keep both: log time is the writing machine's, and it must not go back when another takes over";
        return Check::warning(NAME, detail, advice);
    }
    Check::ok(NAME, detail)
}

fn connections(of: &Connections, readers: u32) -> Check {
    const NAME: &str = "connections";
    let needs = i64::from(readers).saturating_add(BESIDE_READERS);
    let limits = [
        ("max_connections", of.most, of.used),
        ("the role's limit", of.role_limit, of.used_by_role),
        (
            "the database's limit",
            of.database_limit,
            of.used_in_database,
        ),
    ];
    let tightest = limits
        .into_iter()
        .filter(|(_, most, _)| *most >= 0)
        .min_by_key(|(_, most, used)| most.saturating_sub(*used));
    let Some((limit, most, used)) = tightest else {
        return Check::ok(NAME, "no limit");
    };
    let free = most.saturating_sub(used);
    let detail = format!("{used} of {most} in use ({limit}); a process takes up to {needs}");
    let state = if most < needs {
        State::Problem
    } else if free < needs {
        State::Warning
    } else {
        return Check::ok(NAME, detail);
    };
    let advice = "raise the limit, or lower database_connections: a process that gets none waits for 10 s and then refuses";
    Check::new(NAME, state, detail, advice)
}

fn copies(of: &Archive) -> Check {
    const NAME: &str = "copies";
    let standbys = if of.synchronous.is_empty() {
        format!(
            "{} of the write-ahead log, none synchronous",
            count(of.receivers.unsigned_abs(), "receiver")
        )
    } else {
        format!(
            "{}, synchronous: {}",
            count(of.receivers.unsigned_abs(), "receiver"),
            of.synchronous
        )
    };
    let detail = format!("archive_mode {}, {standbys}", of.mode);
    if of.failing {
        return Check::problem(
            NAME,
            format!("{detail}; the newest attempt to archive failed"),
            "see the server's log: until it succeeds the disk fills, and there is no newest point to recover to",
        );
    }
    if of.mode == "off" && of.receivers == 0 {
        return Check::warning(
            NAME,
            detail,
            "archive the write-ahead log or have a synchronous standby: a log may go on only from its newest state, docs/OPERATIONS.md",
        );
    }
    if of.receivers > 0 && of.synchronous.is_empty() {
        return Check::warning(
            NAME,
            detail,
            "do not promote an asynchronous standby: what it lacks is a fork; name synchronous ones",
        );
    }
    Check::ok(NAME, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(most: i64, used: i64) -> Connections {
        Connections {
            most,
            used,
            role_limit: -1,
            used_by_role: used,
            database_limit: -1,
            used_in_database: used,
        }
    }

    fn archive(mode: &str, receivers: i64, synchronous: &str) -> Archive {
        Archive {
            mode: mode.to_owned(),
            failing: false,
            receivers,
            synchronous: synchronous.to_owned(),
        }
    }

    #[test]
    fn the_tightest_limit_counts() {
        let state = |of: Connections| connections(&of, 8).state;
        assert_eq!(state(limits(100, 84)), State::Ok);
        assert_eq!(state(limits(100, 85)), State::Warning);
        assert_eq!(state(limits(15, 0)), State::Problem);
        let role = Connections {
            role_limit: 20,
            ..limits(100, 10)
        };
        let told = connections(&role, 8);
        assert_eq!(told.state, State::Warning);
        assert!(told.detail.contains("the role's limit"), "{}", told.detail);
    }

    #[test]
    fn a_log_of_which_nothing_keeps_a_newest_copy_is_told() {
        let state = |of: &Archive| copies(of).state;
        assert_eq!(state(&archive("off", 0, "")), State::Warning);
        assert_eq!(state(&archive("off", 1, "")), State::Warning);
        assert_eq!(state(&archive("off", 1, "ANY 1 (a, b)")), State::Ok);
        assert_eq!(state(&archive("on", 0, "")), State::Ok);
        let failing = Archive {
            failing: true,
            ..archive("on", 0, "")
        };
        assert_eq!(state(&failing), State::Problem);
    }

    #[test]
    fn a_leader_is_silent_after_its_lease() {
        let turn = |silent_ms, held| LastTurn {
            holder: "host 7".to_owned(),
            since_ms: 1000,
            silent_ms,
            held,
        };
        let state = |turn: LastTurn| lead(Some(&turn), 2000).state;
        assert_eq!(lead(None, 0).state, State::Ok);
        assert_eq!(state(turn(3000, true)), State::Ok);
        assert_eq!(state(turn(3001, true)), State::Problem);
        assert_eq!(state(turn(0, false)), State::Warning);
    }

    #[test]
    fn of_many_missing_rights_some_are_named() {
        let rights: Vec<String> = (0..10).map(|n| format!("SELECT ON t{n}")).collect();
        assert!(some(&rights).ends_with("SELECT ON t7 and 2 more"));
        assert_eq!(some(&rights[..2]), "SELECT ON t0, SELECT ON t1");
    }
}
