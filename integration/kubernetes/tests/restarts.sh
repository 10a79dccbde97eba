# The node's daemons end and begin again; the pods must not notice.

prepare() {
  pod steady sandrun 'n=0; while true; do n=$((n + 1)); echo "count $n"; sleep 1; done'
  ready steady
  before=$(identity)
}

# What a restart of the container would change.
identity() { inside steady sh -c 'cut -d " " -f 22 /proc/1/stat'; }

it_survives_a_restart_of_containerd() {
  local before
  before=$(identity)
  systemctl restart containerd
  within 60 field_is node/node '.status.conditions[?(@.type=="Ready")].status' True
  within 30 inside steady true
  same "$(identity)" "$before"
  field_is pod/steady '.status.containerStatuses[0].restartCount' 0
  grows
}

grows() {
  local last
  last=$(kubectl logs steady --tail=1)
  within 20 other_than "$last"
}
other_than() { [ "$(kubectl logs steady --tail=1)" != "$1" ]; }

it_survives_a_restart_of_the_kubelet() {
  local before
  before=$(identity)
  systemctl restart kubelet
  within 60 field_is node/node '.status.conditions[?(@.type=="Ready")].status' True
  within 60 inside steady true
  same "$(identity)" "$before"
  field_is pod/steady '.status.containerStatuses[0].restartCount' 0
  grows
}

it_learns_of_an_end_while_containerd_was_away() {
  pod brief sandrun 'while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 9' '' '{"restartPolicy": "Never"}'
  ready brief
  local root
  root=/proc/$(ctr -n k8s.io task list | awk -v id="$(field pod/brief '.status.containerStatuses[0].containerID' | sed 's|.*//||')" '$1 == id { print $2 }')/root
  systemctl stop containerd
  touch "$root/tmp/end"
  sleep 1
  systemctl start containerd
  within 60 field_is pod/brief '.status.containerStatuses[0].state.terminated.exitCode' 9
}

it_replaces_a_pod_whose_shim_was_killed() {
  pod victim sandrun
  ready victim
  local id
  id=$(crictl_id victim)
  kill -KILL "$(shim_of "$id")"
  within 60 restarted_pod victim
  within 60 ready victim
}
# The sandbox of a pod, by the label that the kubelet gives it.
crictl_id() { ctr -n k8s.io container list -q "labels.\"io.kubernetes.pod.name\"==$1,labels.\"io.cri-containerd.kind\"==sandbox"; }
shim_of() { pgrep -f -- "containerd-shim-.* -id $1" | head -n 1; }
restarted_pod() { [ "$(field "pod/$1" '.status.containerStatuses[0].restartCount')" -ge 1 ]; }

it_leaves_nothing_when_the_pods_are_gone() {
  kubectl delete pod --all >/dev/null
  within 60 nothing_left
}
nothing_left() {
  local left
  left=$(
    ctr -n k8s.io task list -q
    ctr -n k8s.io container list -q
    pgrep -af containerd-shim
    find /sys/fs/cgroup -path '*/kubepods/*/pod*' -type d
    grep -E ' /run/containerd/(io.containerd.runtime.v2.task|io.containerd.grpc.v1.cri)/' /proc/mounts
    ls /run/containerd/io.containerd.runtime.v2.task/k8s.io
    find /run/containerd/sandrun /run/containerd/runc /run/sandrun -mindepth 2 -maxdepth 2 2>/dev/null
  )
  [ -z "$left" ] && return
  echo "left: $left"
  return 1
}
