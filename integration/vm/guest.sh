#!/bin/sh
# What is tested in the guest, as root. Each check prints one line; the last line counts them.
# Each leaves the host as it was: cgroups, mounts and state are compared at the end.
passed=0 failed=0
cd /run || exit 1

ok() { passed=$((passed + 1)); echo "ok      $1"; }
not_ok() { failed=$((failed + 1)); echo "FAILED  $1"; shift; printf '          %s\n' "$@"; }

# check WHAT COMMAND...: succeeds, and its output is shown if not.
check() {
  what=$1; shift
  if said=$("$@" 2>&1); then ok "$what"; else not_ok "$what" "status $?" "$said"; fi
}

# says WHAT STATUS PATTERN COMMAND...: ends with this status and says this.
says() {
  what=$1 status=$2 pattern=$3; shift 3
  said=$("$@" 2>&1); got=$?
  if [ "$got" = "$status" ] && echo "$said" | grep -Eq -- "$pattern"; then ok "$what"
  else not_ok "$what" "status $got, expected $status and /$pattern/" "$(echo "$said" | head -n 8)"; fi
}

# allows WHAT GATES COMMAND...: of all that the probe tries, exactly these (divided by blanks) are open.
allows() {
  what=$1 gates=$2; shift 2
  said=$("$@" 2>&1); got=$?
  open=$(echo "$said" | sed -n 's/^[0-9]* attempts: .* allowed (\(.*\))$/\1/p' | tr -d ,)
  if [ "$got" = 0 ] && [ "$open" = "$gates" ]; then ok "$what"
  else not_ok "$what" "status $got, open: $open" "expected: $gates" "$(echo "$said" | tail -n 2)"; fi
}

# bundle NAME ARGS JQ: a bundle whose program is ARGS (a JSON list), with config.json edited by JQ.
bundle() {
  mkdir -p "$1/rootfs"
  for place in bin proc dev sys tmp etc; do mkdir -p "$1/rootfs/$place"; done
  cp /bin/busybox /bin/probe "$1/rootfs/bin/"
  ln -sf busybox "$1/rootfs/bin/sh"; ln -sf busybox "$1/rootfs/bin/sleep"
  rm -f "$1/config.json"
  sandrun spec --bundle "$1" || return
  jq ".process.args = $2 | .process.terminal = false | $3" "$1/config.json" >"$1/new" && mv "$1/new" "$1/config.json"
}

# What a container could leave.
traces() {
  find /sys/fs/cgroup -type d | sort
  cat /proc/self/mountinfo
  ls -A /run/sandrun 2>/dev/null
  for process in /proc/[0-9]*; do tr '\0' ' ' <"$process/cmdline"; done 2>/dev/null | grep -o '[p]robe\|[s]leep 999' | sort
}

# What was said, for who reads the output.
show() { echo "$said" | grep . | head -n "${1:-12}" | sed 's/^/          /'; }

echo "Linux $(uname -r), cgroup $LAYOUT, first process $(cat /proc/1/comm), LSM $(cat /sys/kernel/security/lsm)"
echo "$(sandrun --version | head -n 1)"

check "a bundle" bundle plain '["/bin/probe", "report", "--text"]' .

case $(uname -r) in
[1-4].*|5.?.*|5.10.*|5.11.*)
  says "an old kernel is named" 125 'needs Linux 5.14' sandrun run --bundle plain old
  show
  says "for try, too" 125 'needs Linux 5.14' sandrun try -- true
  check "and nothing is made" sh -c '! ls -d /run/sandrun/* /sys/fs/cgroup/sandrun* 2>/dev/null'
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]; exit
esac

# The first container of a boot makes what stays: the directory for the state, controllers passed on.
sandrun run --bundle plain warm >/dev/null 2>&1

# Labels and level strict are all that is asked of SELinux: its policy knows nothing else.
if [ "$LAYOUT" = selinux ]; then
  . /strict.sh
  . /labels.sh
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]; exit
fi
case $LAYOUT in systemd*) . /systemd.sh ;; esac

