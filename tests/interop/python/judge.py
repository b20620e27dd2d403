"""Reads cases (a JSON array) from standard input and writes a verdict on each: whether aics-tlog accepts it."""

import base64
import json
import sys

from aics_tlog import (
    HttpTileReader,
    VerifiedTileReader,
    consistency_proof_from_tiles,
    inclusion_proof_from_tiles,
    leaf_hash,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
)


class Refused(Exception):
    """What the library answered with no."""


def require(condition, why):
    if not condition:
        raise Refused(why)


def opened(note, case, witnesses=(), quorum=0):
    key = parse_vkey(case["vkey"])
    keys = [parse_vkey(vkey) for vkey in witnesses]
    result = verify_checkpoint(parse_note(note), key, keys, quorum, expected_origin=key.name)
    require(result.ok, result.error)
    return result


def checkpoint(case, verdict):
    tree = opened(case["note"], case, case.get("witnesses", ()), case.get("quorum", 0))
    verdict.update(size=tree.size, root=base64.b64encode(tree.root).decode(), cosigned=sorted(tree.witnesses))


def inclusion(case, _):
    head, _, note = case["receipt"].partition("\n\n")
    magic, index, *path = head.split("\n")
    require(magic == "c2sp.org/tlog-proof@v1" and index.startswith("index "), "not a tlog-proof")
    tree = opened(note, case)
    leaf = leaf_hash(base64.b64decode(case["entry"]))
    path = [base64.b64decode(line, validate=True) for line in path]
    require(verify_inclusion(leaf, int(index[6:]), tree.size, path, tree.root), "not included")


def consistency(case, _):
    old, new = opened(case["old"], case), opened(case["note"], case)
    proof = [base64.b64decode(hash_) for hash_ in case["proof"]]
    require(verify_consistency(old.size, new.size, old.root, new.root, proof), "not consistent")


def tiles(case, verdict):
    tree = opened(case["note"], case)
    reader = VerifiedTileReader(HttpTileReader(case["url"], proxies={}), tree.size, tree.root)
    reader.check_root()
    leaves = []
    for index in case["indexes"]:
        leaf = reader.leaf_hash(index)
        path = inclusion_proof_from_tiles(reader, index, tree.size)
        require(verify_inclusion(leaf, index, tree.size, path, tree.root), f"{index} is not included")
        leaves.append(base64.b64encode(leaf).decode())
    verdict["leaves"] = leaves
    for n in case["bundles"]:
        for index in range(n * 256, min(n * 256 + 256, tree.size)):
            # The reader compares every entry with its authentic leaf hash.
            require(leaf_hash(reader.entry(index)) == reader.leaf_hash(index), f"entry {index} is another one")
    if case.get("old"):
        old = opened(case["old"], case)
        proof = consistency_proof_from_tiles(reader, old.size, tree.size)
        require(verify_consistency(old.size, tree.size, old.root, tree.root, proof), "not consistent")


KINDS = {
    "checkpoint": checkpoint,
    "cosigned": checkpoint,
    "inclusion": inclusion,
    "consistency": consistency,
    "tiles": tiles,
}


def judge(case):
    verdict = {"name": case["name"], "accepted": False}
    try:
        KINDS[case["kind"]](case, verdict)
    except (Refused, ValueError, OSError) as error:
        return verdict | {"why": f"{type(error).__name__}: {error}"}
    return verdict | {"accepted": True}


json.dump([judge(case) for case in json.load(sys.stdin)], sys.stdout)
