# What a kubelet does with pods from their beginning to their end.

it_is_ready_when_its_probe_succeeds() {
  pod slow sandrun 'sleep 3; touch /tmp/ready; sleep infinity' \
    '{"readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}}'
  within 30 field_is pod/slow .status.phase Running
  field_is pod/slow '.status.containerStatuses[0].ready' false
  ready slow
}

it_is_restarted_when_its_probe_fails() {
  pod ill sandrun 'sleep infinity' \
    '{"livenessProbe": {"exec": {"command": ["sh", "-c", "echo I am ill; exit 1"]}, "periodSeconds": 1, "failureThreshold": 1}}'
  within 60 described ill 'Liveness probe failed: I am ill'
  within 60 restarted ill
}
restarted() { [ "$(field "pod/$1" '.status.containerStatuses[0].restartCount')" -ge 1 ]; }

it_runs_hooks_of_the_pod() {
  pod hooked sandrun 'trap "cat /out/said >/out/told; exit 0" TERM; while true; do sleep 0.1; done' '
    {"volumeMounts": [{"name": "out", "mountPath": "/out"}], "lifecycle": {
      "postStart": {"exec": {"command": ["sh", "-c", "echo started >/out/said"]}},
      "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >>/out/said"]}}}}' '
    {"terminationGracePeriodSeconds": 10, "volumes": [{"name": "out", "hostPath": {"path": "/tmp/hooked", "type": "DirectoryOrCreate"}}]}'
  ready hooked
  kubectl delete pod hooked
  same "$(paste -sd, /tmp/hooked/told)" started,stopping
}

it_runs_init_containers_first() {
  pod ordered sandrun 'cat /work/order; sleep infinity' '{"volumeMounts": [{"name": "work", "mountPath": "/work"}]}' '
    {"volumes": [{"name": "work", "emptyDir": {}}], "initContainers": [
      {"name": "one", "image": "sandrun.test/busybox:1", "command": ["sh", "-c", "echo one >>/work/order"], "volumeMounts": [{"name": "work", "mountPath": "/work"}]},
      {"name": "two", "image": "sandrun.test/busybox:1", "command": ["sh", "-c", "echo two >>/work/order"], "volumeMounts": [{"name": "work", "mountPath": "/work"}]}]}'
  ready ordered
  same "$(kubectl logs ordered | paste -sd,)" one,two
}

it_shares_processes_with_a_sidecar() {
  pod together sandrun 'exec sleep 1234' '' '
    {"shareProcessNamespace": true, "containers": [
      {"name": "main", "image": "sandrun.test/busybox:1", "command": ["sleep", "1234"]},
      {"name": "side", "image": "sandrun.test/busybox:1", "command": ["sleep", "5678"]}]}'
  ready together
  kubectl exec together -c side -- ps | has 'sleep 1234'
  kubectl exec together -c side -- ps | has /pause
  kubectl exec together -c main -- ps | has 'sleep 5678'
  local started=$SECONDS
  kubectl delete pod together
  [ $((SECONDS - started)) -lt 20 ]
}

it_shares_address_and_shared_memory() {
  local container='{"image": "sandrun.test/busybox:1", "command": ["sleep", "infinity"]}'
  pod pair sandrun '' '' "{\"containers\": [$container, $container]}" 2>/dev/null && return 1
  pod pair sandrun '' '' "$(jq -n --argjson c "$container" '{containers: [$c + {name: "main"}, $c + {name: "side"}]}')"
  ready pair
  kubectl exec pair -c main -- sh -c 'echo seen >/dev/shm/note; hostname; ip address show eth0' | has pair
  kubectl exec pair -c side -- cat /dev/shm/note | has seen
  same "$(kubectl exec pair -c side -- ip -o -4 address show eth0)" "$(kubectl exec pair -c main -- ip -o -4 address show eth0)"
}

