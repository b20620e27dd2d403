//! What commands read: files, standard input, tokens.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    path::Path,
};

use super::output::{unreadable, unwritable};
use crate::code::{Code, Fault};

/// Nothing that is read whole is larger than this, bytes.
const MOST_BYTES: u64 = 64 << 20;

/// The text of a file, or of standard input for `-`.
pub(super) fn text(name: &str) -> Result<String, Fault> {
    String::from_utf8(bytes(name)?).map_err(|_| {
        Fault::new(
            Code::InputUnreadable,
            format!("{}: not UTF-8 text", shown(name)),
        )
    })
}

/// The bytes of a file, or of standard input for `-`.
fn bytes(name: &str) -> Result<Vec<u8>, Fault> {
    let read = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map(|_| bytes)
    };
    let bytes = if name == "-" {
        read(&mut io::stdin().lock())
    } else {
        File::open(name).and_then(|mut f| read(&mut f))
    };
    let bytes = bytes.map_err(|e| unreadable(shown(name), &e))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(Fault::new(
            Code::InputUnreadable,
            format!("{}: more than {MOST_BYTES} bytes", shown(name)),
        ));
    }
    Ok(bytes)
}

fn shown(name: &str) -> &str {
    if name == "-" { "standard input" } else { name }
}

/// The JSON document of a file, or of standard input for `-`, read as strictly as anything that gets signed.
pub(super) fn json(name: &str) -> Result<serde_json::Value, Fault> {
    let text = text(name)?;
    let parsed = goodstanding_verify::json::parse(text.as_bytes());
    Ok(parsed.map_err(|fault| {
        goodstanding_verify::Error::new(fault.code(), format!("{name}: {fault}"))
    })?)
}

/// A token given as a file, as `-`, or as itself. Its bytes are the presenter's: what is not text is a malformed token, for
/// the verifier to refuse, and not a file that cannot be read.
pub(super) fn token(given: &str) -> Result<String, Fault> {
    let text = if given == "-" || !given.contains('~') || Path::new(given).exists() {
        String::from_utf8_lossy(&bytes(given)?).into_owned()
    } else {
        given.to_owned()
    };
    Ok(text.trim().to_owned())
}

/// Writes a text to a file; nobody sees half of it.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let failed = |e: io::Error| unwritable(path.display(), &e);
    let name = path.file_name().ok_or_else(|| {
        Fault::new(
            Code::OutputUnwritable,
            format!("{} is no file name", path.display()),
        )
    })?;
    let beside = path.with_file_name(format!(
        ".{}.{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    written.map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        failed(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_file_or_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a~token");
        write(&path, "x~y~").unwrap();
        assert_eq!(token(path.to_str().unwrap()).unwrap(), "x~y~");
        assert_eq!(token(" a.b.c~d~ ").unwrap(), "a.b.c~d~");
        assert!(token("no-such-file").unwrap_err().is(Code::InputUnreadable));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
