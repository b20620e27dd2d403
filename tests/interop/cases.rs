//! What the judges are asked: everything a log gives away, to be accepted, and the same tampered with, to be refused.

use std::collections::BTreeSet;

use goodstanding::{keys::SecretKey, log::sign::LogSigner};
use goodstanding_verify::{
    b64,
    merkle::{Hash, leaf_hash, root},
    note::{KeyKind, VerifierKey, cosignature_message},
    proof::TlogProof,
    tile::{TILE_WIDTH, TileId, TilePath},
};
use serde_json::{Map, Value, json};

use crate::{
    altered::{Alteration, Alterations},
    published::{Published, size_and_root},
};

/// What a judge should say.
pub(crate) enum Expected {
    /// Accepted, and these members read from it.
    Accepted(Map<String, Value>),
    Refused,
}

/// One question.
pub(crate) struct Case {
    pub(crate) json: Value,
    pub(crate) expected: Expected,
}

impl Case {
    fn new(name: &str, kind: &str, mut json: Value, expected: Expected) -> Self {
        json["name"] = format!("{kind}: {name}").into();
        json["kind"] = kind.into();
        Self { json, expected }
    }

    pub(crate) fn name(&self) -> &str {
        self.json["name"].as_str().unwrap()
    }

    pub(crate) fn kind(&self) -> &str {
        self.json["kind"].as_str().unwrap()
    }
}

fn accepted() -> Expected {
    Expected::Accepted(Map::new())
}

/// The text with one bit of one byte changed; `None` where that is no text any more.
fn flipped(text: &str, at: usize) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] ^= 1;
    String::from_utf8(bytes).ok()
}

fn flipped_hash(hash: &Hash) -> Hash {
    let mut hash = *hash;
    hash[17] ^= 0x10;
    hash
}

/// A signature line under any key name and id.
fn signature_line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    let blob = b64::std_encode([&id, signature].concat());
    format!("\u{2014} {name} {blob}\n")
}

/// A witness's line over a signed checkpoint.
pub(crate) fn cosignature_line(witness: &SecretKey, name: &str, note: &str, time: u64) -> String {
    let public = witness.public();
    let key = VerifierKey::new(name, KeyKind::CosignatureV1, public.as_bytes()).unwrap();
    let text = format!("{}\n", note.split_once("\n\n").unwrap().0);
    let signature = witness.sign(cosignature_message(time, &text).as_bytes());
    let timed = [&time.to_be_bytes()[..], &signature].concat();
    signature_line(name, key.key_id(), &timed)
}

