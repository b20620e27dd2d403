-- Reports whose body was erased: what is left is their place in the log and their id, which the log holds anyway.
CREATE TABLE erased (
    -- index of the report's entry
    idx INTEGER PRIMARY KEY,
    id  BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
    -- index of the erasure's entry
    by  INTEGER NOT NULL UNIQUE
) STRICT;

-- Lookups that only an erasure makes.
CREATE INDEX documents_idx ON documents (idx);
CREATE INDEX tokens_agent ON tokens (agent);
