-- The log and its working copy. Bytes of this file never change once released.
-- COLLATE "C": names are compared and ordered by their bytes, whatever the server's locale is or becomes.
CREATE TABLE meta (
    key   TEXT COLLATE "C" PRIMARY KEY,
    value TEXT NOT NULL
);

-- The newest signed checkpoint; compare-and-swapped by every commit.
CREATE TABLE head (
    one   SMALLINT PRIMARY KEY CHECK (one = 1),
    size  BIGINT NOT NULL CHECK (size >= 0),
    root  BYTEA NOT NULL CHECK (octet_length(root) = 32),
    at_ms BIGINT NOT NULL,
    note  TEXT NOT NULL
);

-- Every checkpoint that was ever published.
CREATE TABLE checkpoints (
    size         BIGINT PRIMARY KEY,
    published_ms BIGINT NOT NULL,
    note         TEXT NOT NULL
);

CREATE TABLE entries (
    idx   BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    kind  TEXT COLLATE "C" NOT NULL,
    bytes BYTEA NOT NULL
);
CREATE INDEX entries_kind ON entries (kind, idx) WHERE kind <> 'report';

-- tree 0 is the log, tree n > 0 the score tree of epoch n. Only the newest width of a tile is kept: a narrower one is its prefix.
CREATE TABLE tiles (
    tree   BIGINT NOT NULL,
    level  SMALLINT NOT NULL,
    n      BIGINT NOT NULL,
    hashes BYTEA NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (tree, level, n)
);
-- Hashes do not compress; do not try.
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE agents (
    id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key   BYTEA NOT NULL UNIQUE CHECK (octet_length(key) = 32),
    alias TEXT COLLATE "C"
);
CREATE UNIQUE INDEX agents_alias ON agents (alias) WHERE alias IS NOT NULL;

CREATE TABLE markets (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE reports (
    idx           BIGINT PRIMARY KEY,
    id            BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 32),
    at_ms         BIGINT NOT NULL,
    reporter      BIGINT NOT NULL REFERENCES agents (id),
    subject       BIGINT NOT NULL REFERENCES agents (id),
    market        BIGINT NOT NULL REFERENCES markets (id),
    trade_id      TEXT COLLATE "C" NOT NULL,
    -- the reporter's: 0 = buyer, 1 = seller
    role          SMALLINT NOT NULL CHECK (role IN (0, 1)),
    jti           TEXT COLLATE "C" NOT NULL,
    historical    BOOLEAN NOT NULL,
    -- nothing but the reporter's word when it was admitted, or a change of its mind; what the daily quota counts
    alone         BOOLEAN NOT NULL,
    superseded_by BIGINT
);
CREATE UNIQUE INDEX reports_jti ON reports (reporter, jti);
-- A reporter has one current report per trade, and a trade is market, id and both parties.
CREATE UNIQUE INDEX reports_current ON reports (reporter, subject, market, trade_id) WHERE superseded_by IS NULL;
CREATE INDEX reports_reporter ON reports (reporter, idx);
CREATE INDEX reports_subject ON reports (subject, idx);
-- What both parties said of one trade, oldest first; also serves the filter on trade ids.
CREATE INDEX reports_pair ON reports (trade_id, market, reporter, subject, idx);
CREATE INDEX reports_market ON reports (market, idx);
CREATE INDEX reports_alone ON reports (reporter, at_ms) WHERE alone;

-- The signed bytes, apart from the log so that they can be erased.
CREATE TABLE bodies (
    idx BIGINT PRIMARY KEY,
    jws TEXT NOT NULL
);

-- Which reports bring which attestation or receipt: such a document lifts the level of one report only, the first.
CREATE TABLE documents (
    sha256 BYTEA NOT NULL CHECK (octet_length(sha256) = 32),
    idx    BIGINT NOT NULL,
    PRIMARY KEY (sha256, idx)
);

CREATE TABLE epochs (
    number   BIGINT PRIMARY KEY,
    idx      BIGINT NOT NULL UNIQUE,
    salt_key BYTEA NOT NULL CHECK (octet_length(salt_key) = 32)
);

CREATE TABLE statements (
    epoch   BIGINT NOT NULL REFERENCES epochs (number),
    leaf    BIGINT NOT NULL,
    agent   BIGINT NOT NULL REFERENCES agents (id),
    reached BOOLEAN NOT NULL,
    claims  TEXT NOT NULL,
    PRIMARY KEY (epoch, leaf)
);
CREATE INDEX statements_agent ON statements (agent, epoch);

CREATE TABLE tokens (
    list    BIGINT NOT NULL,
    idx     BIGINT NOT NULL,
    agent   BIGINT NOT NULL REFERENCES agents (id),
    epoch   BIGINT NOT NULL,
    iat     BIGINT NOT NULL,
    exp     BIGINT NOT NULL,
    revoked BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (list, idx)
);
