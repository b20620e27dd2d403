//! `migrate --from --to` as a process, between every two kinds of database, killed at any moment and run again: it does the rest, or
//! says what is in its way; never two databases that may go on, and in the end the same log to the last row.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use goodstanding::{
    code::Code,
    log::moved::Mark,
    moving::End,
    store::{Place, sqlite::FILE},
};
use serde_json::Value;

use crate::{
    moved::{goes_on, mark, put_away, refused, sound, told_at},
    support::{Numbers, postgres::Database},
    whole::{assert_same, everything, told_by},
};

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToServer,
    FromServer,
    BetweenServers,
    BetweenDirectories,
}

/// A whole log, to be copied for each round.
struct Master {
    way: Way,
    data: tempfile::TempDir,
    /// The same log on a server.
    database: Option<Database>,
    told: Vec<String>,
}

/// One log that moves, and where it is to go.
struct Round {
    from: Option<Database>,
    to: Option<Database>,
    /// The directory of keys and guard before the move.
    data: tempfile::TempDir,
    /// The directory that is moved to, if it is another one.
    target: Option<tempfile::TempDir>,
}

fn end(data: &Path, database: Option<&Database>) -> String {
    match database {
        Some(database) => database.url(),
        None => format!("sqlite:{}", data.display()),
    }
}

fn place(data: &Path, database: Option<&Database>) -> Place {
    end(data, database).parse::<End>().unwrap().place()
}

impl Master {
    async fn new(way: Way) -> Self {
        let data = everything().await;
        let told = told_by(data.path()).await;
        let mut master = Self {
            way,
            data,
            database: None,
            told,
        };
        if matches!(way, Way::FromServer | Way::BetweenServers) {
            let database = Database::new().await;
            let mut moving = migrate(
                &end(master.data.path(), None),
                &database.url(),
                master.data.path(),
            );
            finished(&moving.output().unwrap()).unwrap();
            std::fs::remove_dir_all(put_away(master.data.path())).unwrap();
            master.database = Some(database);
        }
        master
    }

    async fn round(&self) -> Round {
        let from = match &self.database {
            Some(database) => Some(database.copy().await),
            None => None,
        };
        let to = match self.way {
            Way::ToServer | Way::BetweenServers => Some(Database::new().await),
            Way::FromServer | Way::BetweenDirectories => None,
        };
        Round {
            from,
            data: crate::moved::copied(self.data.path()),
            target: (self.way == Way::BetweenDirectories).then(|| tempfile::tempdir().unwrap()),
            to,
        }
    }
}

impl Round {
    fn target(&self) -> &Path {
        self.target
            .as_ref()
            .map_or(self.data.path(), tempfile::TempDir::path)
    }

    fn places(&self) -> [Place; 2] {
        [
            place(self.data.path(), self.from.as_ref()),
            place(self.target(), self.to.as_ref()),
        ]
    }

    fn migrate(&self) -> Command {
        migrate(
            &end(self.data.path(), self.from.as_ref()),
            &end(self.target(), self.to.as_ref()),
            self.data.path(),
        )
    }

    /// Whether the source, and whether the target, may go on. Opening is more than looking: it begins a tenure, or a turn.
    async fn who_goes_on(&self) -> [bool; 2] {
        let url = |database: &Option<Database>| database.as_ref().map(Database::url);
        [
            goes_on(self.data.path(), url(&self.from)).await.is_ok(),
            // In one directory the file is the target's, and the server the source's.
            goes_on(self.target(), url(&self.to)).await.is_ok(),
        ]
    }

    /// Does what the refusal says: the target is made anew.
    async fn clear(&mut self, said: &str) {
        if let Some(old) = self.to.take() {
            assert!(said.contains("make a new database"), "{said}");
            drop(old);
            self.to = Some(Database::new().await);
        } else {
            assert!(said.contains(FILE), "{said}");
            std::fs::remove_dir_all(put_away(self.target())).unwrap();
        }
    }

