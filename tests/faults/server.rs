//! The real binary as a child process that can be killed.

use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// A running `goodstanding serve`.
pub(crate) struct Server {
    pub child: Child,
    pub url: String,
}

impl Server {
    /// Starts it on a free port and waits until it answers.
    pub(crate) fn start(data: &Path, wrap: &[&str]) -> Self {
        Self::start_at(data, data, wrap)
    }

    /// The same with its own log in the folder `log`.
    pub(crate) fn start_at(data: &Path, log: &Path, wrap: &[&str]) -> Self {
        let mut server = Self::spawn_at(data, log, wrap);
        if let Err(status) = server.reachable() {
            panic!(
                "serve ended with {status}: {}",
                std::fs::read_to_string(log.join("server.log")).unwrap()
            );
        }
        server
    }

    /// Waits until it takes connections; how it ended if it does not.
    pub(crate) fn reachable(&mut self) -> Result<(), ExitStatus> {
        let address = self.url.trim_start_matches("http://").to_owned();
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(&address).is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(status);
            }
            assert!(Instant::now() < deadline, "serve does not answer");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Starts it on a free port, and does not wait for anything; its own log goes into the folder `log`.
    pub(crate) fn spawn_at(data: &Path, log: &Path, wrap: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let binary = env!("CARGO_BIN_EXE_goodstanding");
        let mut words: Vec<&str> = wrap.to_vec();
        words.push(binary);
        let child = Command::new(words[0])
            .args(&words[1..])
            .args([
                "serve",
                "--issuer",
                "https://issuer.example",
                "--origin",
                "log.example",
                "--data",
            ])
            .arg(data)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(
                std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(log.join("server.log"))
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// SIGKILL: no destructor, no flush, nothing.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
