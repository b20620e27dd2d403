//! Faults in single system calls: strace finds the calls that touch a directory, and makes one of them fail or kill.

use std::{
    collections::BTreeMap,
    fmt,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// No command of these tests works this long; its output fits a pipe.
const LONGEST: Duration = Duration::from_mins(2);

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Injection {
    /// It fails with this error and does nothing.
    Error(&'static str),
    /// The process is killed as it makes the call.
    Kill,
}

/// The `nth` call (from 1) of its kind on one path, counted by thread.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    /// Relative to the directory; empty = the directory itself.
    pub path: String,
    pub call: String,
    pub nth: usize,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{} on {:?}", self.call, self.nth, self.path)
    }
}

/// How a traced command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` = killed.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub trace: String,
}

/// A call as the trace shows it, at the line where it begins.
struct Call<'a> {
    thread: &'a str,
    name: &'a str,
    path: &'a str,
    line: &'a str,
}

/// The calls of a trace that name a path in `dir`, by argument or by descriptor; the first one if several.
fn calls<'a>(trace: &'a str, dir: &'a str) -> impl Iterator<Item = Call<'a>> {
    trace.lines().filter_map(move |line| {
        let (thread, rest) = line.split_once(' ')?;
        let rest = rest.trim_start();
        let (name, arguments) = rest.split_once('(')?;
        // `<... resumed>`, `+++ exited`, `--- SIGCHLD`: no beginning of a call.
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        let (_, after) = arguments.split_once(dir)?;
        let end = after.find(['"', '>'])?;
        let path = &after[..end];
        // Another directory whose name begins the same way.
        (path.is_empty() || path.starts_with('/')).then_some(Call {
            thread,
            name,
            path: path.trim_start_matches('/'),
            line,
        })
    })
}

/// Where `dir` is for a trace: without links in it.
fn canonical(dir: &Path) -> PathBuf {
    dir.canonicalize().unwrap()
}

/// Runs a command to its end, which must come: one that hangs is killed and fails the test.
pub(crate) fn output_of(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace is needed for this test: `make setup` installs it");
    let deadline = Instant::now() + LONGEST;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("{command:?} hangs: {output:?}");
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    child.wait_with_output().unwrap()
}

/// The program with these arguments: what begins with `@` is a path in `dir`, and the data directory is `dir` itself unless
/// the arguments name another.
pub(crate) fn command(mut command: Command, dir: &Path, arguments: &[&str]) -> Command {
    for argument in arguments {
        match argument.strip_prefix('@') {
            Some(name) => command.arg(dir.join(name)),
            None => command.arg(argument),
        };
    }
    if !arguments.contains(&"--data") {
        command.arg("--data").arg(dir);
    }
    command.env("RUST_LOG", "off").env("RUST_BACKTRACE", "0");
    command
}

fn run(dir: &Path, options: &[&str], arguments: &[&str]) -> Ended {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-y", "-o"])
        .arg(trace.path())
        .args(options)
        .arg(env!("CARGO_BIN_EXE_goodstanding"));
    let output = output_of(&mut command(strace, dir, arguments));
    let killed = output.status.signal();
    assert!(
        killed.is_none_or(|signal| signal == 9),
        "strace ended by signal {killed:?}"
    );
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        trace: std::fs::read_to_string(trace.path()).unwrap(),
    }
}

/// Runs the command without a fault and lists every file, descriptor and sync call on `dir`; also how many there were in
/// all threads together.
pub(crate) fn sites(dir: &Path, arguments: &[&str]) -> (Vec<Site>, usize) {
    std::fs::create_dir_all(dir).unwrap();
    let dir = canonical(dir);
    let ended = run(&dir, &["-e", "trace=%file,%desc"], arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut by_thread: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for call in calls(&ended.trace, dir.to_str().unwrap()) {
        // The command itself names the directory; it is not yet a call of the program.
        if call.name != "execve" {
            *by_thread
                .entry((call.path, call.name, call.thread))
                .or_default() += 1;
        }
    }
    let all = by_thread.values().sum();
    let mut most: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for ((path, name, _), count) in by_thread {
        let most = most.entry((path, name)).or_default();
        *most = count.max(*most);
    }
    let sites = most
        .into_iter()
        .flat_map(|((path, call), count)| {
            (1..=count).map(move |nth| Site {
                path: path.to_owned(),
                call: call.to_owned(),
                nth,
            })
        })
        .collect();
    (sites, all)
}

/// Runs the command with a fault at `site`, and makes sure from the trace that it struck there.
///
/// strace counts by thread: an error strikes in each thread that makes its `nth` such call, a kill in the first. Returns
/// `None` when no thread got there: what threads share among themselves differs from run to run.
pub(crate) fn inject(
    dir: &Path,
    arguments: &[&str],
    site: &Site,
    injection: Injection,
) -> Option<Ended> {
    std::fs::create_dir_all(dir).unwrap();
    let dir = canonical(dir);
    let path = if site.path.is_empty() {
        dir.clone()
    } else {
        dir.join(&site.path)
    };
    let what = match injection {
        Injection::Error(error) => format!("error={error}"),
        Injection::Kill => "signal=SIGKILL".to_owned(),
    };
    let options = [
        "-P",
        path.to_str().unwrap(),
        "-e",
        &format!("trace={}", site.call),
        "-e",
        &format!("inject={}:{what}:when={}", site.call, site.nth),
    ];
    let ended = run(&dir, &options, arguments);
    let mut by_thread: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut reached, mut struck) = (false, false);
    let mut waiting = None;
    for call in calls(&ended.trace, dir.to_str().unwrap()) {
        let on_path = call.path == site.path || call.line.contains(path.to_str().unwrap());
        assert!(
            call.name == site.call && on_path,
            "the trace shows another call than {site}: {}",
            call.line
        );
        let count = by_thread.entry(call.thread).or_default();
        *count += 1;
        if *count == site.nth {
            reached = true;
            struck |= call.line.contains("(INJECTED)");
            if call.line.contains("<unfinished") {
                waiting = Some(call.thread.to_owned());
            }
        } else {
            assert!(
                !call.line.contains("(INJECTED)"),
                "injected elsewhere than at {site}: {}",
                call.line
            );
        }
    }
    if !reached {
        assert!(
            ended.code.is_some(),
            "{site}: killed without the call\n{}",
            ended.trace
        );
        return None;
    }
    match injection {
        Injection::Kill => assert!(
            ended.code.is_none() && ended.trace.contains("+++ killed by SIGKILL +++"),
            "{site}: not killed\n{}",
            ended.trace
        ),
        Injection::Error(_) => {
            // Another thread's line came between the call and its end.
            let resumed = waiting.is_some_and(|thread| {
                ended.trace.lines().any(|line| {
                    line.starts_with(&thread)
                        && line.contains("resumed>")
                        && line.contains("(INJECTED)")
                })
            });
            assert!(
                struck || resumed,
                "{site}: no fault in the trace\n{}",
                ended.trace
            );
        }
    }
    Some(ended)
}
