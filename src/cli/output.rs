//! What people and programs get to see: results, errors, exit codes.

use std::{
    fmt, io,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::json;

use crate::code::{Code, Fault, registry};

/// Prints a line to standard output; a reader that went away ends the command quietly.
macro_rules! say {
    ($($arg:tt)*) => { $crate::cli::output::line(format_args!($($arg)*))? };
}
pub(super) use say;

/// Writes one line to standard output.
/// A reader that went away is no error: what the command is there for, and its exit code, stay what they are.
pub(super) fn line(text: fmt::Arguments<'_>) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    written(out.write_fmt(text).and_then(|()| out.write_all(b"\n")))
}

fn written(result: io::Result<()>) -> Result<(), Fault> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(unwritable("standard output", &error))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON document to standard output.
pub(super) fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    say!("{text}");
    Ok(())
}

/// The command line asks for something that does not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// A token that did not verify.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Rejected(pub(super) goodstanding_verify::Error);

/// A refusal by a service, with the code that it gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub(super) struct Refusal {
    /// The service's code, if it is one of the registry; else `client.refused`.
    pub(super) code: &'static str,
    /// What it said.
    pub(super) detail: String,
    /// How long it asks to wait, seconds.
    pub(super) retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal with a code from the wire.
    pub(super) fn new(code: &str, detail: String, retry_after_s: Option<u64>) -> Self {
        match registry().into_iter().find(|row| row.code == code) {
            Some(row) => Self {
                code: row.code,
                detail,
                retry_after_s,
            },
            None => Self {
                code: Code::ServerRefused.as_str(),
                detail: format!("{code}: {detail}"),
                retry_after_s,
            },
        }
    }
}

/// Everything was said already; the command ends as an error.
#[derive(Debug, thiserror::Error)]
#[error("some of it was refused")]
pub(super) struct Unsuccessful;

/// Everything was said already; what was to be verified is wrong.
#[derive(Debug, thiserror::Error)]
#[error("verification failed")]
pub(super) struct Disproved;

/// A file that could not be read.
pub(super) fn unreadable(name: impl fmt::Display, error: &io::Error) -> Fault {
    Fault::new(Code::InputUnreadable, format!("{name}: {error}"))
}

/// A file that could not be written.
pub(super) fn unwritable(name: impl fmt::Display, error: &io::Error) -> Fault {
    Fault::new(Code::OutputUnwritable, format!("{name}: {error}"))
}

/// So many of a thing, which is named in the singular: `1 entry`, `2 entries`.
pub(super) fn count(n: impl TryInto<u64>, thing: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    match thing.strip_suffix('y') {
        _ if n == 1 => format!("{n} {thing}"),
        Some(stem) => format!("{n} {stem}ies"),
        None if thing.ends_with('s') => format!("{n} {thing}es"),
        None => format!("{n} {thing}s"),
    }
}

/// A duration in the largest unit that leaves at least two of it: `90 s`, `3 minutes`, `26 hours`, `5 days`.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => count(seconds / 60, "minute"),
        7200..172_800 => count(seconds / 3600, "hour"),
        // Not `count`: its rule for -y is not English's for vowels.
        _ => format!("{} days", seconds / 86_400),
    }
}

/// [`count`] of a number in a JSON document.
pub(super) fn count_of(value: &serde_json::Value, thing: &str) -> String {
    count(value.as_u64().unwrap_or_default(), thing)
}

/// Asks whoever sits at a terminal. What cannot be taken back is not done because nobody was there to ask.
pub(super) fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Usage(format!("{question} Nobody can be asked here: say --yes.")).into());
    }
    let failed = |e: io::Error| unreadable("standard input", &e);
    eprint!("{question} [y/N] ");
    io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Shows how a command ended and picks the exit code.
