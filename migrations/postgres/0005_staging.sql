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

-- The service's role removes what is staged, and nothing that was logged.
CREATE FUNCTION refuse_logged_statements() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM gone WHERE epoch IN (SELECT number FROM epochs)) THEN
        RAISE insufficient_privilege USING MESSAGE = 'statements of a logged epoch are not deleted';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER logged_stay AFTER DELETE ON statements REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_logged_statements();
CREATE FUNCTION refuse_logged_tiles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM gone WHERE tree = 0 OR tree IN (SELECT number FROM epochs)) THEN
        RAISE insufficient_privilege USING MESSAGE = 'tiles of the log or of a logged epoch are not deleted';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER logged_stay AFTER DELETE ON tiles REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_logged_tiles();