/// Checkpoints as published, with lines of strangers, and forged in every part.
pub(crate) fn checkpoints(log: &Published) -> Vec<Case> {
    let vkey = log.signer.vkey();
    let case = |name: &str, note: &str, expected| {
        Case::new(
            name,
            "checkpoint",
            json!({"vkey": vkey, "note": note}),
            expected,
        )
    };
    let good = |name: &str, note: &str| {
        let (size, root) = size_and_root(note);
        let read = json!({"size": size, "root": b64::std_encode(root)});
        let Value::Object(read) = read else {
            unreachable!("an object")
        };
        case(name, note, Expected::Accepted(read))
    };
    let mut cases = Vec::new();
    for note in &log.checkpoints {
        cases.push(good(
            &format!("published at {}", size_and_root(note).0),
            note,
        ));
    }
    let newest = log.newest();
    let witness = SecretKey::from_seed(&[7; 32]);
    let line = cosignature_line(&witness, "witness.example/w", newest, 1_767_225_600);
    cases.push(good("with a cosignature", &format!("{newest}{line}")));
    let other = signature_line("stranger.example", [1, 2, 3, 4], &[0; 64]);
    cases.push(good("with a stranger's line", &format!("{newest}{other}")));

    let bad = |name: &str, note: &str| case(name, note, Expected::Refused);
    let (text, _) = newest.split_once("\n\n").unwrap();
    for at in 0..=text.len() {
        let note = flipped(newest, at).unwrap();
        cases.push(bad(&format!("text with byte {at} flipped"), &note));
    }
    // Key id and signature in base64; the last digit's low bits are padding.
    let line = newest.rfind(' ').unwrap() + 1;
    for at in (line..newest.len() - 3).step_by(3) {
        let note = flipped(newest, at).unwrap();
        cases.push(bad(&format!("signature with byte {at} flipped"), &note));
    }
    let (size, root) = size_and_root(newest);
    let origin = log.signer.origin();
    let impostor = SecretKey::from_seed(&[8; 32]);
    cases.push(bad(
        "another key under our name",
        &LogSigner::new(origin, impostor.clone()).checkpoint(size, &root),
    ));
    let signed = format!("{text}\n");
    let our_id = goodstanding_verify::note::key_id(
        origin,
        KeyKind::Ed25519,
        log.log_key.public().as_bytes(),
    );
    let forged = signature_line(origin, our_id, &impostor.sign(signed.as_bytes()));
    cases.push(bad(
        "another key under our key id",
        &format!("{signed}\n{forged}"),
    ));
    let renamed = signed.replacen(origin, "other.example/log", 1);
    let line = signature_line(origin, our_id, &log.log_key.sign(renamed.as_bytes()));
    cases.push(bad(
        "another origin under our key",
        &format!("{renamed}\n{line}"),
    ));
    cases.push(bad(
        "only a witness",
        &format!("{signed}\n{}", {
            cosignature_line(&witness, "witness.example/w", newest, 1_767_225_600)
        }),
    ));
    let (older, _) = log.checkpoints[0].split_once("\n\n").unwrap();
    let (_, lines) = newest.split_once("\n\n").unwrap();
    cases.push(bad(
        "an older text, newer signature",
        &format!("{older}\n\n{lines}"),
    ));
    cases
}

/// The service's proofs, and three of them with every part changed.
pub(crate) fn inclusion(log: &Published) -> Vec<Case> {
    let vkey = log.signer.vkey();
    let case = |name: &str, proof: &str, entry: &[u8], expected| {
        let json = json!({"vkey": vkey, "receipt": proof, "entry": b64::std_encode(entry)});
        Case::new(name, "inclusion", json, expected)
    };
    let mut cases = Vec::new();
    for (name, index, proof) in &log.proofs {
        let entry = &log.entries[usize::try_from(*index).unwrap()];
        cases.push(case(name, proof, entry, accepted()));
    }
    let reports: Vec<_> = log
        .proofs
        .iter()
        .filter(|p| p.0.starts_with("report"))
        .collect();
    for (name, index, text) in [
        reports[1],
        reports[reports.len() / 2],
        reports[reports.len() - 1],
    ] {
        let index = usize::try_from(*index).unwrap();
        let entry = &log.entries[index];
        let proof = TlogProof::parse(text).unwrap();
        let mut bad = |what: &str, proof: &TlogProof, entry: &[u8]| {
            let text = proof.to_string();
            cases.push(case(
                &format!("{name}, {what}"),
                &text,
                entry,
                Expected::Refused,
            ));
        };
        let with = |change: &dyn Fn(&mut TlogProof)| {
            let mut changed = proof.clone();
            change(&mut changed);
            changed
        };
        for n in 0..proof.path.len() {
            let hash = flipped_hash(&proof.path[n]);
            bad(
                &format!("hash {n} flipped"),
                &with(&|p| p.path[n] = hash),
                entry,
            );
            bad(
                &format!("hash {n} missing"),
                &with(&|p| {
                    p.path.remove(n);
                }),
                entry,
            );
            let twice = proof.path[n];
            bad(
                &format!("hash {n} twice"),
                &with(&|p| p.path.insert(n, twice)),
                entry,
            );
        }
        let extra = leaf_hash(b"surplus");
        bad(
            "a surplus hash at the end",
            &with(&|p| p.path.push(extra)),
            entry,
        );
        bad(
            "a surplus hash in front",
            &with(&|p| p.path.insert(0, extra)),
            entry,
        );
        bad(
            "the root as surplus",
            &with(&|p| p.path.push(root(&log.leaves))),
            entry,
        );
        bad("no path", &with(&|p| p.path.clear()), entry);
        bad("two hashes swapped", &with(&|p| p.path.swap(0, 1)), entry);
        for other in [
            index ^ 1,
            index ^ 2,
            index + 256,
            log.entries.len(),
            1 << 40,
        ] {
            let index = other as u64;
            bad(
                &format!("index {other}"),
                &with(&|p| p.index = index),
                entry,
            );
        }
        bad("the next entry", &proof, &log.entries[index ^ 1]);
        let mut bent = entry.clone();
        bent[20] ^= 1;
        bad("an entry with one bit flipped", &proof, &bent);
        // Checkpoints that the log's key has really signed: what refuses them is the tree, not the signature. A path alone does
        // not pin the size, so these sizes are ones in which it would have another length.
        let (size, hash) = size_and_root(&proof.checkpoint);
        for other in [size * 2, size / 2, 1, 0] {
            let note = log.signer.checkpoint(other, &hash);
            bad(
                &format!("size {other}"),
                &with(&|p| p.checkpoint.clone_from(&note)),
                entry,
            );
        }
        let note = log.signer.checkpoint(size, &flipped_hash(&hash));
        bad(
            "another root",
            &with(&|p| p.checkpoint.clone_from(&note)),
            entry,
        );
        let older = &log.checkpoints[2];
        bad(
            "an older checkpoint",
            &with(&|p| p.checkpoint.clone_from(older)),
            entry,
        );
        let note = flipped(&proof.checkpoint, proof.checkpoint.find('\n').unwrap() + 1).unwrap();
        bad(
            "the checkpoint flipped",
            &with(&|p| p.checkpoint.clone_from(&note)),
            entry,
        );
    }
    cases
}

