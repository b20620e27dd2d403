//! Running the program and looking at what it did.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::Value;

/// The import header.
pub(crate) const HEADER: &str = "time,trade_id,market,kind,reporter,subject,role,amount,currency,units,resource,status,quality_bp,on_time,\
                          claimed_quality_bp,swap_id,auction_id,auction_format,reserve,task_class,utilisation_bp,bids,level";

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts exit code 0 and returns standard output.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }

    /// Asserts exit code 0 and returns standard output as JSON.
    pub(crate) fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }

    /// Asserts this exit code and that this stable code is named.
    pub(crate) fn fails(self, exit: i32, code: &str) -> String {
        assert_eq!(self.code, Some(exit), "{self:#?}");
        assert!(self.err.contains(&format!("[{code}]: ")), "{self:#?}");
        self.err
    }

    /// Asserts wrong usage.
    pub(crate) fn usage(self) -> String {
        assert_eq!(self.code, Some(2), "{self:#?}");
        self.err
    }
}

pub(crate) fn command<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goodstanding"));
    command.args(args).env_clear().env("RUST_BACKTRACE", "1");
    command
}

pub(crate) fn run<'a>(args: impl IntoIterator<Item = &'a str>) -> Ran {
    Ran::of(command(args).stdin(Stdio::null()).output().unwrap())
}

/// Runs with a text on standard input.
pub(crate) fn run_with<'a>(args: impl IntoIterator<Item = &'a str>, input: &str) -> Ran {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    Ran::of(child.wait_with_output().unwrap())
}

/// A directory of one test, and file names in it.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let file = self.file(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// A CSV file with the header and these rows.
    pub(crate) fn csv(&self, name: &str, rows: &[&str]) -> String {
        self.write(name, format!("{HEADER}\n{}\n", rows.join("\n")))
    }

    /// The same, compressed.
    pub(crate) fn csv_gz(&self, name: &str, rows: &[&str]) -> String {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        write!(out, "{HEADER}\n{}\n", rows.join("\n")).unwrap();
        self.write(name, out.finish().unwrap())
    }
}

/// The seed of the agents' keys in [`imported`] and [`market`].
pub(crate) const SEED: &str = "a secret of the test";

/// A data directory with [`six_rows`].
pub(crate) fn imported() -> (Dir, String) {
    let dir = Dir::new();
    let (file, data) = (dir.csv("trades.csv", &six_rows()), dir.file("data"));
    let import = ["import", &file, "--historical", "--data", &data];
    run(import.into_iter().chain(["--key-seed", SEED])).ok();
    (dir, data)
}

/// The same with trust roots and an epoch.
pub(crate) fn market() -> Dir {
    let (dir, data) = imported();
    run(["policy", "set", "--seeds", "alice,carol", "--data", &data]).ok();
    run(["epoch", "--data", &data]).ok();
    dir
}

/// A service on a data directory, killed when dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) url: String,
    /// What it said of itself when it was ready.
    pub(crate) ready: Value,
    log: Arc<Mutex<String>>,
}

impl Serving {
    pub(crate) fn on(data: &str) -> Self {
        Self::with(data, &[])
    }

    pub(crate) fn with(data: &str, more: &[&str]) -> Self {
        let args = ["serve", "--json", "--data", data, "--listen", "127.0.0.1:0"];
        let mut child = command(args.into_iter().chain(more.iter().copied()))
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut lines, kept) = (child.stderr.take().unwrap(), log.clone());
        // Somebody has to read on, or the service would wait for its log to be taken.
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(n @ 1..) = lines.read(&mut some) {
                kept.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&some[..n]));
            }
        });
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("{e}: {line:?} {}", log.lock().unwrap()));
        let url = format!("http://{}", ready["address"].as_str().unwrap());
        Self {
            child,
            url,
            ready,
            log,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file with a fresh bearer token of this role, as `@FILE`.
pub(crate) fn bearer(dir: &Dir, data: &str, role: &str) -> String {
    let grant = ["access", "grant", "--role", role, "--json", "--data", data];
    let granted = run(grant).json();
    let file = dir.write(&format!("{role}.token"), granted["token"].as_str().unwrap());
    format!("@{file}")
}

/// The folder of evaluation data; absent data is a failure, not a skipped test.
pub(crate) fn shared(file: &str) -> PathBuf {
    let shared = std::env::var_os("GOODSTANDING_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let path = shared.join(file);
    assert!(
        path.exists(),
        "{} is missing; GOODSTANDING_SHARED names the folder",
        path.display()
    );
    path
}

/// Six reports on four trades: alice and bob trade honestly, mallory cheats alice.
pub(crate) fn six_rows() -> [&'static str; 6] {
    [
        "1790000000,t1,query-a,purchase,alice,bob,buyer,0.0001,USDC,1,query,fulfilled,9400,true,,,,,,,,,countersigned",
        "1790000100,t2,query-a,service,alice,bob,buyer,12.5,USD,,,fulfilled,9200,true,,,,,,,,,",
        "1790000100,t2,query-a,service,bob,alice,seller,12.5,USD,,,fulfilled,10000,,9300,,,,,,,,",
        "1790000200,t3,gpu,compute_auction,carol,bob,buyer,2,CREDIT,,gpu,fulfilled,9000,true,,,au1,forward,0.5,urgent,9000,alice:1.5|mallory:1,countersigned",
        "1790000300,t4,query-a,purchase,alice,mallory,buyer,40,USDC,,,failed,0,false,,,,,,,,,countersigned",
        "1790000400,t5,swap,data_swap,carol,alice,buyer,0,USD,,,fulfilled,9500,true,,s1,,,,,,,countersigned",
    ]
}
