# A key store: threads for input and output, a snapshot by fork, an append-only file that a restart reads back.
dir=/var/lib/redis
serve() {
  as redis redis-server --port 6379 --dir $dir --unixsocket $dir/socket --appendonly yes --save '' --io-threads 2 \
    --logfile $dir/log &
  await redis-cli ping
}
cli() { redis-cli -e "$@"; }

serve
[ "$(cli SET key value)" = OK ]
[ "$(redis-cli -s $dir/socket GET key)" = value ]
[ "$(cli EVAL 'return redis.call("INCR", KEYS[1]) + 41' 1 counter)" = 42 ]
redis-benchmark -q -n 2000 -c 20 -t set,get,lpush -P 4
cli BGSAVE
await sh -c 'redis-cli INFO persistence | grep rdb_bgsave_in_progress:0'
cli INFO persistence | grep rdb_last_bgsave_status:ok
redis-check-rdb $dir/dump.rdb
cli BGREWRITEAOF
await sh -c 'redis-cli INFO persistence | grep aof_rewrite_in_progress:0'
cli INFO persistence | grep aof_last_bgrewrite_status:ok
cli MEMORY PURGE
redis-cli SHUTDOWN
wait
serve
[ "$(cli GET key)" = value ]
redis-cli SHUTDOWN
wait
works
