# Limits as the container reads them, limits that change, and what is told of them. Read by guest.sh.

inside() { sandrun exec changed /bin/probe cgroup; }
below() { echo "/sys/fs/cgroup/$1sandrun-changed"; }
given() { printf '%s' "$1" >/run/resources.json; sandrun update --resources=- changed </run/resources.json; }

case $LAYOUT in
v1|hybrid|systemd-v1) v1=yes swap='"swap":"134217728"' weight='"cpuWeight":"1024"' ;;
*) v1= swap='"swap":"33554432"' weight='"cpuWeight":"100"' ;;
esac

bundle changed '["/bin/sleep", "999"]' '.linux.resources = {memory: {limit: 67108864, swap: 67108864, reservation: 1048576},
  cpu: {shares: 512, quota: 20000, period: 50000, burst: 1000, idle: 0, cpus: "0-1", mems: "0"}, pids: {limit: 30}}'
check "every common limit" sh -c 'sandrun run -d --bundle changed changed >/run/out 2>&1 </dev/null || { cat /run/out; false; }'
says "and the kernel confirms all of them" 0 'cgroup: enforced' \
  sh -c "sandrun state changed | jq -r '.sandrun.receipt.layers[] | \"\\(.layer): \\(.state), \\(.detail)\"'"
show 3

check "update" sandrun update --memory 96M --memory-swap 128M --pids-limit 44 --cpu-quota 30000 --cpu-share 1024 --cpuset-cpus 0 changed
says "memory is updated" 0 '"memory":"100663296"' inside
says "swap is updated" 0 "$swap" inside
says "processes are updated" 0 '"pids":"44"' inside
says "the quota is updated, and the period stays" 0 '"cpuMax":"30000( 50000)?"' inside
says "the weight is updated" 0 "$weight" inside
says "the CPUs are updated" 0 '"cpus":"0"' inside
says "the state tells of it" 0 'memory[a-z_.]*=100663296' sandrun state changed
says "a period alone keeps the quota" 0 '"cpuMax":"30000' sh -c 'sandrun update --cpu-period 60000 changed && sandrun exec changed /bin/probe cgroup'
check "resources from standard input" given '{"pids": {"limit": 45}, "memory": {"limit": 0}, "cpu": {"idle": 1}}'
check "no longer idle, with shares" given '{"cpu": {"idle": 0, "shares": 1024}}'
says "an update that the kernel refuses" 125 'cpuset.cpus' sandrun update --memory 80M --memory-swap 80M --cpuset-cpus 4000 changed
says "changes nothing" 0 '"memory":"100663296"' inside
says "a limit below what is used" 125 'checkBeforeUpdate' given '{"memory": {"limit": 4096, "swap": 4096, "checkBeforeUpdate": true}}'
says "changes nothing either" 0 '"memory":"100663296"' inside
says "realtime is refused by name" 125 'realtimeRuntime.*(CONFIG_RT_GROUP_SCHED|no group scheduling)' \
  sandrun update --cpu-rt-runtime 1000 changed
says "leaf weights have no effect" 0 'CFQ' given '{"blockIO": {"leafWeight": 100}}'
says "an RDMA device that is not there" 125 'no such RDMA device|no rdma controller' \
  given '{"rdma": {"mlx5_1": {"hcaHandles": 3}}}'
says "a disk that is not there" 125 'no such block device|no such file' \
  given '{"blockIO": {"throttleReadBpsDevice": [{"major": 259, "minor": 99, "rate": 1}]}}'
says "a schema without intelRdt" 125 'intelRdt' sandrun update --l3-cache-schema L3:0=f changed
if [ "$v1" ]; then
  says "unified is refused" 125 'unified' given '{"unified": {"memory.high": "50000000"}}'
  check "swappiness, and no OOM killer" given '{"memory": {"swappiness": 10, "disableOOMKiller": true, "kernelTCP": 8388608}}'
  says "as asked" 0 'oom_kill_disable 1' cat "$(below memory/)/memory.oom_control"
  check "classes and priorities of packets" \
    given '{"network": {"classID": 1048577, "priorities": [{"name": "lo", "priority": 4}]}}'
  says "a class as asked" 0 '^1048577$' cat "$(below net_cls/)/net_cls.classid"
  says "a priority as asked" 0 '^lo 4$' cat "$(below net_prio/)/net_prio.ifpriomap"
  says "an interface that is not there" 125 'no such network interface' \
    given '{"network": {"priorities": [{"name": "nic9", "priority": 4}]}}'
  check "an OOM killer" given '{"memory": {"disableOOMKiller": false}}'
else
  check "unified" given '{"unified": {"memory.high": "60000000", "memory.oom.group": "0"}}'
  says "as asked" 0 '^59[0-9]*$' cat "$(below)/memory.high"
  says "classes of packets are refused" 125 'classID.*cgroup v2' given '{"network": {"classID": 1048577}}'
  check "unified, lifted" given '{"unified": {"memory.high": "max"}}'
fi
huge=hugetlb.2MB
if find "$(below)" "$(below hugetlb/)" "$(below unified/)" -name 'hugetlb.2MB.*' 2>/dev/null | grep -q . ||
  grep -qw hugetlb /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null; then
  check "huge pages, with reservations" given '{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}'
  says "as asked" 0 '^4194304$' sh -c "cat /sys/fs/cgroup/sandrun-changed/$huge.rsvd.max /sys/fs/cgroup/*/sandrun-changed/$huge.rsvd.[lm]* 2>/dev/null; true"
  check "without limit" given '{"hugepageLimits": [{"pageSize": "2MB", "limit": 18446744073709551615}]}'
fi

says "statistics" 0 '"type":"stats".*"percpu|"type":"stats".*"usage":\{"total":[1-9]' sandrun events --stats changed
check "a lower limit" sandrun update --memory 32M --memory-swap 32M changed
sandrun events --interval 1h changed >/run/events 2>&1 </dev/null &
sleep 0.5
says "holds" 137 '' sandrun exec changed /bin/probe eat 48
says "and is counted" 0 '"oomKills": [1-9]' sandrun state changed
sleep 0.5
says "and told" 0 '"type":"oom","id":"changed"' cat /run/events

# What the workload could do in a writable hierarchy of its own.
pid=$(sandrun state changed | jq .pid)
for hierarchy in /sys/fs/cgroup/sandrun-changed /sys/fs/cgroup/*/sandrun-changed; do
  [ -d "$hierarchy" ] || continue
  mkdir "$hierarchy/inner"
  for list in cpus mems; do
    cat "$hierarchy/cpuset.$list" >"$hierarchy/inner/cpuset.$list"
  done 2>/dev/null
  echo "$pid" >"$hierarchy/inner/cgroup.procs"
  [ "$v1" ] || echo '+memory +pids' >"$hierarchy/cgroup.subtree_control"
done
says "exec beside controllers that are handed on" 0 'membership' inside
[ "$v1" ] || says "goes where the first process is" 0 '"0::/inner"' inside
says "exec into a cgroup beneath" 0 '/inner"' sandrun exec --cgroup inner changed /bin/probe cgroup
check "pause with cgroups beneath" sandrun pause changed
says "is paused" 0 '"paused"' sandrun state changed
check "an update while paused" sandrun update --pids-limit 50 changed
check "kill while paused" sandrun kill changed KILL
sleep 0.5
says "it is dead" 0 '"stopped"' sandrun state changed
says "no update of what has stopped" 125 'not running' sandrun update --pids-limit 9 changed
check "delete" sandrun delete changed
wait
says "events end with the container" 0 'oom' cat /run/events
