//! The published checkpoint against the quorum of `witnesses.toml`, without asking anybody.

use std::path::Path;

use goodstanding_verify::{checkpoint::SignedCheckpoint, witness_policy::WitnessPolicy};

use super::{Check, facts::Facts};
use crate::{
    app::Reader,
    cli::output::count,
    log::witness::{WhenMissed, Witnesses},
    store::Published,
};

const NAME: &str = "published";
/// How many published checkpoints are looked through for one with a quorum.
const LOOKED_AT: u32 = 100;

/// Nothing where no quorum is asked for, and where the settings or the database cannot be read: other checks say so.
pub(super) async fn checks(data: &Path, facts: &Facts) -> Vec<Check> {
    let Some(key) = &facts.log_key else {
        return Vec::new();
    };
    let Ok(witnesses) = Witnesses::load(data, key) else {
        return Vec::new();
    };
    if !witnesses.policy.wants_quorum() {
        return Vec::new();
    }
    let Ok(reader) = Reader::open(data, &facts.place).await else {
        return Vec::new();
    };
    let newest = reader
        .store
        .newest_checkpoints(u64::MAX >> 1, LOOKED_AT)
        .await;
    reader.store.close().await;
    match newest {
        Ok(newest) => vec![compare(&newest, &witnesses, facts.size().unwrap_or(0))],
        Err(error) => vec![Check::problem(NAME, error.to_string(), "run `fsck`")],
    }
}

/// Who cosigned a published checkpoint, if that is a quorum; else what is missing.
fn quorum(published: &Published, policy: &WitnessPolicy) -> Result<String, String> {
    let signed = SignedCheckpoint::parse(&published.note).map_err(|e| e.to_string())?;
    let quorum = policy
        .evaluate(&signed)
        .map_err(|e| e.detail().to_owned())?;
    Ok(format!(
        "{} of {}",
        quorum.witnesses.len(),
        count(quorum.total, "witness")
    ))
}

/// `newest` = published checkpoints, newest first; `size` = entries in the database.
fn compare(newest: &[Published], witnesses: &Witnesses, size: u64) -> Check {
    const WAITS: &str =
        "a running service asks the witnesses again by itself; docs/WITNESSES.md if this lasts";
    const CHANGED: &str = "start the service, or write anything: it asks the witnesses and publishes again. If witnesses.toml was changed, \
         older checkpoints may never meet it";
    let Some(last) = newest.first() else {
        return Check::warning(NAME, "no checkpoint is published yet", WAITS);
    };
    let entries = |n: u64| count(n, "entry");
    let why = match quorum(last, &witnesses.policy) {
        Ok(by) if last.size == size => {
            let detail = format!("all {} witnessed, by {by}", entries(size));
            return Check::ok(NAME, detail);
        }
        Ok(by) => {
            let waiting = size.saturating_sub(last.size);
            let detail = format!(
                "{} witnessed, by {by}; {} more not published yet",
                entries(last.size),
                entries(waiting)
            );
            return Check::warning(NAME, detail, WAITS);
        }
        Err(why) => why,
    };
    let good = newest
        .iter()
        .find(|published| quorum(published, &witnesses.policy).is_ok());
    let good = match good {
        Some(published) => format!("the newest that has one is of {}", entries(published.size)),
        None => "none of the newest has one".to_owned(),
    };
    let detail = format!(
        "the checkpoint of {} lacks the quorum of witnesses.toml ({why}); {good}, and tokens and bundles stay there",
        entries(last.size)
    );
    match witnesses.when_missed {
        // Fail open: it was meant to go out like this, and is published again when the witnesses are back.
        WhenMissed::Publish => Check::warning(NAME, detail, WAITS),
        WhenMissed::Wait => Check::problem(NAME, detail, CHANGED),
    }
}
