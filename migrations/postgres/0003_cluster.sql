-- What several processes on one database share beside the log. Bytes of this file never change once released.

-- Whose turn it is to write. The number of the turn is the key: taking over waits for the transactions that share it.
CREATE TABLE sequencer (
    term        BIGINT PRIMARY KEY,
    one         SMALLINT NOT NULL UNIQUE CHECK (one = 1),
    -- application_name of every connection of the process that has the turn
    application TEXT COLLATE "C" NOT NULL,
    beat_at     TIMESTAMPTZ NOT NULL
);

-- Every turn there was. A data directory that knows a turn which the database does not have is not of this database's past.
CREATE TABLE turns (
    term     BIGINT PRIMARY KEY,
    name     TEXT COLLATE "C" NOT NULL UNIQUE,
    holder   TEXT NOT NULL,
    since_ms BIGINT NOT NULL
);

-- Jobs on their way to whoever writes. Nothing in here was acknowledged: it need not survive a crash of the server.
CREATE UNLOGGED TABLE inbox (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sent_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    job     BYTEA NOT NULL,
    answer  BYTEA
);
CREATE INDEX inbox_open ON inbox (id) WHERE answer IS NULL;