/// The service's proofs between all published checkpoints, and between some that contradict each other.
pub(crate) fn consistency(log: &Published) -> Vec<Case> {
    let vkey = log.signer.vkey();
    let case = |name: String, old: &str, new: &str, proof: &[Hash], expected| {
        let proof: Vec<_> = proof.iter().map(b64::std_encode).collect();
        let json = json!({"vkey": vkey, "old": old, "note": new, "proof": proof});
        Case::new(&name, "consistency", json, expected)
    };
    let mut cases = Vec::new();
    for (n, old) in log.checkpoints.iter().enumerate() {
        for new in &log.checkpoints[n..] {
            let (from, to) = (size_and_root(old).0, size_and_root(new).0);
            let proof = &log.extensions[&(from, to)];
            cases.push(case(format!("{from} to {to}"), old, new, proof, accepted()));
        }
    }
    let new = log.newest();
    let (to, to_root) = size_and_root(new);
    for old in &log.checkpoints[1..4] {
        let (from, from_root) = size_and_root(old);
        let good = log.extensions[&(from, to)].clone();
        let mut bad = |what: &str, old: &str, new: &str, proof: &[Hash]| {
            let name = format!("{from} to {to}, {what}");
            cases.push(case(name, old, new, proof, Expected::Refused));
        };
        let with = |change: &dyn Fn(&mut Vec<Hash>)| {
            let mut proof = good.clone();
            change(&mut proof);
            proof
        };
        for n in 0..good.len() {
            let hash = flipped_hash(&good[n]);
            bad(
                &format!("hash {n} flipped"),
                old,
                new,
                &with(&|p| p[n] = hash),
            );
            bad(
                &format!("hash {n} missing"),
                old,
                new,
                &with(&|p| {
                    p.remove(n);
                }),
            );
        }
        let extra = leaf_hash(b"surplus");
        bad(
            "a surplus hash at the end",
            old,
            new,
            &with(&|p| p.push(extra)),
        );
        bad(
            "a surplus hash in front",
            old,
            new,
            &with(&|p| p.insert(0, extra)),
        );
        bad("no proof", old, new, &[]);
        bad("backwards", new, old, &good);
        // A log that shows one tree to one and another to the other.
        let split = log.signer.checkpoint(from, &flipped_hash(&from_root));
        bad("another old root", &split, new, &good);
        let split = log.signer.checkpoint(to, &flipped_hash(&to_root));
        bad("another new root", old, &split, &good);
        let other = &log.leaves[1..=usize::try_from(from).unwrap()];
        let split = log.signer.checkpoint(from, &root(other));
        bad("a history without the first entry", &split, new, &good);
        for other in [from - 1, from + 1, from * 2] {
            let moved = log.signer.checkpoint(other, &from_root);
            bad(&format!("old size {other}"), &moved, new, &good);
        }
        let split = log.signer.checkpoint(to, &from_root);
        bad("the same size and another root", &split, new, &[]);
    }
    cases
}

