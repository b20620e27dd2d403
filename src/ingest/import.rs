//! Import of trades from a CSV file: rows in, reports signed as the agents that the rows name, into a log.
//!
//! The file is read twice: once to check every row and learn the aliases, so that nothing of a faulty file is imported,
//! and once to sign chunk by chunk. Ids are fixed by the rows: an import that was interrupted is simply run again.

mod row;
mod sign;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use goodstanding_verify::did::Did;
use rayon::prelude::*;
use serde::Serialize;
use tokio::sync::mpsc;

pub use row::{Auction, COLUMNS, Row, Rows, is_alias};
pub use sign::{Agents, TERMS_TYP};

use crate::{
    app::App,
    code::Fault,
    ingest::{blocking, check, submit_checked},
    log::sequencer::{Answer, Submission, new_names},
};

/// Rows that are signed together: enough work for every core, little memory.
const CHUNK: usize = 2048;
/// Names that are remembered at a time: what one process may ask of another is bounded.
const NAMES_AT_ONCE: usize = 20_000;
/// How many refusals of one code the summary shows.
const EXAMPLES: usize = 3;

/// What a first reading of a file found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Number of rows.
    pub rows: u64,
    /// Time of the first row, Unix seconds; `None` when there is no row.
    pub first_time: Option<u64>,
    /// Every alias.
    pub aliases: BTreeSet<String>,
}

/// Reads a whole file and checks every row.
///
/// # Errors
/// `input.unreadable`, `import.invalid`, `import.not_ascending`.
pub fn survey(path: &Path) -> Result<Survey, Fault> {
    let mut survey = Survey::default();
    for row in Rows::open(path)? {
        let row = row?;
        survey.rows += 1;
        survey.first_time.get_or_insert(row.time);
        for alias in row.aliases() {
            if !survey.aliases.contains(alias) {
                survey.aliases.insert(alias.to_owned());
            }
        }
    }
    Ok(survey)
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rows read.
    pub rows: u64,
    /// Reports that were not in the log before.
    pub new: u64,
    /// Reports that had been there already.
    pub already_there: u64,
    /// Refused reports by code.
    pub refused: BTreeMap<String, Refused>,
}

/// Refusals with one code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// How many.
    pub count: u64,
    /// The first few.
    pub examples: Vec<Example>,
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Line in the file.
    pub line: u64,
    /// What was wrong.
    pub detail: String,
}

impl Summary {
    /// Counts an admitted report.
    pub fn admitted(&mut self, new: bool) {
        self.rows += 1;
        if new {
            self.new += 1;
        } else {
            self.already_there += 1;
        }
    }

    /// Counts a refused report.
    pub fn refuse(&mut self, line: u64, code: &str, detail: &str) {
        self.rows += 1;
        let refused = self.refused.entry(code.to_owned()).or_default();
        refused.count += 1;
        if refused.examples.len() < EXAMPLES {
            refused.examples.push(Example {
                line,
                detail: detail.to_owned(),
            });
        }
    }

    /// How many reports were refused.
    pub fn refusals(&self) -> u64 {
        self.refused.values().map(|r| r.count).sum()
    }
}

/// Reads a file again, does `work` on every row in parallel and hands the results over chunk by chunk, in order. The next
/// chunk is worked on while `take` has the last one.
///
/// # Errors
/// Those of reading the file, and the first one of `take`.
pub async fn chunks<T: Send + 'static>(
    path: &Path,
    size: usize,
    work: impl Fn(&Row) -> T + Send + Sync + 'static,
    mut take: impl AsyncFnMut(Vec<T>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (results, mut done) = mpsc::channel::<Vec<T>>(1);
    let path: PathBuf = path.to_owned();
    let reading = blocking(move || -> Result<(), Fault> {
        let mut rows = Rows::open(&path)?;
        loop {
            let chunk = rows.by_ref().take(size).collect::<Result<Vec<_>, _>>()?;
            if chunk.is_empty() {
                return Ok(());
            }
            let worked = chunk.par_iter().map(&work).collect();
            if results.blocking_send(worked).is_err() {
                // The receiver gave up and knows why.
                return Ok(());
            }
        }
    });
    let taking = async move {
        while let Some(chunk) = done.recv().await {
            take(chunk).await?;
        }
        Ok::<(), Fault>(())
    };
    let (read, taken) = tokio::join!(reading, taking);
    taken?;
    read?
}

