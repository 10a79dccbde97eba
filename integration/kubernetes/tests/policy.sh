# What a policy of the node's administrator refuses, as the owner of the pod reads it.

prepare() {
  mkdir -p /etc/sandrun /srv/data
  echo 'extends = "baseline"' >/etc/sandrun/policy.toml
}

finish() { rm /etc/sandrun/policy.toml; }

it_lets_an_ordinary_pod_run() {
  kubectl create configmap settings --from-literal=colour=green
  pod ordinary sandrun '' '{"volumeMounts": [{"name": "settings", "mountPath": "/settings"}, {"name": "work", "mountPath": "/work"}]}' \
    '{"volumes": [{"name": "settings", "configMap": {"name": "settings"}}, {"name": "work", "emptyDir": {}}]}'
  ready ordinary
  inside ordinary cat /settings/colour /etc/resolv.conf /etc/hosts | has green
}

it_refuses_a_path_of_the_host() {
  pod digger sandrun '' '{"volumeMounts": [{"name": "data", "mountPath": "/data"}]}' \
    '{"volumes": [{"name": "data", "hostPath": {"path": "/srv/data"}}]}'
  refusal digger /srv/data
}

# Waits for the warning that says this, and that it is the policy that speaks; says all that is shown of it.
refusal() { within 60 warned "$1" "$2"; }
warned() {
  local warnings
  warnings=$(kubectl describe pod "$1" | grep -F Warning)
  grep -F 'of the policy' <<<"$warnings" | has "$2"
}

it_refuses_a_privileged_container() {
  pod mighty sandrun '' '{"securityContext": {"privileged": true}}'
  refusal mighty policy
  refused 'container not found' inside mighty true
}

it_refuses_processes_of_the_host() {
  pod watcher sandrun '' '' '{"hostPID": true}'
  refusal watcher pid
}

it_refuses_an_added_capability() {
  pod adder sandrun '' '{"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}'
  refusal adder SYS_ADMIN
}

it_says_every_reason_at_once() {
  pod all sandrun '' '{"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}' \
    '{"volumes": [{"name": "data", "hostPath": {"path": "/srv/data"}}]}'
  refusal all SYS_ADMIN
  refusal all /srv/data
}

it_clamps_where_it_is_told_to() {
  printf 'extends = "baseline"\n[capabilities]\nmode = "clamp"\nallow = ["KILL"]\n' >/etc/sandrun/policy.toml
  pod clamped sandrun '' '{"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}'
  ready clamped
  same "$(inside clamped sh -c 'grep ^CapBnd: /proc/self/status | cut -f 2')" 0000000000000020
}

it_refuses_exec_where_nobody_may() {
  printf 'extends = "baseline"\n[exec]\nallow = "deny"\n' >/etc/sandrun/policy.toml
  pod sealed sandrun 'echo running; sleep infinity'
  ready sealed
  refused 'policy' inside sealed true
  kubectl logs sealed | has running
  echo 'extends = "baseline"' >/etc/sandrun/policy.toml
}

it_leaves_nothing_of_a_refused_pod() {
  kubectl delete pod --all >/dev/null
  within 30 no_tasks
}
no_tasks() { [ -z "$(ctr -n k8s.io task list -q)" ]; }
