# Labels of the security module that this kernel was booted with. Part of guest.sh.

# labelled NAME FIELD LABEL SCRIPT: a bundle whose shell has this label.
labelled() {
  bundle "$1" "[\"/bin/sh\", \"-c\", \"$4\"]" ".process.$2 = \"$3\""
  ln -sf busybox "$1/rootfs/bin/cat"
  echo secret >"$1/rootfs/etc/secret"
}

# confined FIELD LABEL CURRENT OTHER: runs and execs have the label, and it confines.
confined() {
  field=$1 label=$2 current=$3 other=$4
  labelled label "$field" "$label" "cat /proc/self/attr/current; cat /etc/secret"
  if [ "$field" = selinuxLabel ]; then
    check "labels of files" find label/rootfs ! -type l -exec chcon system_u:object_r:container_file_t:s0 '{}' +
    check "label of the secret" chcon system_u:object_r:secret_t:s0 label/rootfs/etc/secret
  fi
  for level in oci baseline; do
    says "$field at $level" 1 "$current" sandrun --level $level run --bundle label label
    says "the secret is refused" 0 'Permission denied' echo "$said"
    jq '.process.args = ["/bin/sleep", "999"]' label/config.json >label/new && mv label/config.json label/kept
    mv label/new label/config.json
    check "create" sh -c "sandrun --level $level create --bundle label label >/run/label.out 2>&1 </dev/null"
    says "confirmed" 0 "$label" sh -c 'sandrun state label | jq -c .sandrun.receipt.layers'
    check "start" sandrun start label
    says "an exec has it too" 0 "$current" sandrun exec label /bin/cat /proc/self/attr/current
    if [ $level = oci ]; then expected=0 pattern=$other; else expected=78 pattern=process.$field; fi
    case $field in selinuxLabel) flag=--process-label ;; *) flag=--apparmor ;; esac
    says "another one at $level" $expected "$pattern" sandrun exec $flag "$other" label /bin/cat /proc/self/attr/current
    check "delete" sandrun delete --force label
    mv label/kept label/config.json
  done
  jq ".process.$field = \"no:such:label:s0\"" label/config.json >label/new && mv label/new label/config.json
  says "a label that nobody knows" 125 "process.$field" sandrun run --bundle label label
  show 2
}

case $(cat /sys/kernel/security/lsm) in
*apparmor*)
  rules='file, capability, network, signal, ptrace, mount, umount, pivot_root,'
  for name in sandrun-test sandrun-other; do
    echo "profile $name flags=(attach_disconnected,mediate_deleted) { $rules deny /**/etc/secret r, deny /etc/secret r, }"
  done >/run/profiles
  check "profiles" apparmor_parser -r -K /run/profiles
  confined apparmorProfile sandrun-test '^sandrun-test \(enforce\)' sandrun-other
  ;;
*selinux*)
  confined selinuxLabel system_u:system_r:container_t:s0:c1,c2 '^system_u:system_r:container_t:s0:c1,c2' \
    system_u:system_r:container_t:s0:c1,c3
  ;;
esac