/// What a reader of leaf `index` in a tree of `size` has to fetch: its tile with all parents, and the right edge.
fn tiles_for(index: u64, size: u64) -> BTreeSet<TilePath> {
    let mut wanted = BTreeSet::new();
    for level in 0..4_u8 {
        let count = size >> (8 * u32::from(level));
        for n in [index >> (8 * (u32::from(level) + 1)), count / 256] {
            let id = TileId { level, n };
            if let Some(width) = id.width_in(size) {
                wanted.insert(id.path(width));
            }
        }
    }
    wanted
}

/// Reading the log from its tiles: as served, and with any one thing altered. The second part is for [`crate::altered::serve`], whose
/// URL is not known yet: `URL` stands for it.
pub(crate) fn tiles(log: &Published) -> (Vec<Case>, Alterations) {
    let vkey = log.signer.vkey();
    let size = log.size();
    let case = |name: &str, url: &str, indexes: &[u64], bundles: &[u64], expected| {
        let json = json!({
            "vkey": vkey, "note": log.newest(), "old": log.checkpoints[1], "url": url, "indexes": indexes, "bundles": bundles,
        });
        Case::new(name, "tiles", json, expected)
    };
    let read = |indexes: &[u64]| {
        let leaf = |index: &u64| b64::std_encode(log.leaves[usize::try_from(*index).unwrap()]);
        let leaves: Vec<_> = indexes.iter().map(leaf).collect();
        Expected::Accepted(Map::from_iter([("leaves".to_owned(), leaves.into())]))
    };
    let indexes: Vec<u64> = [
        0,
        1,
        254,
        255,
        256,
        257,
        511,
        512,
        size / 2,
        size - 2,
        size - 1,
    ]
    .into();
    let bundles = [0, 1, (size - 1) / 256];
    let mut cases = vec![case(
        "as served",
        &log.url,
        &indexes,
        &bundles,
        read(&indexes),
    )];
    let mut alterations = Alterations::new();
    let mut add = |path: String, alteration: Alteration, index: u64, bundles: &[u64]| {
        let honest = path.is_empty();
        let name = format!("altered-{}", alterations.len());
        let what = if honest {
            "nothing altered".to_owned()
        } else {
            format!("{path} {alteration:?}, reading {index}")
        };
        let expected = if honest {
            read(&[index])
        } else {
            Expected::Refused
        };
        cases.push(case(
            &what,
            &format!("URL/{name}"),
            &[index],
            bundles,
            expected,
        ));
        alterations.insert(name, (path, alteration));
    };
    for index in [3, 700, size - 1] {
        // The same way round without an alteration: what is refused below is refused for its alteration.
        add(String::new(), Alteration::Missing, index, &[index / 256]);
        for path in tiles_for(index, size) {
            let last = path.width * 32 - 1;
            let resource = format!("tile/{path}");
            for alteration in [
                Alteration::Flipped(0),
                Alteration::Flipped(last),
                Alteration::Flipped(last / 2),
                Alteration::Shortened(32),
                Alteration::Shortened(1),
                Alteration::Missing,
            ] {
                add(resource.clone(), alteration, index, &[]);
            }
        }
        // A leaf of the attacker's in its level-0 tile, everything else as it was (CVE-2026-56865).
        let tile = TileId {
            level: 0,
            n: index / 256,
        };
        let path = tile.path(tile.width_in(size).unwrap());
        let place = usize::try_from(index % 256).unwrap() * 32;
        let forged = leaf_hash(b"forged").to_vec();
        add(
            format!("tile/{path}"),
            Alteration::Written(place, forged),
            index,
            &[],
        );
        let width = path.width;
        let bundle = format!("tile/{}", TilePath::entries(tile.n, width));
        for alteration in [
            Alteration::Flipped(40),
            Alteration::Flipped(0),
            Alteration::Shortened(1),
            Alteration::Lengthened(2),
            Alteration::Missing,
        ] {
            add(bundle.clone(), alteration, index, &[tile.n]);
        }
        if width == TILE_WIDTH {
            let other = (tile.n + 1) % 2;
            let swap = |kind: &str| Alteration::Replaced(format!("tile/{kind}/{other:03}"));
            add(format!("tile/{path}"), swap("0"), index, &[]);
            add(bundle, swap("entries"), index, &[tile.n]);
        }
    }
    (cases, alterations)
}

