//! The newest checkpoint: signed, witnessed, and an extension of everything seen before.

use goodstanding_verify::{
    b64,
    checkpoint::{Checkpoint, SignedCheckpoint},
    code::Code as VerifyCode,
    merkle::Hash,
    note::VerifierKey,
};

use super::{
    finding::{Disagreement, Failure, Place},
    run::{Options, Witnessed},
    source::{ServedPolicy, Source},
    state::{Seen, State},
    tree::Tree,
};
use crate::code::{Code, Fault};

/// What a checkpoint has to keep to.
pub(super) struct Seeking<'a> {
    /// Who serves it.
    pub(super) source: &'a dyn Source,
    /// Who has to have cosigned it.
    pub(super) policy: Option<&'a ServedPolicy>,
    /// Checkpoints that the auditor was given beside those remembered.
    pub(super) known: &'a [Seen],
    /// What the auditor asks for.
    pub(super) options: &'a Options,
}

/// A checkpoint that keeps to it.
pub(super) struct Head<'s> {
    /// Its tree.
    pub(super) tree: Tree<'s>,
    /// Its root.
    pub(super) root: Hash,
    /// The signed note.
    pub(super) note: String,
    /// Who cosigned it.
    pub(super) witnesses: Option<Witnessed>,
    /// Checkpoints that the source published on its way here, of more entries than were audited before.
    pub(super) published: Vec<Seen>,
}

impl<'a> Seeking<'a> {
    /// The newest checkpoint. It is remembered.
    ///
    /// # Errors
    /// `audit.checkpoint_invalid`, `audit.log_shrunk`, `audit.log_forked`, and what the source says.
    pub(super) async fn head(&self, state: &mut State) -> Result<Head<'a>, Failure> {
        let note = self.source.checkpoint().await?;
        let (signed, checkpoint) = verified(&note, &state.log)?;
        let witnesses = match self.policy {
            None => None,
            Some(policy) => Some(witnessed(policy, &signed, &note)?),
        };
        let seen: Vec<Seen> = state
            .newest()
            .into_iter()
            .chain(self.known)
            .cloned()
            .collect();
        for seen in &seen {
            not_behind(seen, &checkpoint, &note)?;
        }
        // Those of the same size are looked at first: two roots are a fork whatever the tiles say.
        let same = state.promised(checkpoint.size).into_iter();
        for same in same.chain(self.known.iter().filter(|s| s.size == checkpoint.size)) {
            extends(same, checkpoint.root, &note)?;
        }
        let mut tree = Tree::open(self.source, checkpoint.size, checkpoint.root).await?;
        for seen in &seen {
            extends(seen, tree.root_at(seen.size).await?, &note)?;
        }
        let mut head = Head {
            tree,
            root: checkpoint.root,
            note: note.clone(),
            witnesses,
            published: Vec::new(),
        };
        self.published(state, &mut head).await?;
        state.remember(Seen {
            size: checkpoint.size,
            root: b64::std_encode(checkpoint.root),
            at_s: self.options.now_s,
            note,
        });
        if let Some(path) = &self.options.state {
            state.save(path)?;
        }
        Ok(head)
    }

    /// Every checkpoint that the source says was published is a beginning of the tree: at once where the entries were
    /// audited before, on the way where they are still to come.
    async fn published(&self, state: &State, head: &mut Head<'_>) -> Result<(), Failure> {
        let mut from = 0;
        loop {
            let page = self.source.checkpoints(from).await?;
            if page.is_empty() {
                return Ok(());
            }
            // One for each page: a tree keeps what it has read, and old checkpoints are everywhere in it.
            let (size, root) = (head.tree.size(), head.root);
            let mut tree = None;
            for note in page {
                let (_, checkpoint) = verified(&note, &state.log)?;
                if checkpoint.size < from {
                    let place = Place::Checkpoint(checkpoint.size);
                    let detail = "published checkpoints are out of order";
                    return Err(Failure::at(Code::AuditCheckpoint, place, detail));
                }
                from = checkpoint.size.saturating_add(1);
                // Published while we look.
                if checkpoint.size > size {
                    return Ok(());
                }
                let seen = Seen {
                    size: checkpoint.size,
                    root: b64::std_encode(checkpoint.root),
                    at_s: self.options.now_s,
                    note,
                };
                if seen.size > state.frontier.size() {
                    head.published.push(seen);
                } else {
                    let tree = match &mut tree {
                        Some(tree) => tree,
                        None => tree.insert(Tree::open(self.source, size, root).await?),
                    };
                    extends(&seen, tree.root_at(seen.size).await?, &head.note)?;
                }
            }
        }
    }
}

/// A note as this log's checkpoint.
fn verified(note: &str, log: &VerifierKey) -> Result<(SignedCheckpoint, Checkpoint), Failure> {
    let signed = SignedCheckpoint::parse(note).map_err(|e| wrong(note, e))?;
    let checkpoint = signed.verify_log(log).map_err(|e| wrong(note, e))?.clone();
    Ok((signed, checkpoint))
}

fn wrong(note: &str, error: goodstanding_verify::Error) -> Failure {
    let place = Place::Checkpoint(size_in(note));
    let found = Disagreement::caused(Code::AuditCheckpoint, place, &Fault::from(error));
    found.with_notes([note.to_owned()]).into()
}

/// Who cosigned. Too few are a disagreement, unless the log says that it goes on without them.
fn witnessed(
    served: &ServedPolicy,
    signed: &SignedCheckpoint,
    note: &str,
) -> Result<Witnessed, Failure> {
    match served.policy.evaluate(signed) {
        Ok(quorum) => Ok(Witnessed {
            required: quorum.required,
            met: true,
            total: quorum.total,
            cosigned: quorum.witnesses,
        }),
        Err(error) if served.fails_open && error.code() == VerifyCode::CheckpointQuorumMissed => {
            Ok(Witnessed {
                required: true,
                met: false,
                total: served.policy.witnesses().count(),
                cosigned: Vec::new(),
            })
        }
        Err(error) => Err(wrong(note, error)),
    }
}

/// The size that a note claims, for the place of an error.
pub(super) fn size_in(note: &str) -> u64 {
    let size = note.lines().nth(1);
    size.and_then(|size| size.parse().ok()).unwrap_or(0)
}

/// A log does not become smaller.
fn not_behind(newest: &Seen, now: &Checkpoint, note: &str) -> Result<(), Failure> {
    if now.size >= newest.size {
        return Ok(());
    }
    let detail = format!(
        "it has {} entries, but one of {} was signed before (root {}, seen at {})",
        now.size, newest.size, newest.root, newest.at_s
    );
    let found = Disagreement::new(Code::AuditShrunk, Place::Checkpoint(now.size), detail);
    Err(found
        .with_notes([newest.note.clone(), note.to_owned()])
        .into())
}

/// The newer tree has to have the older one as its beginning.
///
/// # Errors
/// `audit.log_forked` with both notes.
pub(super) fn extends(older: &Seen, root_then: Hash, note: &str) -> Result<(), Failure> {
    if older.hash() == Some(root_then) {
        return Ok(());
    }
    let detail = format!(
        "its first {} entries have root {}, but {} was signed for them before (seen at {})",
        older.size,
        b64::std_encode(root_then),
        older.root,
        older.at_s
    );
    let place = Place::Checkpoint(size_in(note));
    let found = Disagreement::new(Code::AuditForked, place, detail);
    Err(found
        .with_notes([older.note.clone(), note.to_owned()])
        .into())
}
