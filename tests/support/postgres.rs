//! PostgreSQL for tests: a database of one's own on the server that `.ci/with-postgres` brought up, or a whole server.

use std::{
    fmt::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use goodstanding::store::postgres::{Options, PostgresStore};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

const VARIABLE: &str = "GOODSTANDING_TEST_POSTGRES";
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The URL of a database for administration.
pub fn server() -> String {
    std::env::var(VARIABLE).unwrap_or_else(|_| {
        panic!("{VARIABLE} is not set: run `.ci/with-postgres cargo test …` (or `make unit`), or set it to the URL of a server on which a superuser may make databases")
    })
}

/// An empty database, dropped with this.
pub struct Database {
    server: String,
    pub name: String,
}

impl Database {
    pub async fn new() -> Self {
        Self::on(server()).await
    }

    /// On this server.
    pub async fn on(server: String) -> Self {
        Self::like(server, "template0 ENCODING 'UTF8'").await
    }

    /// A copy, as long as nobody is connected to this one.
    pub async fn copy(&self) -> Self {
        Self::like(self.server.clone(), &self.name).await
    }

    async fn like(server: String, template: &str) -> Self {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("goodstanding_{}_{number}", std::process::id());
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        execute(&server, &create).await;
        Self { server, name }
    }

    /// As the server's superuser.
    pub fn url(&self) -> String {
        let mut url = reqwest::Url::parse(&self.server).unwrap();
        url.set_path(&self.name);
        url.into()
    }

    /// As a role.
    pub fn url_as(&self, role: &str, password: &str) -> String {
        let mut url = reqwest::Url::parse(&self.url()).unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some(password)).unwrap();
        url.into()
    }

    pub async fn execute(&self, sql: &str) {
        execute(&self.url(), sql).await;
    }

    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// A store with its schema.
    pub async fn store(&self) -> PostgresStore {
        let migrate = Options {
            migrate: true,
            ..Options::default()
        };
        PostgresStore::connect(&self.url(), migrate).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // A test's runtime cannot be waited on from inside it.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(execute(&server, &drop));
        });
        let done = dropped.join().is_ok() || std::thread::panicking();
        assert!(done, "{} could not be dropped", self.name);
    }
}

/// Runs statements, separated by semicolons, on a connection of its own.
pub async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
    done.await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    connection.close().await.unwrap();
}

/// A server of one's own, on loopback, gone with this: for what cannot be done to one that others use.
pub struct Cluster {
    dir: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    password: String,
    settings: Vec<(String, String)>,
    /// Where the data are instead, the write-ahead log apart.
    elsewhere: Option<PathBuf>,
    server: Option<Child>,
}

