#!/usr/bin/env python3
"""Writes the seeds of every fuzz target to fuzz/corpus/<target>, made of the golden vectors.

Signed documents are written raw and in the plain form that the targets sign themselves (src/lib.rs).
"""
import base64
import hashlib
import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "tests" / "vectors"
CORPUS = HERE / "corpus"


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


def seed(target, content):
    """One file, named by its content, so that a second run adds nothing."""
    data = content.encode() if isinstance(content, str) else content
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def header_and_payload(jws):
    """The texts of a JWS, or None if it is not one."""
    try:
        header, payload, _ = jws.split(".")
        header, payload = decoded(header), decoded(payload)
    except ValueError:
        return None
    return (header, payload) if header.startswith("{") and "\n" not in header else None


def plain_within(value):
    """The value with {"header", "payload"} in place of every JWS in it."""
    if isinstance(value, dict):
        return {name: plain_within(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain_within(item) for item in value]
    parts = header_and_payload(value) if isinstance(value, str) else None
    return {"header": parts[0], "payload": parts[1]} if parts else value


def document(target, jws):
    seed(target, jws)
    parts = header_and_payload(jws)
    if not parts:
        return
    header, payload = parts
    seed(target, f"{header}\n{payload}")
    try:
        value = json.loads(payload)
    except ValueError:
        return
    if plain_within(value) != value:
        seed(target, f"{header}\n{json.dumps(plain_within(value), separators=(',', ':'))}")


def token(presented):
    seed("token", presented)
    seed("sdjwt", presented)
    jwt, _, rest = presented.partition("~")
    *disclosures, kb = rest.split("~")
    parts = header_and_payload(jwt)
    if not parts:
        return
    try:
        lines = [*parts, *map(decoded, disclosures)]
    except ValueError:
        return
    binding = header_and_payload(kb)
    if binding:
        own = base64.urlsafe_b64encode(hashlib.sha256(presented[: len(presented) - len(kb)].encode()).digest())
        lines += [binding[0], binding[1].replace(own.decode().rstrip("="), "$sd_hash")]
    seed("token", "\n".join(lines))
    digests = [base64.urlsafe_b64encode(hashlib.sha256(d.encode()).digest()).decode().rstrip("=") for d in disclosures]
    lines[1] = lines[1].replace(json.dumps(sorted(digests), separators=(",", ":")), '"$sd"')
    seed("token", "\n".join(lines))


def policy(text):
    seed("witness_policy", text)
    witnesses = sorted(set(re.findall(r"^witness \S+ (\S+)", text, re.M)))
    for number, vkey in enumerate(witnesses):
        text = text.replace(vkey, f"${number}")
    seed("witness_policy", re.sub(r"^log \S+", "log $log", text, flags=re.M))


def sd_jwt():
    seed("sdjwt", '{"a":1,"b":{"c":[1,2,{"d":null}]},"e":["x",["y","z"]]}')
    seed("sdjwt", '{"_sd":["#0","#1"],"_sd_alg":"sha-256","n":[{"...":"#2"},3]}\n["s","a",{"_sd":["#3"]}]\n'
                  '["s","b",[1]]\n["s",{"x":true}]\n["s","inner","deep"]')
    for case in vectors("statement"):
        for statement in case.get("statements", []):
            lines = [d["disclosure_text"] for d in statement["disclosures"]]
            digests = [f"#{n}" if n < 10 else d["digest"] for n, d in enumerate(statement["disclosures"])]
            seed("sdjwt", "\n".join([json.dumps({"_sd": digests, "_sd_alg": "sha-256"}), *lines]))


def merkle():
    """Sizes, index, old size and bit, then the claims and the path, as `arbitrary` reads them."""
    for size in [0, 1, 2, 3, 7, 8, 9, 31, 64, 100, 255, 256, 299]:
        for index in {0, size // 2, max(size - 1, 0)}:
            numbers = [(size, 2), (index, 2), (index // 2, 2), (size % 11, 2), (index, 8), (size, 8), (2**63 + size, 8)]
            seed("merkle", b"".join(n.to_bytes(width, "little") for n, width in numbers) + bytes([1]) * 68)


def tiles():
    """Width, then a path, a tile or a bundle; and for the reader a size, then what `arbitrary` makes of the rest."""
    for path in ["0/000", "0/x001/x234/067", "1/000.p/1", "63/999.p/255", "entries/273.p/112"]:
        seed("tile", b"\x01" + path.encode())
    for width in [0, 1, 2, 255]:
        seed("tile", bytes([width]) + bytes(range(32)) * width)
        seed("tile", bytes([width]) + b"".join(n.to_bytes(2, "big") + b"e" * n for n in range(width)))
    for size in range(12):
        for level in range(3):
            seed("tile_reader", bytes([size, 1, level, size, 0]) + bytes(range(40, 80)))
            seed("tile_reader", bytes([size] + [1, level, 0, 0, 1, 0, 0, 1, 1, 0, 0] * 4 + [0, 1, 1, 2, 3] * 8))


def witness(log):
    note = log["signed_checkpoint"]
    line = base64.b64encode(bytes(32)).decode()
    seed("witness", f"old 0\n\n{note}")
    seed("witness", f"old 6\n{line}\n{line}\n\n{note}")
    seed("witness", "18446744073709551615\n")
    seed("witness", "$cosignature\n")
    other = "\u2014 $name " + base64.b64encode(bytes(76)).decode()
    seed("witness", f"{other}\n$cosignature\n{other}\n")
    seed("witness", "\n$cosignature\n")


def main():
    for case in vectors("reports"):
        document("report", case["jws"])
    for case in vectors("entries"):
        data = base64.b64decode(case["bytes_base64"])
        seed("entry", data)
        seed("json", data)
    seed("json", '[0,-1,9007199254740991,1.5,1e3,"\\u00e9\\ud83d\\ude00\\/",{"\\u0061":[],"b":{}},true,false,null]')
    for case in vectors("statement"):
        for statement in case.get("statements", []):
            seed("json", statement["statement"])
    log = vectors("log")[0]
    notes = {log["signed_checkpoint"], log["signed_checkpoint_empty_log"]}
    for case in vectors("checkpoints"):
        notes.add(case["signed_checkpoint"])
        policy(case["witness_policy"])
    for note in notes:
        seed("note", note)
        seed("checkpoint", note)
        seed("note", note.split("\n\n")[0] + "\n")
        seed("checkpoint", note.split("\n\n")[0] + "\n")
    seed("note", log["log_vkey"])
    tiles()
    witness(log)
    for case in log["proofs"]:
        seed("proof", case["proof"])
    for case in vectors("trust-bundle"):
        document("bundle", case["jws"])
    for case in vectors("status-list"):
        document("status_list", case["jws"])
        parts = header_and_payload(case["jws"])
        try:
            lst = json.loads(parts[1])["status_list"]["lst"] if parts else ""
            seed("status_list", b"\0" + base64.urlsafe_b64decode(lst + "=" * (-len(lst) % 4)))
        except (ValueError, KeyError):
            pass
    for case in vectors("token"):
        token(case["token"])
    sd_jwt()
    merkle()
    for folder in sorted(CORPUS.iterdir()):
        print(f"{folder.name}: {sum(1 for _ in folder.iterdir())} files")


if __name__ == "__main__":
    main()