/// Remembers agents' names in the data directory. Returns how many were new.
///
/// # Errors
/// `agent.alias_taken` when one of the aliases belongs to another key there, or a key has another alias; then nothing is remembered, of
/// many thousands at a time only those before.
pub async fn name_agents<'a>(
    app: &App,
    agents: impl Iterator<Item = (&'a str, Did)>,
) -> Result<usize, Fault> {
    let wanted: Vec<_> = agents.map(|(alias, did)| (alias.to_owned(), did)).collect();
    let fresh = new_names(&app.store.aliases().await?, &wanted)?;
    let new = fresh.len();
    for part in fresh.chunks(NAMES_AT_ONCE) {
        // The writer looks again: somebody else may have named one of them meanwhile.
        app.log.set_aliases(part.to_vec()).await?;
    }
    Ok(new)
}

/// Signs every row of a file and puts the reports into an open data directory's log, checked like any that come over
/// HTTP. With `historical` the log's time is the row's and age limits do not apply.
///
/// # Errors
/// When the file changed meanwhile or the log fails. A refused report is no error: it is in the summary.
pub async fn into_log(
    app: &App,
    path: &Path,
    agents: Arc<Agents>,
    historical: bool,
    mut progress: impl FnMut(u64),
) -> Result<Summary, Fault> {
    let mut summary = Summary::default();
    let work = move |row: &Row| {
        let historical_ms = historical.then(|| row.time * 1000);
        (
            row.line,
            agents.sign(row).and_then(|jws| check(jws, historical_ms)),
        )
    };
    let take = async |chunk: Vec<(u64, Result<Submission, Fault>)>| {
        let (lines, checked): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
        let answers = submit_checked(&app.log, checked).await?;
        for (line, answer) in lines.into_iter().zip(answers) {
            count(&mut summary, line, answer)?;
        }
        progress(summary.rows);
        Ok(())
    };
    chunks(path, CHUNK, work, take).await?;
    Ok(summary)
}

/// A report's own fault is counted; a fault of the service ends the import.
fn count(summary: &mut Summary, line: u64, answer: Answer) -> Result<(), Fault> {
    match answer {
        Ok(receipt) => summary.admitted(receipt.admitted.new),
        Err(fault) if is_systemic(fault.code()) => return Err(fault),
        Err(fault) => summary.refuse(line, fault.code(), fault.detail()),
    }
    Ok(())
}

/// Whether a code speaks of the service and not of the report: every further row would meet the same.
pub fn is_systemic(code: &str) -> bool {
    matches!(
        code.split_once('.').map_or(code, |(area, _)| area),
        "store" | "log" | "ingest" | "internal" | "data"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    fn file(rows: usize) -> tempfile::NamedTempFile {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{}", COLUMNS.join(",")).unwrap();
        for i in 0..rows {
            writeln!(
                file,
                "{},t{i},m,purchase,a{},b,buyer,1,USD,,,fulfilled,9000,,,,,,,,,,",
                1_767_270_671 + i,
                i % 7
            )
            .unwrap();
        }
        file
    }

    #[test]
    fn a_survey_knows_rows_aliases_and_the_beginning() {
        let survey = survey(file(20).path()).unwrap();
        assert_eq!((survey.rows, survey.first_time), (20, Some(1_767_270_671)));
        assert_eq!(survey.aliases.len(), 8);
    }

    #[tokio::test]
    async fn chunks_come_in_order_and_a_fault_ends_them() {
        let file = file(25);
        let mut seen = Vec::new();
        chunks(
            file.path(),
            10,
            |row| row.line,
            async |lines| {
                seen.push(lines);
                Ok(())
            },
        )
        .await
        .unwrap();
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
        assert!(seen.concat().into_iter().eq(2..27));
        let stop = chunks(
            file.path(),
            1,
            |row| row.line,
            async |_| Err(Fault::new(Code::LogClosed, "closed")),
        )
        .await;
        assert!(stop.unwrap_err().is(Code::LogClosed));
    }

    #[test]
    fn summaries_keep_the_first_examples() {
        let mut summary = Summary::default();
        summary.admitted(true);
        summary.admitted(false);
        for line in 0..5 {
            summary.refuse(line, "report.too_old", "old");
        }
        assert_eq!(
            (
                summary.rows,
                summary.new,
                summary.already_there,
                summary.refusals()
            ),
            (7, 1, 1, 5)
        );
        assert_eq!(summary.refused["report.too_old"].examples.len(), 3);
        assert!(
            is_systemic("store.unavailable")
                && is_systemic("internal")
                && !is_systemic("report.too_old")
        );
    }
}
