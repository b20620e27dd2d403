//! `aics-witness`, a witness of somebody else's making, as a process of its own.

use std::{
    fs::OpenOptions,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use goodstanding_verify::note::VerifierKey;
use serde_json::Value;

use crate::tools;

/// A witness with its state in a directory of its own, running or not.
pub(crate) struct ForeignWitness {
    pub(crate) vkey: VerifierKey,
    directory: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

fn aics_witness(args: &[&str]) -> Command {
    let mut command = Command::new(tools::venv("aics-witness"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

impl ForeignWitness {
    /// A witness that trusts this log, already running.
    pub(crate) fn start(name: &str, log: &VerifierKey) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = directory.path().join("witness.json");
        let config = config.to_str().unwrap();
        let full = format!("witness.example/{name}");
        let listen = format!("127.0.0.1:{port}");
        let said = run(&[
            "init", "--config", config, "--name", &full, "--listen", &listen,
        ]);
        let vkey = VerifierKey::parse(said.trim()).unwrap();
        let log_key = log.to_string();
        run(&[
            "add-log",
            "--config",
            config,
            "--origin",
            log.name(),
            "--vkey",
            &log_key,
        ]);
        let mut witness = Self {
            vkey,
            directory,
            port,
            child: None,
        };
        witness.restart();
        witness
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("witness.json")
    }

    /// Its line of a witness policy.
    pub(crate) fn policy_line(&self, short: &str) -> String {
        format!(
            "witness {short} {} http://127.0.0.1:{}\n",
            self.vkey, self.port
        )
    }

    /// Starts it, if it does not run, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        let log = self.directory.path().join("witness.log");
        let open = || {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap()
        };
        let child = aics_witness(&["serve", "--config"])
            .arg(self.config())
            .stdout(Stdio::null())
            .stderr(open())
            .spawn();
        let child = self.child.insert(child.unwrap());
        let deadline = Instant::now() + Duration::from_mins(1);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let said = || std::fs::read_to_string(&log).unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the witness ended with {status}: {}", said());
            }
            assert!(
                Instant::now() < deadline,
                "the witness does not answer: {}",
                said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it: connections are refused from now on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that is paused is killed as well.
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// It accepts connections and says nothing.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args([signal, &process]).status();
        assert!(status.unwrap().success());
    }

    /// It loses everything but its key, and starts again from nothing.
    pub(crate) fn forget(&mut self) {
        self.kill();
        for file in ["witness.db", "witness.db-wal", "witness.db-shm"] {
            let _ = std::fs::remove_file(self.directory.path().join(file));
        }
        let config = self.config();
        run(&[
            "init",
            "--new-database",
            "--config",
            config.to_str().unwrap(),
        ]);
        self.restart();
    }

    /// Size of our log that it cosigned last.
    pub(crate) fn size(&self) -> u64 {
        let config = self.config();
        let said = run(&["status", "--json", "--config", config.to_str().unwrap()]);
        let status: Value = serde_json::from_str(&said).unwrap();
        status["logs"][0]["size"].as_u64().unwrap_or(0)
    }

    /// Requests that our log signed and that contradict what it had cosigned: proof of a fork.
    pub(crate) fn evidence(&self) -> Vec<Value> {
        let config = self.config();
        let said = run(&["evidence", "--config", config.to_str().unwrap()]);
        serde_json::from_str(&said).unwrap()
    }
}

impl Drop for ForeignWitness {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn run(args: &[&str]) -> String {
    let out = aics_witness(args).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "aics-witness {args:?}: {said}");
    String::from_utf8(out.stdout).unwrap()
}
