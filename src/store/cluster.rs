//! What processes that share one database have beside the log: whose turn it is to write, and the way to whoever has it.
//!
//! A process leads while it holds the lead's lock and says so again and again. Its writes carry the number of its turn, and the
//! database refuses those of a turn that is over: a process that was stopped and wakes up later cannot write.

use std::time::Duration;

use async_trait::async_trait;

use super::Error;

/// Number of a turn at writing. Each is one more than the one before.
pub type Term = u64;

/// The longest job that is read, bytes. The longest that is sent, 256 reports of 16 KiB each, has some 4 MiB.
pub const MOST_JOB: usize = 8 << 20;

/// The first bytes of every job, random.
pub type Mark = [u8; 16];

/// What a sender knows its job by. The number alone does not say it: the table of jobs is not logged, so that a crash of the
/// server empties it and its numbers begin again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its number.
    pub id: u64,
    /// Its first bytes.
    pub mark: Mark,
}

/// A job that another process sent to whoever writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number, ascending in the order of sending.
    pub id: u64,
    /// What is to be done, as the sender wrote it; `None`: it is longer than [`MOST_JOB`].
    pub job: Option<Vec<u8>>,
}

/// A turn at writing that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its number.
    pub term: Term,
    /// Random name; the database remembers those of all turns.
    pub name: String,
    /// Who has it: host and process, for people.
    pub holder: String,
    /// When it began by the database's clock, Unix milliseconds.
    pub since_ms: u64,
}

/// What a store that several processes share can do for them.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Takes the lead if nobody has it, or from a process that has not been heard of for `lease`; from then on the store's writes
    /// are those of this turn. `None`: somebody leads.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; whether the lead was taken is then unknown, and it ends with the connection.
    async fn try_lead(&self, lease: Duration) -> Result<Option<Turn>, Error>;

    /// Says that the turn goes on; `false`: it is over.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the connection that holds the lead is gone, and with it the turn.
    async fn beat(&self, term: Term) -> Result<bool, Error>;

    /// Gives the lead back at once.
    async fn resign(&self, term: Term);

    /// The newest turn, whoever has or had it.
    async fn turn(&self) -> Result<Option<Turn>, Error>;

    /// Whether a turn of this name was ever taken.
    async fn had_turn(&self, name: &str) -> Result<bool, Error>;

    /// Whether somebody who leads was heard of within `lease`.
    async fn is_led(&self, lease: Duration) -> Result<bool, Error>;

    /// How long nobody who leads was heard of, by the database's clock; `None`: nobody ever led.
    async fn silence(&self) -> Result<Option<Duration>, Error>;

    /// Who keeps others from the lead, for people; also somebody who never leads.
    async fn holder(&self) -> Result<Option<String>, Error>;

    /// Puts jobs, each beginning with its mark, where whoever leads finds them; their numbers, in order.
    async fn send(&self, jobs: &[Vec<u8>]) -> Result<Vec<u64>, Error>;

    /// Jobs that have no answer, those with the numbers `except` left out, ascending, at most `limit`, and no more after those that
    /// have `bytes` together.
    async fn waiting(
        &self,
        except: &[u64],
        limit: u32,
        bytes: usize,
    ) -> Result<Vec<Waiting>, Error>;

    /// Answers jobs. Only whoever leads may.
    async fn answer(&self, answers: &[(u64, Vec<u8>)]) -> Result<(), Error>;

    /// Takes the answers to these jobs away, of those that have one.
    async fn collect(&self, jobs: &[Ticket]) -> Result<Vec<(u64, Vec<u8>)>, Error>;

    /// The numbers of those of these jobs that are there, answered or not.
    async fn present(&self, jobs: &[Ticket]) -> Result<Vec<u64>, Error>;

    /// Takes back jobs that nobody waits for any more. One that is being worked on is done all the same.
    async fn withdraw(&self, jobs: &[Ticket]) -> Result<(), Error>;

    /// Takes away what was sent longer than `age` ago, those with the numbers `except` left out: nobody waits for it any more.
    async fn clean(&self, age: Duration, except: &[u64]) -> Result<(), Error>;

    /// Returns when another process has sent or answered something, or logged or published, at the latest after `most`.
    async fn wait(&self, most: Duration);
}
