# What every workload's script begins with. The first failure ends it, and is told.
set -Eeuo pipefail
trap 'echo "line $LINENO failed: $BASH_COMMAND" >&2' ERR
export PATH HOME="${HOME:-/tmp}"
exec 3>&1 1>&2

# Waits until a command succeeds.
await() {
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  "$@"
}

# Runs a command as a user of the image, as the entry points of images do.
as() {
  local user=$1
  shift
  if [ "$(id -un)" = "$user" ]; then "$@"; else setpriv --reuid="$user" --regid="$user" --init-groups "$@"; fi
}

# Whether there is no capability to be had, as at `strict`.
at_strict() { grep -q '^CapBnd:[[:space:]]*0*$' /proc/self/status; }

# Succeeds if a command does not.
fails() {
  if "$@"; then echo "no failure: $*" && return 1; fi
}

# The only word on standard output: everything before it has succeeded.
works() { echo works >&3; }