it_mounts_configuration_and_secrets() {
  kubectl create configmap settings --from-literal=colour=green
  kubectl create secret generic password --from-literal=word=sesame
  pod reader sandrun-strict '' '{"volumeMounts": [{"name": "settings", "mountPath": "/settings"},
      {"name": "password", "mountPath": "/password", "readOnly": true}, {"name": "memory", "mountPath": "/memory"}],
      "env": [{"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}}]}' '
    {"volumes": [{"name": "settings", "configMap": {"name": "settings"}}, {"name": "password", "secret": {"secretName": "password"}},
      {"name": "memory", "emptyDir": {"medium": "Memory"}}]}'
  ready reader
  same "$(inside reader cat /settings/colour /password/word)" greensesame
  same "$(inside reader sh -c 'echo $COLOUR')" green
  inside reader sh -c 'echo kept >/memory/it; cat /memory/it; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace' | has keptlife ||
    inside reader sh -c 'cat /memory/it /var/run/secrets/kubernetes.io/serviceaccount/namespace' | has life
  refused 'Read-only' inside reader sh -c 'echo other >/password/word'
  kubectl create configmap settings --from-literal=colour=blue --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  within 90 sees_blue
}
sees_blue() { inside reader cat /settings/colour | has blue; }

it_runs_as_the_user_of_the_pod() {
  pod somebody sandrun-strict '' '{"volumeMounts": [{"name": "work", "mountPath": "/work"}]}' '
    {"securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000, "runAsNonRoot": true},
     "volumes": [{"name": "work", "emptyDir": {}}]}'
  ready somebody
  inside somebody id | has 'uid=1000(user) gid=1000(user)'
  inside somebody sh -c 'touch /work/mine; stat -c %g /work/mine' | has 2000
}

it_runs_on_every_node_as_a_daemon_set() {
  jq -n '{apiVersion: "apps/v1", kind: "DaemonSet", metadata: {name: "everywhere"}, spec: {
      selector: {matchLabels: {app: "everywhere"}}, template: {metadata: {labels: {app: "everywhere"}}, spec: {
      runtimeClassName: "sandrun", terminationGracePeriodSeconds: 1,
      containers: [{name: "main", image: "sandrun.test/busybox:1", command: ["sleep", "infinity"]}]}}}}' | kubectl apply -f -
  kubectl rollout status daemonset/everywhere --timeout=60s
  kubectl delete daemonset everywhere
}

it_finishes_jobs() {
  kubectl create job sums --image=sandrun.test/busybox:1 --dry-run=client -o json -- sh -c 'echo $((6 * 7))' |
    jq '.spec.template.spec.runtimeClassName = "sandrun"' | kubectl apply -f -
  kubectl wait --for=condition=Complete job/sums --timeout=60s
  kubectl logs job/sums | has 42
}

it_restarts_what_failed_and_only_that() {
  pod again sandrun 'echo try; sleep 1; exit 1' '' '{"restartPolicy": "OnFailure"}'
  pod once sandrun 'echo try; exit 1' '' '{"restartPolicy": "Never"}'
  within 60 restarted again
  kubectl logs again --previous | has try
  within 30 field_is pod/once .status.phase Failed
  field_is pod/once '.status.containerStatuses[0].restartCount' 0
}

it_ends_when_it_is_asked_to() {
  pod polite sandrun 'trap "echo goodbye >/out/word; exit 0" TERM; while true; do sleep 0.1; done' \
    '{"volumeMounts": [{"name": "out", "mountPath": "/out"}]}' '
    {"terminationGracePeriodSeconds": 30, "volumes": [{"name": "out", "hostPath": {"path": "/tmp/polite", "type": "DirectoryOrCreate"}}]}'
  ready polite
  local started=$SECONDS
  kubectl delete pod polite
  [ $((SECONDS - started)) -lt 20 ]
  same "$(cat /tmp/polite/word)" goodbye
}

it_is_killed_when_it_does_not_end() {
  pod deaf sandrun 'trap "" TERM; while true; do sleep 0.1; done' '' '{"terminationGracePeriodSeconds": 2}'
  ready deaf
  local started=$SECONDS
  kubectl delete pod deaf
  [ $((SECONDS - started)) -ge 2 ] && [ $((SECONDS - started)) -lt 20 ]
}
