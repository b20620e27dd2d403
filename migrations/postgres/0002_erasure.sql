-- Reports whose body was erased: what is left is their place in the log and their id, which the log holds anyway.
CREATE TABLE erased (
    -- index of the report's entry
    idx BIGINT PRIMARY KEY,
    id  BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 32),
    -- index of the erasure's entry
    by  BIGINT NOT NULL UNIQUE
);

-- Lookups that only an erasure makes.
CREATE INDEX documents_idx ON documents (idx);
CREATE INDEX tokens_agent ON tokens (agent);

-- Rows of these go only when a report is erased: one of them is reason enough to vacuum.
ALTER TABLE bodies SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0, vacuum_index_cleanup = on);
ALTER TABLE documents SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0, vacuum_index_cleanup = on);
ALTER TABLE markets SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0, vacuum_index_cleanup = on);
