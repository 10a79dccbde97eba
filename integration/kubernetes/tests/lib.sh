# What the tests have in common. They run on the node, as root, with kubectl.

# Runs a command until it succeeds, SECONDS long at most; then once more, to be read.
within() {
  local seconds=$1 end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then
      echo "not within $seconds s: $*"
      "$@"
      return 1
    fi
    sleep 0.3
  done
}

# Whether standard input has a line with this text; it is shown where not.
has() {
  local text
  text=$(cat)
  grep -qF -- "$1" <<<"$text" && return
  echo "nothing with '$1' in:"
  echo "$text"
  return 1
}

lacks() {
  local text
  text=$(cat)
  grep -qF -- "$1" <<<"$text" || return 0
  echo "'$1' is in:"
  echo "$text"
  return 1
}

# Whether a command fails, and says this.
refused() {
  local text=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "succeeded: $*: $output"
    return 1
  fi
  has "$text" <<<"$output"
}

same() {
  [ "$1" = "$2" ] && return
  echo "expected '$2', is '$1'"
  return 1
}

# One container in a pod:   pod NAME CLASS [SHELL-SCRIPT [MORE-OF-CONTAINER [MORE-OF-POD]]]   (JSON objects)
pod() {
  local more_of_container=${4:-} more_of_pod=${5:-}
  jq -n --arg name "$1" --arg class "$2" --arg script "${3:-sleep infinity}" \
    --argjson container "${more_of_container:-{\}}" --argjson pod "${more_of_pod:-{\}}" '
    {apiVersion: "v1", kind: "Pod", metadata: {name: $name},
     spec: ({runtimeClassName: $class, terminationGracePeriodSeconds: 1,
       containers: [{name: "main", image: "sandrun.test/busybox:1", command: ["sh", "-c", $script]} + $container]} + $pod)}' |
    kubectl apply -f -
}

ready() {
  local name
  for name in "$@"; do
    kubectl wait --for=condition=Ready "pod/$name" --timeout=60s >/dev/null || { kubectl describe pod "$name" && return 1; }
  done
}

# A running pod's name for a command inside of it.
inside() {
  local name=$1
  shift
  kubectl exec "$name" -- "$@"
}

field() { kubectl get "$1" -o "jsonpath={$2}"; }

# Fails while a field has another value.
field_is() { same "$(field "$1" "$2")" "$3"; }

described() { kubectl describe pod "$1" | has "$2"; }

# The cgroup of a pod in the hierarchy of a controller.
pod_cgroup() {
  local uid
  uid=$(field "pod/$1" .metadata.uid)
  find "/sys/fs/cgroup/$2/kubepods" -type d -name "pod$uid"
}
