//! Words as a shell takes them, for commands that the reader may copy.

/// How the reader called this program: its name if it is on the path, else where it is.
pub(super) fn program() -> String {
    let called = std::env::args()
        .next()
        .unwrap_or_else(|| "goodstanding".into());
    if !called.contains(std::path::MAIN_SEPARATOR) {
        return called;
    }
    std::path::absolute(&called).map_or(called, |path| path.to_string_lossy().into_owned())
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words() {
        assert_eq!(quoted("/tmp/a-b.c"), "/tmp/a-b.c");
        assert_eq!(quoted("/tmp/it's here"), r"'/tmp/it'\''s here'");
    }
}