/// One proof that is to be accepted.
pub(crate) fn proven(name: &str, log: &VerifierKey, proof: &str, entry: &[u8]) -> Case {
    let entry = b64::std_encode(entry);
    let json = json!({"vkey": log.to_string(), "receipt": proof, "entry": entry});
    Case::new(name, "inclusion", json, accepted())
}

/// A checkpoint that the first two of these witnesses have cosigned, with what the log's readers ask of it and too much of that.
pub(crate) fn cosigned(log: &VerifierKey, note: &str, witnesses: [&VerifierKey; 3]) -> Vec<Case> {
    let keys: Vec<String> = witnesses.iter().map(ToString::to_string).collect();
    let case = |name: &str, note: &str, quorum: u64, expected| {
        let json =
            json!({"vkey": log.to_string(), "note": note, "witnesses": keys, "quorum": quorum});
        Case::new(name, "cosigned", json, expected)
    };
    let names: Vec<&str> = witnesses[..2].iter().map(|key| key.name()).collect();
    let read = Map::from_iter([("cosigned".to_owned(), names.into())]);
    let mut cases = vec![
        case("two of three", note, 2, Expected::Accepted(read.clone())),
        case("one of three", note, 1, Expected::Accepted(read)),
        case("three of three", note, 3, Expected::Refused),
    ];
    let (text, lines) = note.split_once("\n\n").unwrap();
    for (n, witness) in witnesses[..2].iter().enumerate() {
        let mark = format!(" {} ", witness.name());
        let without: Vec<&str> = lines.lines().filter(|line| !line.contains(&mark)).collect();
        let without = format!("{text}\n\n{}\n", without.join("\n"));
        cases.push(case(
            &format!("without witness {n}"),
            &without,
            2,
            Expected::Refused,
        ));
        // Within the time, and within the signature.
        let blob = note.find(&mark).unwrap() + mark.len();
        for at in [8, 14, 30, 90] {
            let bent = flipped(note, blob + at).unwrap();
            let name = format!("witness {n} with byte {at} flipped");
            cases.push(case(&name, &bent, 2, Expected::Refused));
        }
        // A line of one's own under the witness's name is a stranger's.
        let impostor = SecretKey::from_seed(&[8; 32]);
        let line = cosignature_line(&impostor, witness.name(), note, 1_767_225_600);
        let name = format!("an impostor of witness {n}");
        cases.push(case(
            &name,
            &format!("{without}{line}"),
            2,
            Expected::Refused,
        ));
    }
    cases
}
