# What really binds a workload, seen from within, at each of the three classes.

prepare() {
  local class
  for class in sandrun sandrun-strict sandrun-oci; do pod "${class/sandrun-/}" $class; done
  ready sandrun strict oci
}

status() { inside "$1" sh -c "grep '^$2:' /proc/self/status | cut -f 2"; }

it_filters_system_calls() {
  same "$(status sandrun Seccomp)" 2
  same "$(status strict Seccomp)" 2
  same "$(status oci Seccomp)" 0
}

it_sets_no_new_privs() {
  same "$(status sandrun NoNewPrivs)" 1
  same "$(status strict NoNewPrivs)" 1
}

it_takes_capabilities() {
  # Nine at most at baseline, none at strict; containerd's fourteen at oci.
  same "$(status strict CapBnd)" 0000000000000000
  same "$(status strict CapEff)" 0000000000000000
  same "$(status oci CapBnd)" 00000000a80425fb
  local left=$((0x$(status sandrun CapBnd))) allowed=$((0xa80425fb))
  [ $((left & ~allowed)) = 0 ] && [ $left != $allowed ]
}

it_binds_the_first_process_too() {
  same "$(inside sandrun sh -c "grep '^Seccomp:' /proc/1/status | cut -f 2")" 2
  same "$(inside strict sh -c "grep '^CapEff:' /proc/1/status | cut -f 2")" 0000000000000000
}

it_executes_nothing_that_was_written_at_strict() {
  local try='cp /bin/busybox /tmp/echo && /tmp/echo written'
  inside sandrun sh -c "$try" | has written
  inside oci sh -c "$try" | has written
  refused denied inside strict sh -c "$try"
}

it_makes_no_user_namespace() {
  inside oci unshare -U true
  refused 'not permitted' inside sandrun unshare -U true
  refused 'not permitted' inside strict unshare -U true
}

it_gives_strict_user_ids_of_its_own() {
  same "$(inside oci awk '{ print $2; exit }' /proc/self/uid_map)" 0
  [ "$WAY" = shim ] || { echo "only the shim mounts the root filesystem with other ids" && return 77; }
  refused "expected '0'" same "$(inside strict awk '{ print $2; exit }' /proc/self/uid_map)" 0
}

# Overhead pays for what runs beside the containers, so that has to be in the pod's cgroup.
it_accounts_the_shim_to_the_pod() {
  [ "$WAY" = shim ] || { echo "runc's shim stays where containerd is" && return 77; }
  local pid cgroup
  cgroup=$(pod_cgroup sandrun memory)
  for pid in $(cat "$cgroup/cgroup.procs" "$cgroup"/sandrun*/cgroup.procs 2>/dev/null); do
    tr '\0' ' ' <"/proc/$pid/cmdline"
  done | has containerd-shim-sandrun-v2
}
