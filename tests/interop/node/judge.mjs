// Reads cases (a JSON array) from standard input and writes a verdict on each: whether sigstore's verifier accepts it.
//
// What sigstore verifies is an entry of a Rekor log: the entry's bytes, its index, its path and a checkpoint in a signed note. A
// tlog-proof has exactly these. The function that checks them is not part of the package's front door, which wants a certificate
// and a signature over an artifact too, so it is taken from the module where it lives.
import { createHash, createPublicKey } from 'node:crypto';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(import.meta.url);
const { verifyTLogInclusion } = require('@sigstore/verify/dist/tlog/index.js');
const { verifyCheckpoint } = require('@sigstore/verify/dist/tlog/checkpoint.js');
const { VerificationError } = require('@sigstore/verify');

// RFC 8410: what stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo.
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

// A log as sigstore's trusted root knows it. Its ID begins with the key ID that signature lines carry.
function authority(vkey) {
  const [name, , ...key] = vkey.split('+');
  const typed = Buffer.from(key.join('+'), 'base64');
  const logID = createHash('sha256').update(name).update('\n').update(typed).digest();
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI, typed.subarray(1)]), format: 'der', type: 'spki' });
  return { logID, publicKey, baseURL: `https://${name}`, validFor: { start: new Date(0), end: new Date(8.64e15) } };
}

function entryOf(receipt, entry, log) {
  const end = receipt.indexOf('\n\n');
  const [magic, index, ...path] = receipt.slice(0, end).split('\n');
  if (end < 0 || magic !== 'c2sp.org/tlog-proof@v1' || !index?.startsWith('index ')) {
    throw new VerificationError({ code: 'TLOG_INCLUSION_PROOF_ERROR', message: 'not a tlog-proof' });
  }
  return {
    logId: { keyId: log.logID },
    canonicalizedBody: Buffer.from(entry, 'base64'),
    inclusionProof: {
      logIndex: index.slice('index '.length),
      hashes: path.map((line) => Buffer.from(line, 'base64')),
      checkpoint: { envelope: receipt.slice(end + 2) },
    },
  };
}

const kinds = {
  checkpoint(c, verdict) {
    const entry = { inclusionProof: { checkpoint: { envelope: c.note } } };
    const { logSize, logHash } = verifyCheckpoint(entry, [authority(c.vkey)]);
    verdict.size = Number(logSize);
    verdict.root = logHash.toString('base64');
  },
  inclusion(c) {
    const log = authority(c.vkey);
    verifyTLogInclusion(entryOf(c.receipt, c.entry, log), [log]);
  },
};

const verdicts = JSON.parse(readFileSync(0, 'utf8')).map((c) => {
  const verdict = { name: c.name, accepted: false };
  try {
    kinds[c.kind](c, verdict);
    verdict.accepted = true;
  } catch (error) {
    // Anything but a refusal is a fault of this program.
    if (!(error instanceof VerificationError)) throw error;
    verdict.why = `${error.code}: ${error.message}`;
  }
  return verdict;
});
process.stdout.write(JSON.stringify(verdicts));
