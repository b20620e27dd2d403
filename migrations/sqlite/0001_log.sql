-- The log and its working copy. Bytes of this file never change once released.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- The newest signed checkpoint; compare-and-swapped by every commit.
CREATE TABLE head (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    size  INTEGER NOT NULL CHECK (size >= 0),
    root  BLOB NOT NULL CHECK (length(root) = 32),
    at_ms INTEGER NOT NULL,
    note  TEXT NOT NULL
) STRICT;

-- Every checkpoint that was ever published.
CREATE TABLE checkpoints (
    size         INTEGER PRIMARY KEY,
    published_ms INTEGER NOT NULL,
    note         TEXT NOT NULL
) STRICT;

CREATE TABLE entries (
    idx   INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX entries_kind ON entries (kind, idx) WHERE kind <> 'report';

-- tree 0 is the log, tree n > 0 the score tree of epoch n. Only the newest width of a tile is kept: a narrower one is its prefix.
-- Not WITHOUT ROWID: rows of 8 KiB in an index tree leave four to a page, and a look-up goes down eight levels.
CREATE TABLE tiles (
    tree   INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    hashes BLOB NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
    PRIMARY KEY (tree, level, n)
) STRICT;

CREATE TABLE agents (
    id    INTEGER PRIMARY KEY,
    key   BLOB NOT NULL UNIQUE CHECK (length(key) = 32),
    alias TEXT
) STRICT;
CREATE UNIQUE INDEX agents_alias ON agents (alias) WHERE alias IS NOT NULL;

CREATE TABLE markets (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE reports (
    idx           INTEGER PRIMARY KEY,
    id            BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
    at_ms         INTEGER NOT NULL,
    reporter      INTEGER NOT NULL REFERENCES agents (id),
    subject       INTEGER NOT NULL REFERENCES agents (id),
    market        INTEGER NOT NULL REFERENCES markets (id),
    trade_id      TEXT NOT NULL,
    -- the reporter's: 0 = buyer, 1 = seller
    role          INTEGER NOT NULL CHECK (role IN (0, 1)),
    jti           TEXT NOT NULL,
    historical    INTEGER NOT NULL CHECK (historical IN (0, 1)),
    -- 1 = nothing but the reporter's word when it was admitted, or a change of its mind; what the daily quota counts
    alone         INTEGER NOT NULL CHECK (alone IN (0, 1)),
    superseded_by INTEGER
) STRICT;
CREATE UNIQUE INDEX reports_jti ON reports (reporter, jti);
-- A reporter has one current report per trade, and a trade is market, id and both parties.
CREATE UNIQUE INDEX reports_current ON reports (reporter, subject, market, trade_id) WHERE superseded_by IS NULL;
CREATE INDEX reports_reporter ON reports (reporter, idx);
CREATE INDEX reports_subject ON reports (subject, idx);
-- What both parties said of one trade, oldest first; also serves the filter on trade ids.
CREATE INDEX reports_pair ON reports (trade_id, market, reporter, subject, idx);
CREATE INDEX reports_market ON reports (market, idx);
CREATE INDEX reports_alone ON reports (reporter, at_ms) WHERE alone = 1;

-- The signed bytes, apart from the log so that they can be erased.
CREATE TABLE bodies (
    idx INTEGER PRIMARY KEY,
    jws TEXT NOT NULL
) STRICT;

-- Which reports bring which attestation or receipt: such a document lifts the level of one report only, the first.
CREATE TABLE documents (
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    idx    INTEGER NOT NULL,
    PRIMARY KEY (sha256, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE epochs (
    number   INTEGER PRIMARY KEY,
    idx      INTEGER NOT NULL UNIQUE,
    salt_key BLOB NOT NULL CHECK (length(salt_key) = 32)
) STRICT;

CREATE TABLE statements (
    epoch   INTEGER NOT NULL REFERENCES epochs (number),
    leaf    INTEGER NOT NULL,
    agent   INTEGER NOT NULL REFERENCES agents (id),
    reached INTEGER NOT NULL CHECK (reached IN (0, 1)),
    claims  TEXT NOT NULL,
    PRIMARY KEY (epoch, leaf)
) STRICT, WITHOUT ROWID;
CREATE INDEX statements_agent ON statements (agent, epoch);

CREATE TABLE tokens (
    list    INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    agent   INTEGER NOT NULL REFERENCES agents (id),
    epoch   INTEGER NOT NULL,
    iat     INTEGER NOT NULL,
    exp     INTEGER NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0 CHECK (revoked IN (0, 1)),
    PRIMARY KEY (list, idx)
) STRICT, WITHOUT ROWID;
