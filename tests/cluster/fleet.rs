//! Processes of the real binary that share one database, each with a data directory of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use goodstanding_verify::note::VerifierKey;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{postgres::Database, verifier};

/// How long anything may take that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// One process.
pub(crate) struct Process {
    child: Child,
    pub url: String,
}

impl Process {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Some processes on one database.
pub(crate) struct Fleet {
    pub client: reqwest::Client,
    pub processes: Vec<Process>,
    roles: Vec<&'static str>,
    database_urls: Vec<String>,
    dir: tempfile::TempDir,
    // Dropped last: nobody may use it any more.
    database: Database,
}

impl Fleet {
    /// One process for each role, all of them answering.
    pub(crate) async fn start(roles: &[&'static str]) -> Self {
        let database = Database::new().await;
        goodstanding::store::Store::close(&database.store().await).await;
        let urls = vec![database.url(); roles.len()];
        Self::over(database, urls, roles).await
    }

    /// The same, with each process reaching the database at a URL of its own.
    pub(crate) async fn over(
        database: Database,
        database_urls: Vec<String>,
        roles: &[&'static str],
    ) -> Self {
        let mut fleet = Self {
            client: goodstanding::net::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
            processes: Vec::new(),
            roles: roles.to_vec(),
            database_urls,
            dir: tempfile::tempdir().unwrap(),
            database,
        };
        for (n, role) in roles.iter().enumerate() {
            fs::create_dir(fleet.data(n)).unwrap();
            if n > 0 {
                copy_keys(&fleet.data(0), &fleet.data(n), *role != "api");
                copy_guard(&fleet.data(0), &fleet.data(n));
            }
            fleet.begin(n);
            fleet.ready(n).await;
        }
        fleet
    }

    pub(crate) fn data(&self, n: usize) -> PathBuf {
        self.dir.path().join(n.to_string())
    }

    /// The database itself, past any proxy.
    pub(crate) fn database_url(&self) -> String {
        self.database.url()
    }

    fn spawn(&self, n: usize) -> Process {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.data(n).join("server.log"))
            .unwrap();
        let settings = self.data(n).join("settings.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_goodstanding"));
        command.arg("serve");
        if settings.exists() {
            command.arg("--config").arg(settings);
        }
        let child = command
            .args(["--issuer", "https://issuer.example"])
            .args(["--origin", "log.example", "--role", self.roles[n], "--data"])
            .arg(self.data(n))
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("GOODSTANDING_DATABASE_URL", &self.database_urls[n])
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Process {
            child,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// What process `n` says of itself; `None`: it does not answer.
    pub(crate) async fn state(&self, n: usize) -> Option<Value> {
        let url = format!("{}/readyz", self.processes[n].url);
        let answer = self.client.get(url).timeout(Duration::from_secs(2)).send();
        answer.await.ok()?.json().await.ok()
    }

    /// Waits until process `n` is ready.
    pub(crate) async fn ready(&mut self, n: usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            if self.state(n).await.is_some_and(|s| s["status"] == "ok") {
                return;
            }
            let ended = self.processes[n].child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < until,
                "process {n} does not get ready ({ended:?}):\n{}",
                self.log(n)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until process `n` has ended by itself.
    pub(crate) async fn ended(&mut self, n: usize) {
        let until = Instant::now() + PATIENCE;
        while self.processes[n].child.try_wait().unwrap().is_none() {
            assert!(
                Instant::now() < until,
                "process {n} goes on:\n{}",
                self.log(n)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What process `n` logged.
    pub(crate) fn log(&self, n: usize) -> String {
        fs::read_to_string(self.data(n).join("server.log")).unwrap()
    }

    /// The processes that say that they write.
    pub(crate) async fn leaders(&self) -> Vec<usize> {
        let mut leaders = Vec::new();
        for n in 0..self.processes.len() {
            if self.state(n).await.is_some_and(|s| s["writes"] == true) {
                leaders.push(n);
            }
        }
        leaders
    }

    /// The one that writes, once there is exactly one.
    pub(crate) async fn leader(&self) -> usize {
        let until = Instant::now() + PATIENCE;
        loop {
            if let [leader] = self.leaders().await[..] {
                return leader;
            }
            assert!(Instant::now() < until, "there is not one that writes");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A data directory that has the keys and has seen nothing; [`Self::begin`] starts its process.
    pub(crate) fn add_directory(&mut self, role: &'static str) -> usize {
        let n = self.roles.len();
        fs::create_dir(self.data(n)).unwrap();
        copy_keys(&self.data(0), &self.data(n), role != "api");
        self.roles.push(role);
        self.database_urls.push(self.database.url());
        n
    }

    /// Starts the process of the directory that was added last.
    pub(crate) fn begin(&mut self, n: usize) {
        assert_eq!(n, self.processes.len(), "one after the other");
        let process = self.spawn(n);
        self.processes.push(process);
    }

    /// What process `n` answers: status, whether it says when to ask again, and the body.
    pub(crate) async fn get(&self, n: usize, path: &str) -> (u16, bool, String) {
        let request = self.client.get(format!("{}{path}", self.processes[n].url));
        let answer = request.send().await.unwrap();
        let (status, wait) = (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after"),
        );
        (status, wait, answer.text().await.unwrap())
    }

    /// Waits until process `n` says this of itself.
    pub(crate) async fn until(&self, n: usize, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let state = self.state(n).await;
            if let Some(state) = state.as_ref().filter(|state| is(state)) {
                return state.clone();
            }
            assert!(
                Instant::now() < until,
                "process {n}: {what}: {state:?}\n{}",
                self.log(n)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A command beside the processes, with the data directory of process `n`; what it printed.
    pub(crate) fn run(&self, n: usize, args: &[&str]) -> Vec<u8> {
        let ran = self.try_run(n, args);
        assert!(ran.status.success(), "{args:?}: {ran:?}");
        ran.stdout
    }

    pub(crate) fn try_run(&self, n: usize, args: &[&str]) -> std::process::Output {
        self.command(n, args).output().unwrap()
    }

    /// A command beside the processes, with the data directory of process `n`, to be started.
    pub(crate) fn command(&self, n: usize, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_goodstanding"));
        command
            .args(args)
            .arg("--data")
            .arg(self.data(n))
            .env("GOODSTANDING_DATABASE_URL", &self.database_urls[n]);
        command
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, n: usize) {
        self.processes[n].end();
    }

    /// Starts it again, at another port.
    pub(crate) fn restart(&mut self, n: usize) {
        self.processes[n] = self.spawn(n);
    }

    /// The log's verifier key, as process `n` says.
    pub(crate) async fn key(&self, n: usize) -> VerifierKey {
        let url = format!("{}/v1/keys", self.processes[n].url);
        let keys: Value = self
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        verifier(keys["log"].as_str().unwrap())
    }
}

/// As an operator does it who adds a process, or rotated a key. One that never writes needs no key of the log.
pub(crate) fn copy_keys(from: &Path, to: &Path, with_log: bool) {
    fs::create_dir_all(to.join("keys")).unwrap();
    for file in fs::read_dir(from.join("keys")).unwrap() {
        let file = file.unwrap();
        if with_log || file.file_name() != "log.json" {
            fs::copy(file.path(), to.join("keys").join(file.file_name())).unwrap();
        }
    }
}

/// What was published, as far as that process knows.
fn copy_guard(from: &Path, to: &Path) {
    fs::copy(from.join("head.guard"), to.join("head.guard")).unwrap();
}
