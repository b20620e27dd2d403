-- Rows of an epoch under computation stand in their tables before its entry is logged. Bytes of this file never change once released.

-- A staged statement has no epoch yet.
ALTER TABLE statements DROP CONSTRAINT statements_epoch_fkey;

-- What of `statements` and `tiles` is staged: leaves 0 to `leaves` of this epoch, and of its score tree what they touch. No reader sees
-- them. The commit that logs the epoch takes this row away, and with it they are the epoch's.
CREATE TABLE staging (
    one    SMALLINT PRIMARY KEY CHECK (one = 1),
    -- of the computation that may stage, or log what is staged; NULL = nobody may, and the rows are to be removed
    token  BYTEA CHECK (octet_length(token) = 16),
    -- NULL = nothing is staged
    epoch  BIGINT CHECK (epoch > 0),
    leaves BIGINT NOT NULL CHECK (leaves >= 0)
);