traces >/run/before

# Linux 6.1 has no memory-deny-write-execute that could be off.
case $(uname -r) in 6.1.*) mdwe= ;; *) mdwe=' no-mdwe' ;; esac
purpose="shmget multicast-join write-exec-memory exec-after-write$mdwe exec-memfd exec-written map-written host-paths"
allows "baseline: what is open on purpose" "$purpose host-root" sandrun run --bundle plain a
show 5
says "oci runs, and allows some" 0 '^[0-9]+ attempts: .* [1-9][0-9]* allowed' sandrun --level oci run --bundle plain b

bundle memory '["/bin/probe", "eat", "64"]' '.linux.resources.memory = {limit: 33554432}'
says "memory limit" 137 'memory' sandrun run --bundle memory m
show
bundle memory '["/bin/probe", "eat", "64"]' '.linux.resources.memory = {limit: 134217728, swap: 134217728}'
says "below the memory limit" 0 touchedMib sandrun run --bundle memory m
bundle pids '["/bin/probe", "forkbomb", "50"]' '.linux.resources.pids = {limit: 10}'
says "process limit" 0 '"forked":[ ]?[0-9],.*EAGAIN' sandrun run --bundle pids p
bundle limits '["/bin/probe", "cgroup"]' \
  '.linux.resources.cpu = {shares: 512, quota: 20000, period: 100000} | .linux.resources.pids = {limit: 33}'
says "cpu quota" 0 '"cpuMax":"20000' sandrun run --bundle limits l

bundle life '["/bin/sleep", "999"]' '.linux.resources.pids = {limit: 30}'
check "create" sh -c 'sandrun create --bundle life life >/run/life.out 2>&1 </dev/null'
says "created" 0 '"created"' sandrun state life
check "start" sandrun start life
says "running" 0 '"running"' sandrun state life
receipt=$(sandrun state life | jq -r '.sandrun.receipt.layers[] | "\(.layer): \(.state), \(.detail)"')
says "a cgroup and devices that the kernel confirms" 0 'cgroup: enforced.*devices: enforced' echo $receipt
says "seccomp and Landlock in force" 0 'landlock: (enforced|partial, ABI 2).*seccomp: enforced' echo $receipt
said=$receipt && show
says "exec, as confined as the container" 0 '"Seccomp":"2"' sandrun exec life /bin/probe status
says "exec as a user, with a status" 7 '' sandrun exec --user 1000:1000 life /bin/probe exit 7
says "ps" 0 sleep sandrun ps life
says "list" 0 'life.*running' sandrun list
check "pause" sandrun pause life
says "paused" 0 '"paused"' sandrun state life
says "no exec while paused" 125 paused sandrun exec life /bin/probe exit 0
check "resume" sandrun resume life
says "resumed" 0 '"running"' sandrun state life
check "kill" sandrun kill life KILL
sleep 0.3
says "stopped" 0 '"stopped"' sandrun state life
check "delete" sandrun delete life
sandrun create --bundle life life >/dev/null 2>&1 </dev/null && sandrun start life && sandrun pause life
check "delete --force while paused" sandrun delete --force life

. /strict.sh
. /resources.sh
. /landlock.sh

bundle tty '["/bin/probe", "tty"]' '.process.terminal = true'
says "terminal" 0 '"isatty": ?\[true, ?true, ?true\]' script -qec 'stty cols 91 rows 37; sandrun run --bundle tty t' /dev/null
bundle user '["/bin/probe", "report", "--text"]' '.linux.namespaces += [{type: "user"}]
  | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings'