    /// The end of every round: the log is in the target and nowhere else, as it was.
    async fn hold(&self, master: &Master) {
        let [_, to] = self.places();
        assert_same(&master.told, &told_at(&to).await);
        sound(self.target(), &to).await;
        let url = self.from.as_ref().map(Database::url);
        let fault = goes_on(self.data.path(), url).await.unwrap_err();
        // Once a log is opened on a server, its directory says so before the file does.
        assert!(
            fault.is(Code::DataMoved) || (self.to.is_some() && fault.is(Code::DataOtherCopy)),
            "{fault:?}"
        );
        assert_eq!(self.who_goes_on().await, [false, true]);
        assert_eq!(keys(master.data.path()), keys(self.target()));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

fn keys(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut keys: Vec<_> = std::fs::read_dir(data.join("keys"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path.file_name().unwrap().into(), bytes)
        })
        .collect();
    keys.sort();
    keys
}

fn migrate(from: &str, to: &str, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goodstanding"));
    command
        .args(["migrate", "--json", "--from", from, "--to", to, "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a move said; or the code and the words of its refusal.
fn finished(ran: &Output) -> Result<Value, (String, String)> {
    let said: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
    if ran.status.success() {
        return Ok(said);
    }
    let told = |member: &str| said["error"][member].as_str().unwrap().to_owned();
    Err((told("code"), told("detail")))
}

/// Rounds of each of the four ways.
fn rounds() -> u64 {
    std::env::var("GOODSTANDING_MOVE_ROUNDS").map_or(8, |text| text.parse().unwrap())
}

/// What the rounds met.
#[derive(Debug, Default)]
struct Met {
    killed: u32,
    untouched: u32,
    begun: u32,
    left: u32,
    over: u32,
    made_anew: u32,
}

async fn killed_at_any_moment(way: Way) {
    let master = Master::new(way).await;
    let whole = master.round().await;
    let began = Instant::now();
    let moved = finished(&whole.migrate().output().unwrap()).unwrap();
    let mut takes = began.elapsed();
    assert_eq!(moved["resumed"], false);
    whole.hold(&master).await;
    let mut met = Met::default();
    let mut numbers = Numbers::new(way as u64);
    for n in 0..rounds() {
        let mut round = master.round().await;
        let began = Instant::now();
        let mut process = round.migrate().spawn().unwrap();
        if n % 3 == 2 {
            // Soon after it left its source: the rest is short.
            let [from, _] = round.places();
            while mark(&from).await.is_none() && process.try_wait().unwrap().is_none() {}
            std::thread::sleep(Duration::from_millis(numbers.below(20)));
        } else {
            // Spread over the whole move, each at random within its part of it.
            let part = micros(takes) / rounds();
            std::thread::sleep(Duration::from_micros(part * n + numbers.below(part + 1)));
        }
        let after = began.elapsed();
        process.kill().unwrap();
        let ended = process.wait_with_output().unwrap();
        if ended.status.code().is_none() {
            met.killed += 1;
        } else {
            takes = takes.min(after);
        }
        met.note(&round).await;
        let before = round.who_goes_on().await;
        assert!(before != [true, true], "{way:?} after {after:?}");
        match finished(&round.migrate().output().unwrap()) {
            Ok(_) => {}
            // It was over: the one that was killed had only to say so.
            Err((code, _)) if code == "data.moved" => assert_eq!(before, [false, true]),
            Err((code, said)) => {
                assert_eq!((code.as_str(), before), ("data.not_empty", [true, false]));
                met.made_anew += 1;
                round.clear(&said).await;
                finished(&round.migrate().output().unwrap()).unwrap();
            }
        }
        round.hold(&master).await;
    }
    println!("{way:?}, {} rounds over {takes:?}: {met:?}", rounds());
    assert!(met.killed > 0);
}

impl Met {
    async fn note(&mut self, round: &Round) {
        let [from, to] = round.places();
        match (mark(&from).await, mark(&to).await) {
            (None, None) => self.untouched += 1,
            (None, Some(_)) => self.begun += 1,
            (Some(Mark::Moved { .. }), Some(Mark::Moving(_))) => self.left += 1,
            (Some(Mark::Moved { .. }), None) => self.over += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_the_way_to_a_server() {
    killed_at_any_moment(Way::ToServer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_the_way_from_a_server() {
    killed_at_any_moment(Way::FromServer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_the_way_from_one_database_to_another() {
    killed_at_any_moment(Way::BetweenServers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_the_way_from_one_directory_to_another() {
    killed_at_any_moment(Way::BetweenDirectories).await;
}

/// In one database there is one lead for all schemas, and the move has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_moves_to_another_schema_of_its_database() {
    let master = Master::new(Way::FromServer).await;
    let from = master.database.as_ref().unwrap();
    from.execute("CREATE SCHEMA elsewhere").await;
    let to = format!("{}?options=-csearch_path%3Delsewhere", from.url());
    let data = master.data.path();
    let moved = finished(&migrate(&from.url(), &to, data).output().unwrap()).unwrap();
    assert_eq!(moved["resumed"], false);
    let place = to.parse::<End>().unwrap().place();
    assert_same(&master.told, &told_at(&place).await);
    sound(data, &place).await;
    refused(data, Some(from.url())).await;
    goes_on(data, Some(to.clone())).await.unwrap();
    // Nothing moves onto itself, whichever way it is written.
    for same in [&to, &format!("{to}&application_name=another")] {
        let (code, said) = finished(&migrate(&to, same, data).output().unwrap()).unwrap_err();
        assert_eq!(code, "data.not_empty", "{said}");
    }
    goes_on(data, Some(to)).await.unwrap();
}
