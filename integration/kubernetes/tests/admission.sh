# What Kubernetes makes of a RuntimeClass, and of a pod that names one.

prepare() {
  pod small sandrun 'sleep infinity' '{"resources": {"limits": {"memory": "64Mi", "cpu": "200m"}}}'
  ready small
}

it_copies_overhead_and_node_selector() {
  local class=runtimeclass/sandrun
  same "$(field pod/small .spec.overhead.memory)" "$(field $class .overhead.podFixed.memory)"
  same "$(field pod/small .spec.overhead.cpu)" "$(field $class .overhead.podFixed.cpu)"
  same "$(field pod/small '.spec.nodeSelector.sandrun\.dev/ready')" true
}

it_gives_the_pod_cgroup_limit_and_overhead() {
  local cgroup memory cpu
  memory=$(field pod/small .spec.overhead.memory)
  cpu=$(field pod/small .spec.overhead.cpu)
  cgroup=$(pod_cgroup small memory)
  same "$(cat "$cgroup/memory.limit_in_bytes")" $((64 * 1048576 + $(numfmt --from=auto "${memory%i}i")))
  cgroup=$(pod_cgroup small cpu)
  same "$(cat "$cgroup/cpu.cfs_quota_us")" $((20000 + ${cpu%m} * 100))
}

it_leaves_the_container_its_own_limit() {
  same "$(cat "$(pod_cgroup small memory)"/*/memory.limit_in_bytes | sort -n | head -n 1)" $((64 * 1048576))
}

it_waits_for_a_node_with_the_label() {
  kubectl label node node sandrun.dev/ready- >/dev/null
  pod nowhere sandrun
  within 10 described nowhere "1 node(s) didn't match"
  kubectl label node node sandrun.dev/ready=true >/dev/null
  within 60 ready nowhere
}

it_refuses_a_class_that_does_not_exist() {
  refused 'RuntimeClass "no-such-class" not found' pod lost no-such-class
}

it_refuses_a_selector_against_the_class() {
  refused conflict pod torn sandrun '' '' '{"nodeSelector": {"sandrun.dev/ready": "false"}}'
}

it_names_a_handler_that_containerd_lacks() {
  pod orphan nothing
  within 30 described orphan 'no runtime for "nothing" is configured'
}
