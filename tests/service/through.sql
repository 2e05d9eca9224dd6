-- Run by psql with `big` set.
\set VERBOSITY verbose
SELECT 1 AS a, 'text' AS b, NULL AS c, 1.5::float8, 12345678901234567890::numeric, true, '\xdead'::bytea;
SELECT '2026-01-02'::date, '12:00'::time, '1 day'::interval, '{"a": [1]}'::jsonb, ARRAY[[1,2],[3,4]], 'ü€😀';
SELECT 1 AS a, 'two' AS b \gdesc
SELECT;
SELECT 1 \; SELECT 2 \; SELECT 3;
;
SELECT 1/0;
SELEC nothing;
SELECT * FROM nowhere;
SELECT 1 \; SELECT 1/0 \; SELECT 2;
DO $$ BEGIN RAISE NOTICE 'a notice' USING HINT = 'a hint', DETAIL = 'a detail'; RAISE WARNING 'a warning'; END $$;
SELECT $1::int + 1, $2::text \bind 41 'given' \g
SELECT $1::int \parse named
\bind_named named 7 \g
\close_prepared named
CREATE TEMP TABLE kept (n int PRIMARY KEY, name text);
BEGIN;
INSERT INTO kept VALUES (1, 'one') RETURNING *;
SAVEPOINT s;
INSERT INTO kept VALUES (1, 'twice');
SELECT 'aborted';
ROLLBACK TO s;
UPDATE kept SET name = 'ONE';
COMMIT;
BEGIN; DELETE FROM kept; ROLLBACK;
TABLE kept;
COPY kept FROM STDIN;
2	two
3	three\twith a tab
\.
\copy kept from stdin with (format csv)
4,"four, five"
5,
\.
COPY kept FROM STDIN;
not a number	x
\.
COPY kept TO STDOUT;
COPY (SELECT generate_series(1, 3000)) TO STDOUT;
\copy kept to stdout with (format csv, header)
INSERT INTO kept SELECT n, repeat('y', 100) FROM generate_series(100, 1500) n;
\set FETCH_COUNT 100
SELECT n FROM kept ORDER BY n;
\unset FETCH_COUNT
BEGIN;
DECLARE c CURSOR FOR SELECT n FROM kept ORDER BY n;
FETCH 3 FROM c;
MOVE FORWARD 10 FROM c;
FETCH BACKWARD 2 FROM c;
CLOSE c;
COMMIT;
PREPARE q (int) AS SELECT * FROM kept WHERE n = $1;
EXECUTE q (2);
DEALLOCATE q;
SELECT repeat('x', :big) AS value \gset
SELECT md5(:'value'), length(:'value');
SELECT repeat('z', :big);
\startpipeline
SELECT $1::int \bind 1 \sendpipeline
SELECT $1::int / 0 \bind 1 \sendpipeline
SELECT $1::int \bind 2 \sendpipeline
\syncpipeline
SELECT $1::int \bind 3 \sendpipeline
\flushrequest
\getresults
\endpipeline
LISTEN through;
NOTIFY through, 'news';
SELECT 1;
SET client_encoding = 'LATIN1';
SELECT 'a';
SET client_encoding = 'UTF8';
\lo_import /dev/null
SELECT lo_unlink(:LASTOID);
SELECT lo_from_bytea(0, '\x414243') AS made \gset
\lo_export :made /dev/null
SELECT lo_unlink(:made);
\d kept
\dt pg_catalog.pg_cl*
\c - - - -
SELECT 'connected anew';
\echo the end of the script
