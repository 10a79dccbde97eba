# Part of guest.sh: Landlock as this kernel has it. Debian's 6.1 has ABI 2, without ports; its 6.12 has ABI 6.

abi=$(sandrun features | jq -r '.annotations["dev.sandrun.landlock.abi"]')
case $(uname -r) in
6.1.*) says "Landlock ABI 2" 0 '^2$' echo "$abi" ;;
6.12.*) says "Landlock ABI 6" 0 '^6$' echo "$abi" ;;
esac

files='ruleset: {handledAccessFS: ["read_file"]},
  rules: {pathBeneath: [{allowedAccess: ["read_file"], paths: ["/bin", "/proc"]}]}'
bundle rules '["/bin/probe", "read", "/etc/file"]' ".process.landlock = {$files}"
echo granted >rules/rootfs/etc/file
for level in oci baseline strict; do
  says "process.landlock at $level" 0 '"errno": ?"EACCES"' sandrun --level $level run --bundle rules r
done
bundle ports '["/bin/probe", "tcp", "7001"]' '.annotations["dev.sandrun.tcp-bind"] = "80" | .annotations["dev.sandrun.tcp-connect"] = "80"'
bundle effort '["/bin/sleep", "999"]' ".process.landlock = {$files}
  | .process.landlock.ruleset.handledAccessNet = [\"bind_tcp\"] | .process.landlock.disableBestEffort = false"
if [ "$abi" -lt 4 ]; then
  says "ports need another kernel" 125 'bind_tcp.*Linux 6.7' sandrun run --bundle ports p
  show
  bundle block '["/bin/probe", "exit", "0"]' '.process.landlock = {ruleset: {handledAccessNet: ["bind_tcp"]}}'
  says "so does a block that asks for them" 125 'bind_tcp.*Linux 6.7' sandrun run --bundle block b
  check "best effort goes without" sh -c 'sandrun create --bundle effort effort >/run/effort.out 2>&1 </dev/null || { cat /run/effort.out; false; }'
  says "and says so" 0 'partial.*bind_tcp not restricted' sh -c "sandrun state effort | jq -c .sandrun.receipt"
  show
  check "and is gone" sandrun delete --force effort
else
  for level in oci baseline strict; do
    says "ports at $level" 0 '"bind": ?"EACCES".*"connect": ?"EACCES"' sandrun --level $level run --bundle ports p
    says "no way round at $level" 1 '' sh -c "echo '$said' | grep -E '(MPTCP|fast open by send)[a-zA-Z0-9 ]*\": ?null'"
  done
fi
