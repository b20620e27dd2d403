"""Everything below the documents: JCS, base58, JWS, Ed25519 corner cases, Merkle trees, signed notes, deflate.

Written from the standards alone. `self_test` checks it against published vectors.
"""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAX_INT = 2**53 - 1
L = 2**252 + 27742317777372353535851937790883648493  # order of the Ed25519 base point
B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def sha256(data):
    return hashlib.sha256(data).digest()


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def b64(data):
    return base64.b64encode(data).decode()


def b58(data):
    number = int.from_bytes(data, "big")
    out = ""
    while number:
        number, digit = divmod(number, 58)
        out = B58[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


# --- JSON -----------------------------------------------------------------------------------------------------------

ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def jcs_text(value):
    """RFC 8785 for everything but floating point numbers, which none of our documents may hold."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        if abs(value) > MAX_INT:
            raise ValueError("integer out of range")
        return str(value)
    if isinstance(value, str):
        out = []
        for ch in value:
            if ch in ESCAPES:
                out.append(ESCAPES[ch])
            elif ch < " ":
                out.append("\\u%04x" % ord(ch))
            else:
                out.append(ch)
        text = '"' + "".join(out) + '"'
        text.encode("utf-8")  # refuses lone surrogates
        return text
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(jcs_text(item) for item in value) + "]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(jcs_text(name) + ":" + jcs_text(value[name]) for name in names) + "}"
    raise TypeError(type(value))


def jcs(value):
    return jcs_text(value).encode("utf-8")


def compact(value):
    """JSON without whitespace, members in the order given: what most programs sign."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


# --- keys -----------------------------------------------------------------------------------------------------------


class Key:
    def __init__(self, name, seed):
        self.name = name
        self.seed = seed
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.multibase = multibase(self.public)
        self.did = "did:key:" + self.multibase
        self.method = self.did + "#" + self.multibase
        self.jwk = {"crv": "Ed25519", "kty": "OKP", "x": b64u(self.public)}
        self.thumbprint = b64u(sha256(jcs(self.jwk)))

    def sign(self, message):
        return self.private.sign(message)

    def sign_with_small_order_r(self, message):
        """A signature whose R is the identity point. Cofactored and plain verification accept it, strict does not."""
        digest = bytearray(hashlib.sha512(self.seed).digest()[:32])
        digest[0] &= 248
        digest[31] &= 127
        digest[31] |= 64
        scalar = int.from_bytes(digest, "little")
        r = IDENTITY
        k = int.from_bytes(hashlib.sha512(r + self.public + message).digest(), "little") % L
        return r + (k * scalar % L).to_bytes(32, "little")


IDENTITY = b"\x01" + bytes(31)  # encoding of the identity point, a public key of order 1


def multibase(public, codec=b"\xed\x01"):
    return "z" + b58(codec + public)


def add_l_to_s(signature):
    s = int.from_bytes(signature[32:], "little") + L
    return signature[:32] + s.to_bytes(32, "little")


# --- JWS ------------------------------------------------------------------------------------------------------------


def jws_raw(header, payload, key=None, signature=None, mutate=None):
    """`header` and `payload` are bytes. `signature` replaces the real one, `mutate` changes it."""
    signing_input = b64u(header) + "." + b64u(payload)
    if signature is None:
        signature = key.sign(signing_input.encode())
    if callable(signature):
        signature = signature(signing_input.encode())
    if mutate:
        signature = mutate(signature)
    return signing_input + "." + b64u(signature)


def agent_header(key, typ):
    return {"alg": "EdDSA", "typ": typ, "kid": key.method}


def service_header(key, typ):
    return {"alg": "EdDSA", "typ": typ, "kid": key.thumbprint}


def jws(header, payload, key, **more):
    return jws_raw(compact(header), compact(payload), key, **more)


def flip_last_bit(signature):
    return signature[:-1] + bytes([signature[-1] ^ 1])


def flip_first_bit(signature):
    return bytes([signature[0] ^ 1]) + signature[1:]


# --- Merkle trees (RFC 6962) ----------------------------------------------------------------------------------------


def leaf_hash(data):
    return sha256(b"\0" + data)


def node_hash(left, right):
    return sha256(b"\1" + left + right)


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root(leaves):
    """`leaves` are leaf hashes."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def path(index, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return path(index, leaves[:k]) + [root(leaves[k:])]
    return path(index - k, leaves[k:]) + [root(leaves[:k])]


def consistency(old, leaves, whole=True):
    n = len(leaves)
    if old == n:
        return [] if whole else [root(leaves)]
    k = split(n)
    if old <= k:
        return consistency(old, leaves[:k], whole) + [root(leaves[k:])]
    return consistency(old - k, leaves[k:], False) + [root(leaves[:k])]


# --- signed notes, checkpoints, tlog-proofs -------------------------------------------------------------------------

DASH = "\u2014"
LOG_SIG = b"\x01"
COSIG = b"\x04"


def key_id(name, sigtype, public):
    return sha256(name.encode() + b"\n" + sigtype + public)[:4]


def vkey(name, sigtype, public):
    return name + "+" + key_id(name, sigtype, public).hex() + "+" + b64(sigtype + public)


def note_line(name, blob):
    return f"{DASH} {name} {b64(blob)}\n"


def log_line(name, key, text, mutate=None):
    signature = key.sign(text.encode())
    return note_line(name, key_id(name, LOG_SIG, key.public) + (mutate(signature) if mutate else signature))


def cosign_line(name, key, text, time, mutate=None):
    message = f"cosignature/v1\ntime {time}\n{text}"
    signature = key.sign(message.encode())
    if mutate:
        signature = mutate(signature)
    return note_line(name, key_id(name, COSIG, key.public) + time.to_bytes(8, "big") + signature)


def checkpoint_text(origin, size, root_hash):
    return f"{origin}\n{size}\n{b64(root_hash)}\n"


def tlog_proof(index, hashes, checkpoint):
    return "c2sp.org/tlog-proof@v1\n" + f"index {index}\n" + "".join(b64(h) + "\n" for h in hashes) + "\n" + checkpoint


# --- zlib -----------------------------------------------------------------------------------------------------------


def zlib_fixed(data):
    """RFC 1950 with fixed Huffman codes and runs only: the same bytes with every zlib version."""
    bits = []

    def put(code, length):  # Huffman codes go most significant bit first
        bits.extend((code >> shift) & 1 for shift in range(length - 1, -1, -1))

    bits.extend([1, 1, 0])  # last block, fixed codes
    position = 0
    while position < len(data):
        byte = data[position]
        if position and data[position : position + 258] == data[position - 1 : position] * 258:
            put(0xC0 + 285 - 280, 8)  # length 258
            put(0, 5)  # distance 1
            position += 258
            continue
        if byte < 144:
            put(0x30 + byte, 8)
        else:
            put(0x190 + byte - 144, 9)
        position += 1
    put(0, 7)
    while len(bits) % 8:
        bits.append(0)
    body = bytes(sum(bit << shift for shift, bit in enumerate(bits[i : i + 8])) for i in range(0, len(bits), 8))
    a, b = 1, 0
    for byte in data:
        a = (a + byte) % 65521
        b = (b + a) % 65521
    return b"\x78\x01" + body + ((b << 16) | a).to_bytes(4, "big")


# --- self test ------------------------------------------------------------------------------------------------------


def self_test():
    import zlib

    one = Key("RFC 8032 TEST 1", bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert one.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert one.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a")
    assert one.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"  # RFC 8037 A.3
    two = Key("RFC 8032 TEST 2", bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert two.did == "did:key:z6MkiaMbhXHNA4eJVCCj8dbzKzTgYDKf6crKgHVHid1F1WCT"
    # RFC 8785 section 3.2.3: order by UTF-16 code units
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    order = jcs({name: 0 for name in names}).decode()
    assert order == '{"\\r":0,"1":0,"\u0080":0,"\u00f6":0,"\u20ac":0,"\U0001f600":0,"\ufb33":0}'
    assert jcs("\u20ac$\u000f\nA'B\"\\\\\"/") == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()
    # C2SP tlog formats, log of eight leaves
    leaves = [leaf_hash(bytes.fromhex(h)) for h in
              ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
    log, witness = Key("log", b"\1" * 32), Key("witness", b"\2" * 32)
    assert root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert vkey("log.example/rep", LOG_SIG, log.public) == \
        "log.example/rep+d7beed62+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
    assert vkey("witness.example/w1", COSIG, witness.public) == \
        "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"
    text = checkpoint_text("log.example/rep", 8, root(leaves))
    signed = text + "\n" + log_line("log.example/rep", log, text) + \
        cosign_line("witness.example/w1", witness, text, 1767225600)
    assert tlog_proof(5, path(5, leaves), signed) == """c2sp.org/tlog-proof@v1
index 5
vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=
yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=
037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=

log.example/rep
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

\u2014 log.example/rep 177tYqm0+JZB0rKlWAcaWRebmLX/VNwwuxstFSDDSqpt4yV6fiaJTu482plEDQuAtourRXP56zk3ClaCyd5uqjskkA0=
\u2014 witness.example/w1 3xwKNQAAAABpVbkAMLY9z79o5q/k5uf9KhAa4CzgOZQLod8gORXl/hxJJxofclHDISoeN9WWp0N90G8YGTnYyg3tLTZLR5Pa/a8ACg==
"""
    assert [h.hex()[:8] for h in consistency(4, leaves[:7])] == ["837dbb15"]
    assert len(consistency(6, leaves)) == 3 and len(consistency(7, leaves)) == 4
    for sample in (b"", bytes(16384), b"\xff\x90abc" + bytes(5000) + b"\1" * 700):
        assert zlib.decompress(zlib_fixed(sample)) == sample
    hmac_check = hmac.new(b"\x0b" * 20, b"Hi There", hashlib.sha256).hexdigest()
    assert hmac_check.startswith("b0344c61d8db38535ca8afceaf0bf12b")  # RFC 4231


if __name__ == "__main__":
    self_test()
    print("ok")
