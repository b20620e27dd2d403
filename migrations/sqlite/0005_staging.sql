-- Rows of an epoch under computation stand in their tables before its entry is logged. Bytes of this file never change once released.

-- As it was, but for a reference to `epochs`: a staged statement has no epoch yet. SQLite cannot take one away, so the table is copied.
CREATE TABLE statements_staged (
    epoch   INTEGER NOT NULL,
    leaf    INTEGER NOT NULL,
    agent   INTEGER NOT NULL REFERENCES agents (id),
    reached INTEGER NOT NULL CHECK (reached IN (0, 1)),
    claims  TEXT NOT NULL,
    PRIMARY KEY (epoch, leaf)
) STRICT, WITHOUT ROWID;
INSERT INTO statements_staged SELECT epoch, leaf, agent, reached, claims FROM statements ORDER BY epoch, leaf;
DROP TABLE statements;
ALTER TABLE statements_staged RENAME TO statements;
CREATE INDEX statements_agent ON statements (agent, epoch);

-- What of `statements` and `tiles` is staged: leaves 0 to `leaves` of this epoch, and of its score tree what they touch. No reader sees
-- them. The commit that logs the epoch takes this row away, and with it they are the epoch's.
CREATE TABLE staging (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    -- of the computation that may stage, or log what is staged; NULL = nobody may, and the rows are to be removed
    token  BLOB CHECK (length(token) = 16),
    -- NULL = nothing is staged
    epoch  INTEGER CHECK (epoch > 0),
    leaves INTEGER NOT NULL CHECK (leaves >= 0)
) STRICT;
