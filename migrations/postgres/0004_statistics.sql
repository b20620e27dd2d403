-- Statistics keep values of columns: an erased report's bytes must not stay in them. Bytes of this file never change once released.

-- Nothing asks by these columns. Naming the type again takes away what was collected before.
ALTER TABLE bodies ALTER COLUMN jws TYPE TEXT, ALTER COLUMN jws SET STATISTICS 0;
-- Jobs carry reports, and the table is mostly empty: ANALYZE of an empty table leaves what it collected of a fuller one.
ALTER TABLE inbox ALTER COLUMN job TYPE BYTEA, ALTER COLUMN job SET STATISTICS 0,
    ALTER COLUMN answer TYPE BYTEA, ALTER COLUMN answer SET STATISTICS 0;
-- Jobs are taken away by the thousand, one by one; vacuumed often, the table stays small, and what is left of them with it.
ALTER TABLE inbox SET (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0, vacuum_index_cleanup = on);
