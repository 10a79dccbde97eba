# What the kubelet tells of a pod's use of resources, for `kubectl top` and autoscalers.

prepare() {
  pod busy sandrun 'head -c 20000000 /dev/zero >/dev/shm/held; while true; do :; done' \
    '{"resources": {"limits": {"memory": "64Mi", "cpu": "200m"}}}'
  ready busy
}

summary() {
  kubectl get --raw /api/v1/nodes/node/proxy/stats/summary |
    jq -e --arg name "$1" '.pods[] | select(.podRef.name == $name)'
}

it_counts_memory_and_time_of_a_container() {
  within 60 counts '.containers[0].memory.workingSetBytes > 20000000'
  within 60 counts '.containers[0].memory.workingSetBytes < 64 * 1048576'
  within 60 counts '.containers[0].cpu.usageCoreNanoSeconds > 100000000'
  within 60 counts '.containers[0].cpu.usageNanoCores > 50000000 and .containers[0].cpu.usageNanoCores < 300000000'
}
counts() { summary busy | jq -e "$1"; }

it_counts_the_pod_as_a_whole() {
  within 60 counts '.memory.workingSetBytes >= .containers[0].memory.workingSetBytes'
}

it_tells_containerd_the_same() {
  local id
  id=$(field pod/busy '.status.containerStatuses[0].containerID')
  ctr -n k8s.io task metrics "${id#containerd://}" | awk '$1 == "memory.usage_in_bytes" && $2 > 20000000' | has memory
}
