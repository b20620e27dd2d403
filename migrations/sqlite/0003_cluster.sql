-- A SQLite file has one process that writes: there is nothing to share. The number is PostgreSQL's too.
SELECT 1;
