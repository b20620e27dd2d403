//! Checks of what the database says, and of whether it is the one that belongs here.

use goodstanding_score::policy::Policy;
use goodstanding_verify::{checkpoint::SignedCheckpoint, entry::KeyUse, note::VerifierKey};

use super::{
    Check,
    facts::{Db, Facts},
};
use crate::{
    app,
    cli::output::{count, utc},
    log::{
        guard::HeadGuard,
        moved::Mark,
        sequencer::MOST_AHEAD_MS,
        tenure::{Left, Tenure},
    },
    store::snapshot::{CheckpointRow, HeadRow},
};

const HOUR_S: u64 = 3600;
const DAY_S: u64 = 86_400;

pub(super) fn database(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "database";
    let db = match &facts.db {
        Ok(db) => db,
        Err(fault) => {
            return vec![Check::problem(
                NAME,
                fault.to_string(),
                if facts.on_server() {
                    "see server, schema and role"
                } else {
                    "restore a backup that is not behind head.guard"
                },
            )];
        }
    };
    if let Some(first) = db.damage.first() {
        return vec![Check::problem(
            NAME,
            first.as_str(),
            if facts.on_server() {
                "stop the services; docs/OPERATIONS.md, section on backup, standbys, failover"
            } else {
                "stop the service; restore a backup that is not behind head.guard"
            },
        )];
    }
    if let Some(mark) = db.copy.as_deref().map(Mark::of) {
        let advice = match mark {
            Mark::Backup => "use `restore`",
            Mark::Moving(_) => "run the same `migrate` again, and do what it says",
            Mark::Moved { .. } => "use that database; this one is of the past",
        };
        return vec![Check::problem(NAME, mark.to_string(), advice)];
    }
    let engine = &db.engine;
    if let Some(remedy) = engine.remedy {
        let detail = format!("{}, {}", engine.name, engine.mode);
        return vec![Check::warning(NAME, detail, remedy)];
    }
    let size = db.head.as_ref().map_or(0, |head| head.size);
    vec![Check::ok(
        NAME,
        format!(
            "{size} entries, {}, {}, {}",
            engine.name, engine.mode, engine.sound
        ),
    )]
}

pub(super) fn guard(facts: &Facts) -> Vec<Check> {
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
        Ok(None) if facts.on_server() => found.push(Check::problem(
            NAME,
            "is missing, and the database has published checkpoints: a process would believe whatever it says",
            "copy it from another process of this log, or `goodstanding restore --newest CHECKPOINT`",
        )),
        Ok(None) => found.push(Check::problem(
            NAME,
            "is missing, and the database has published checkpoints",
            "put it back; docs/OPERATIONS.md says what to do if it is lost",
        )),
        Ok(Some(signed)) => found.push(compare(
            &signed,
            head,
            db.published.as_ref(),
            facts.log_key.as_ref(),
            NEVER,
        )),
    }
    if facts.on_server() {
        // Who wrote last is told by turns.
        return found;
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
    published: Option<&CheckpointRow>,
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
    let published = published.map_or(0, |row| row.size);
    Check::ok(
        NAME,
        format!(
            "head {}, published {published}, guard {}",
            head.size, guard.size
        ),
    )
}

pub(super) fn clock(facts: &Facts) -> Vec<Check> {
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

/// Whether flow reached nobody but the trust roots.
fn reaches_only_roots(reached: u64, policy: &Policy) -> bool {
    usize::try_from(reached).is_ok_and(|reached| reached <= policy.seeds.len())
}

pub(super) fn policy(facts: &Facts) -> Vec<Check> {
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
        Some(Ok(policy)) if db.epoch.is_some() && reaches_only_roots(db.reached, policy) => {
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

pub(super) fn epoch(facts: &Facts) -> Vec<Check> {
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

pub(super) fn key_life(facts: &Facts) -> Vec<Check> {
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
