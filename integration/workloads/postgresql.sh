# A database: initdb and the server as their own user, an index, parallel workers, vacuum, a checkpoint, a dump, a base
# backup by the replication protocol, a restart after a crash. Root only starts it, as the entry points of images do.
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
data=/var/lib/postgresql/data
export PGHOST=/tmp PGUSER=postgres
cd /tmp
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
serve() { as postgres pg_ctl -D $data -l $data/log -w -o '-k /tmp -c listen_addresses=127.0.0.1' start; }

as postgres initdb -D $data --auth=trust --no-instructions
serve
sql <<'SQL'
CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item SELECT n, md5(n::text) FROM generate_series(1, 50000) AS n;
CREATE INDEX ON item (name);
VACUUM (ANALYZE, PARALLEL 1) item;
CHECKPOINT;
SQL
[ "$(sql -c "SELECT id FROM item WHERE name = md5('42')")" = 42 ]
[ "$(sql -h 127.0.0.1 -c 'SELECT count(*) FROM item')" = 50000 ]
sql >/tmp/parallel <<'SQL'
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT sum(length(name)) FROM item;
SQL
grep -q 'Workers Launched: 2' /tmp/parallel
pg_dump postgres | grep 'CREATE INDEX'
as postgres pg_basebackup -D /var/lib/postgresql/backup -X stream
# JIT compilation needs memory that is written and executed: not at `strict`.
if ! at_strict; then
  sql -c 'SET jit_above_cost = 0; EXPLAIN (ANALYZE) SELECT sum(length(name)) FROM item' | grep JIT
fi
as postgres pg_ctl -D $data -w -m immediate stop
serve
[ "$(sql -c 'SELECT count(*) FROM item')" = 50000 ]
as postgres pg_ctl -D $data -w -m fast stop
fails grep -E 'PANIC|FATAL: *could not' $data/log
works
