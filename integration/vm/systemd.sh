# What guest.sh tests more where systemd runs: limits of containers whose cgroup it makes.

sandrun_in_scope() { sandrun --systemd-cgroup "$@"; }

# in_scope NAME ARGS JQ: a bundle for a scope of a slice of the test's own.
in_scope() { bundle "$1" "$2" ".linux.cgroupsPath = \"tests-some.slice:test:$1\" | $3"; }

# unit_is WHAT PATTERN UNIT: the properties of a unit are these, one a line, in the order of their names.
unit_is() { says "$1" 0 "$2" sh -c "systemctl show '$3' | sort | tr '\n' ' '"; }

in_scope scope-memory '["/bin/probe", "eat", "64"]' '.linux.resources.memory = {limit: 33554432, swap: 33554432}'
says "systemd: memory limit" 137 '' sandrun_in_scope run --bundle scope-memory m
in_scope scope-more '["/bin/probe", "eat", "64"]' '.linux.resources.memory = {limit: 134217728, swap: 134217728}'
says "systemd: below the memory limit" 0 touchedMib sandrun_in_scope run --bundle scope-more m
in_scope scope-pids '["/bin/probe", "forkbomb", "50"]' '.linux.resources.pids = {limit: 10}'
says "systemd: process limit" 0 '"forked":[ ]?[0-9],.*EAGAIN' sandrun_in_scope run --bundle scope-pids p

in_scope scope '["/bin/sleep", "999"]' '.linux.resources.cpu = {shares: 512, quota: 25500, period: 100000}
  | .linux.resources.pids = {limit: 33} | .linux.resources.memory = {limit: 134217728}'
check "systemd: create" sh -c 'sandrun --systemd-cgroup create --bundle scope s >/run/s.out 2>&1 </dev/null'
check "systemd: start" sandrun start s
case $LAYOUT in
systemd) limits='CPUWeight=.*MemoryMax=134217728.*TasksMax=33' ;;
systemd-v1) limits='CPUShares=512.*MemoryLimit=134217728.*TasksMax=33' ;;
esac
unit_is "systemd: it knows the limits" "$limits" test-scope.scope
unit_is "systemd: and the slice" 'ControlGroup=/tests.slice/tests-some.slice/test-scope.scope.*Delegate=yes' test-scope.scope
read_limits() { sandrun exec s /bin/probe cgroup | jq -c '.limits | [.memory, .pids, .cpuMax]'; }
said=$(read_limits) && show
says "systemd: exact values in the cgroup" 0 '"134217728","33","25500' read_limits
check "systemd: reload" systemctl daemon-reload
# It stores whole percents of a CPU.
says "systemd: the same after a reload" 0 '"134217728","33","2(5500|6000)' read_limits
receipt=$(sandrun state s | jq -r '.sandrun.receipt.layers[] | "\(.layer): \(.state), \(.detail)"')
says "systemd: confirmed by the kernel" 0 'cgroup: enforced.*devices: enforced' echo $receipt
check "systemd: update" sandrun update --pids-limit 44 s
unit_is "systemd: it knows the new limit" 'TasksMax=44' test-scope.scope
check "systemd: reload after that" systemctl daemon-reload
says "systemd: the new limit after a reload" 0 '"44"' read_limits
check "systemd: pause" sandrun pause s
check "systemd: resume" sandrun resume s
check "systemd: delete --force" sandrun delete --force s
says "systemd: no unit is left" 0 'LoadState=not-found' systemctl show test-scope.scope
check "systemd: no cgroup is left" sh -c '! find /sys/fs/cgroup -name "test-*.scope" | grep .'

# An ordinary user, who is in no tree of their own systemd yet.
as_user() { XDG_RUNTIME_DIR=/run/user/1000 HOME=/home /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
check "systemd: a user's own" systemctl start user@1000.service
bundle users '["/bin/probe", "cgroup"]' '.linux.namespaces += [{type: "user"}] | del(.linux.namespaces[] | select(.type == "network"))
  | .linux.uidMappings = [{containerID: 0, hostID: 1000, size: 1}] | .linux.gidMappings = .linux.uidMappings
  | .linux.resources = {memory: {limit: 134217728}, pids: {limit: 33}}
  | .mounts |= map(if .options then .options -= ["gid=5"] else . end)'
chown -R 1000:1000 users
case $LAYOUT in
systemd)
  says "systemd: limits of a user's container" 0 '"memory":"134217728".*"pids":"33"' as_user sandrun --systemd-cgroup run --bundle users u
  show
  ;;
systemd-v1) says "systemd: a user needs cgroup v2" 125 'cgroup v1' as_user sandrun --systemd-cgroup run --bundle users u ;;
esac