chown -R 100000:100000 user/rootfs
allows "user namespace" "$purpose" sandrun run --bundle user u
says "user namespace at oci" 0 '^[0-9]+ attempts' sandrun --level oci run --bundle user u
bundle devices '["/bin/sh", "-c", "cat /dev/null && head -c1 /dev/zero >/dev/null && echo fine; mknod /tmp/k c 1 2 && cat /tmp/k"]' \
  '.root.readonly = false | .process.capabilities |= map_values(. + ["CAP_MKNOD"])'
for applet in cat head mknod; do ln -sf busybox devices/rootfs/bin/$applet; done
says "the device list holds at oci" 1 'fine' sandrun --level oci run --bundle devices d
says "not permitted" 0 'not permitted' echo "$said"

case $(uname -r) in
6.1.*) young=125 tmpfs='tmpfs since 6.3' ;;
*) young=0 tmpfs='^1000:1000$' ;;
esac
bundle idmap '["/bin/sh", "-c", "stat -c %u:%g /mapped"]' \
  '.mounts += [{destination: "/mapped", type: "tmpfs", source: "tmpfs", options: ["idmap"]}]
  | .mounts[-1].uidMappings = [{containerID: 0, hostID: 1000, size: 9}] | .mounts[-1].gidMappings = .mounts[-1].uidMappings'
ln -sf busybox idmap/rootfs/bin/stat
says "an idmapped tmpfs" $young "$tmpfs" sandrun run --bundle idmap i
for propagation in shared rslave private runbindable; do
  bundle $propagation '["/bin/sh", "-c", "echo fine"]' ".linux.rootfsPropagation = \"$propagation\""
  says "a root that is $propagation" 0 fine sandrun run --bundle $propagation p
done

# The bundle is on a tmpfs, which Linux 6.1 cannot idmap.
bundle ids '["/bin/sh", "-c", "cat /proc/self/uid_map; ulimit -Hn; touch /made"]' \
  '.root.readonly = false | .process.rlimits = [{type: "RLIMIT_NOFILE", hard: 1048576, soft: 1024}]'
for applet in cat touch; do ln -sf busybox ids/rootfs/bin/$applet; done
case $(uname -r) in
6.1.*)
  says "private ids where a tmpfs cannot be idmapped" 125 'root.path.*mount_setattr' sandrun run --private-ids --bundle ids i
  ;;
*)
  says "private ids" 0 ' 2[01][0-9]{8} *65536' sandrun run --private-ids --bundle ids i
  says "limits above the caller's" 0 '^1048576$' echo "$said"
  says "files are still root's" 0 '^0:0$' stat -c %u:%g ids/rootfs/made
  ;;
esac
says "no ids are left" 0 '^0$' sh -c 'ls /run/sandrun-ids | wc -l'
. /labels.sh

who='id && cat /proc/self/uid_map'
says "try as root" 0 '^ *0 +2[01][0-9]{8} +65536$' sandrun try -- sh -c "$who"
show
mkdir -p /run/user/1000; chown 1000:1000 /run/user/1000
ordinary() { XDG_RUNTIME_DIR=/run/user/1000 HOME=/home /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
says "try as a user" 0 '^ *0 +1000 +1$' ordinary sandrun try -- sh -c "$who"
show
bundle rootless '["/bin/sh", "-c", "cat /proc/self/uid_map; echo x >/dev/null && echo fine"]' 'del(.linux.resources, .linux.cgroupsPath)
  | .mounts |= map(.options |= (. // [] | map(select(. != "gid=5"))))'
ln -sf busybox rootless/rootfs/bin/cat
says "root inside a user namespace" 0 fine ordinary unshare -r -m sandrun run --bundle /run/rootless r
says "and without mounts of its own" 0 fine ordinary unshare -r sandrun run --bundle /run/rootless r
says "not without a user namespace" 125 'linux.namespaces' ordinary sandrun run --bundle /run/rootless r
says "try shows its layers" 0 seccomp ordinary sandrun try --verbose -- true
show
says "try writes nothing" 1 'Read-only|denied' sandrun try -- touch /etc/x

traces >/run/after
check "nothing is left" diff /run/before /run/after
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