impl Cluster {
    /// With settings besides the defaults, as in `postgresql.conf`.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(None, settings)
    }

    /// With the data in a folder that the server's user can make, and the write-ahead log outside it.
    pub fn start_in(elsewhere: Option<PathBuf>, settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("goodstanding-pg.")
            .tempdir()
            .unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).unwrap();
        let mut password = String::new();
        for byte in bytes {
            write!(password, "{byte:02x}").unwrap();
        }
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut cluster = Self {
            dir,
            bin: bin(),
            port,
            password,
            settings: settings.iter().map(own).collect(),
            elsewhere,
            server: None,
        };
        cluster.init();
        cluster.run();
        cluster
    }

    pub fn url(&self) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://goodstanding:{password}@127.0.0.1:{port}/postgres")
    }

    /// The server's files.
    pub fn data(&self) -> PathBuf {
        let elsewhere = self.elsewhere.clone();
        elsewhere.unwrap_or_else(|| self.dir.path().join("data"))
    }

    /// Ends the server without a checkpoint, as a crash would.
    pub fn crash(&mut self) {
        self.stop("immediate");
    }

    /// Starts it again after a stop or a crash, and waits until it answers.
    pub fn run(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-k"])
            .arg(self.dir.path())
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "shared_buffers=32MB"]);
        for (key, value) in &self.settings {
            command.args(["-c", &format!("{key}={value}")]);
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.server = Some(command.spawn().unwrap());
        let end = Instant::now() + Duration::from_mins(1);
        let ready = || {
            let mut ready = Command::new(self.bin.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            ready.status().unwrap().success()
        };
        while !ready() {
            assert!(Instant::now() < end, "no server:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn stop(&mut self, mode: &str) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let mut stop = self.command("pg_ctl");
        stop.arg("-D").arg(self.data());
        stop.args(["-m", mode, "-w", "stop"]).stdout(Stdio::null());
        if !stop.status().is_ok_and(|status| status.success()) {
            let _ = server.kill();
        }
        let _ = server.wait();
    }

    fn init(&self) {
        let password = self.dir.path().join("password");
        std::fs::write(&password, &self.password).unwrap();
        if let Some((uid, gid)) = other_user() {
            for path in [self.dir.path(), &password] {
                std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
            }
        }
        let mut init = self.command("initdb");
        init.arg("-D").arg(self.data());
        init.args(["-U", "goodstanding", "-E", "UTF8", "--locale=C"]);
        init.args(["--auth=scram-sha-256", "--no-sync"]);
        init.arg(format!("--pwfile={}", password.display()));
        if self.elsewhere.is_some() {
            let wal = self.dir.path().join("wal");
            init.arg(format!("--waldir={}", wal.display()));
        }
        let done = init.output().unwrap();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "initdb: {errors}");
        std::fs::remove_file(password).unwrap();
    }

    /// A program of PostgreSQL's, which refuse to run as root. The server ends when the test's process does, however it does.
    fn command(&self, program: &str) -> Command {
        let mut command = unprivileged("INT");
        command.arg(self.bin.join(program));
        command.current_dir(self.dir.path()).process_group(0);
        command
    }
}

/// As the user that servers run as, for as long as whoever starts it lives; what to run is to be added.
fn unprivileged(signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal]);
    if let Some((uid, gid)) = other_user() {
        command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string()]);
        command.arg("--clear-groups");
    }
    command.arg("--");
    command
}

/// A file system in memory that a server may have for itself, gone with this.
pub struct SmallDisk {
    holder: Child,
}

impl SmallDisk {
    /// `None` where a process may not mount one.
    pub fn new(mib: u32) -> Option<Self> {
        let script =
            format!("mount -t tmpfs -o mode=755,size={mib}m none /mnt && exec sleep 100000");
        let holder = unprivileged("KILL")
            .args(["unshare", "-r", "-m", "sh", "-c", &script])
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut disk = Self { holder };
        let name = format!("/proc/{}/comm", disk.holder.id());
        let end = Instant::now() + Duration::from_secs(20);
        while std::fs::read_to_string(&name).ok()?.trim() != "sleep" {
            if disk.holder.try_wait().unwrap().is_some() || Instant::now() > end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(disk)
    }

    /// As seen from outside the namespace that it is mounted in.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/mnt", self.holder.id()))
    }

    /// Takes all the room but so many KiB.
    pub fn fill(&self, but_kib: u32) {
        let script = "dd if=/dev/zero of=\"$0\" bs=64k 2>/dev/null; truncate -s \"-$1\" \"$0\"";
        let mut fill = unprivileged("KILL");
        fill.args(["sh", "-c", script]).arg(self.ballast());
        fill.arg(format!("{but_kib}K"));
        assert!(fill.status().unwrap().success());
    }

    /// Gives it back.
    pub fn free(&self) {
        let mut free = unprivileged("KILL");
        free.arg("rm").arg(self.ballast());
        assert!(free.status().unwrap().success());
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop("immediate");
    }
}

/// The user to run a server as, when this runs as root.
fn other_user() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody"))
}

/// A client program of the newest installed server.
pub fn tool(name: &str) -> PathBuf {
    bin().join(name)
}

/// Where the newest installed server's programs are.
fn bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max();
    let debian = newest.map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path)
        .map(|dir| dir.join("initdb"))
        .filter_map(|initdb| initdb.canonicalize().ok())
        .filter_map(|initdb| initdb.parent().map(Path::to_owned));
    debian
        .into_iter()
        .chain(in_path)
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
        .expect("PostgreSQL is not installed: apt-get install postgresql")
}