pub(super) fn finish(result: anyhow::Result<()>, json: bool) -> ExitCode {
    let Err(error) = result.and_then(|()| Ok(written(io::stdout().flush())?)) else {
        return ExitCode::SUCCESS;
    };
    if error.is::<Unsuccessful>() {
        return ExitCode::FAILURE;
    }
    if error.is::<Disproved>() {
        return ExitCode::from(3);
    }
    if let Some(Usage(why)) = error.downcast_ref() {
        show(json, "usage", why, &format!("error[usage]: {why}"));
        return ExitCode::from(2);
    }
    if let Some(Rejected(why)) = error.downcast_ref() {
        let code = why.code().as_str();
        show(
            json,
            code,
            why.detail(),
            &with_advice(&format!("rejected [{code}]: {}", why.detail()), code),
        );
        return ExitCode::from(3);
    }
    let error = match error.downcast::<crate::store::Error>() {
        Ok(of_store) => Fault::from(of_store).into(),
        Err(other) => other,
    };
    let (code, detail) = if let Some(fault) = error.downcast_ref::<Fault>() {
        (fault.code(), fault.detail().to_owned())
    } else if let Some(refusal) = error.downcast_ref::<Refusal>() {
        (refusal.code, refusal.detail.clone())
    } else if let Some(error) = error.downcast_ref::<goodstanding_verify::Error>() {
        (error.code().as_str(), error.detail().to_owned())
    } else if let Some(error) = error.downcast_ref::<crate::keys::Error>() {
        (Code::KeyUnusable.as_str(), error.to_string())
    } else {
        (Code::Internal.as_str(), format!("{error:#}"))
    };
    show(
        json,
        code,
        &detail,
        &with_advice(&format!("error[{code}]: {detail}"), code),
    );
    ExitCode::FAILURE
}

fn with_advice(text: &str, code: &str) -> String {
    match registry().iter().find(|row| row.code == code) {
        Some(row) => format!("{text}\n  {}", row.meaning),
        None => text.to_owned(),
    }
}

fn show(json: bool, code: &str, detail: &str, text: &str) {
    // Not `eprintln!`, which panics where nobody reads it.
    let _ = writeln!(io::stderr(), "{text}");
    if json {
        // Nobody is left to tell if this fails.
        let _ = line(format_args!(
            "{}",
            json!({"error": {"code": code, "detail": detail}})
        ));
    }
}

/// Basis points as a percentage with two decimals.
pub(super) fn percent(bp: u64) -> String {
    format!("{}.{:02} %", bp / 100, bp % 100)
}

/// Unix seconds as `2026-11-23 12:40:05 UTC`.
pub(super) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01 of the proleptic Gregorian calendar, so that leap days end their year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_in_a_unit_that_says_something() {
        let said = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(age);
        assert_eq!(
            said,
            [
                "0 s",
                "119 s",
                "2 minutes",
                "119 minutes",
                "2 hours",
                "47 hours",
                "2 days"
            ]
        );
    }

    #[test]
    fn one_is_singular_and_everything_else_plural() {
        let said = [
            (0_u64, "problem"),
            (1, "problem"),
            (2, "problem"),
            (1, "entry"),
            (21, "entry"),
            (3, "witness"),
        ]
        .map(|(n, thing)| count(n, thing));
        assert_eq!(
            said,
            [
                "0 problems",
                "1 problem",
                "2 problems",
                "1 entry",
                "21 entries",
                "3 witnesses"
            ]
        );
    }

    #[test]
    fn times_and_shares() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(utc(1_767_225_599), "2025-12-31 23:59:59 UTC");
        assert_eq!(percent(9_005), "90.05 %");
    }

    #[test]
    fn unknown_codes_from_the_wire_become_ours() {
        assert_eq!(
            Refusal::new("report.too_old", "x".into(), None).code,
            "report.too_old"
        );
        let other = Refusal::new("teapot", "short and stout".into(), None);
        assert_eq!(
            (other.code, other.detail.as_str()),
            ("client.refused", "teapot: short and stout")
        );
    }
}
