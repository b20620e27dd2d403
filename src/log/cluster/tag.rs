//! Which job an answer is to. The number of a job does not say it: the table of jobs is not logged, so that a crash of the server
//! empties it and its numbers begin again, while processes still wait for answers under the old ones.

use crate::code::{Code, Fault};

/// Random, before every job and again before its answer.
pub(super) type Tag = [u8; 16];

/// For a new job.
///
/// # Errors
/// `internal` without random bytes.
pub(super) fn new() -> Result<Tag, Fault> {
    let mut tag = Tag::default();
    getrandom::fill(&mut tag)
        .map_err(|e| Fault::new(Code::Internal, format!("no random bytes: {e}")))?;
    Ok(tag)
}

/// A job or an answer as it is sent.
pub(super) fn put(tag: &Tag, bytes: &[u8]) -> Vec<u8> {
    [tag, bytes].concat()
}

/// The tag, and what it was put before. Without one, a tag that no job has.
pub(super) fn take(bytes: &[u8]) -> (Tag, &[u8]) {
    match bytes.split_first_chunk() {
        Some((tag, rest)) => (*tag, rest),
        None => (Tag::default(), bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken() {
        let (one, other) = (new().unwrap(), new().unwrap());
        assert_ne!(one, other);
        assert_eq!(take(&put(&one, b"job")), (one, b"job".as_slice()));
        assert_eq!(take(b"short"), (Tag::default(), b"short".as_slice()));
    }
}
