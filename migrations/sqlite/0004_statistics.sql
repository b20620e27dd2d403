-- A SQLite file has no statistics of values unless somebody runs ANALYZE, which this program does not. The number is PostgreSQL's too.
SELECT 1;
