# Level strict as this kernel can keep it: the receipt names what is absent, and all else is as anywhere. Read by guest.sh.

case $(uname -r) in
# The bundle is on a tmpfs, which Linux 6.1 cannot idmap.
6.1.*) lacking='landlock,user ids,memfd,mdwe,' map='^ *0 +0 +4294967295$' open='shmget host-paths host-root' ;;
*) lacking='' map='^ *0 +2[01][0-9]{8} +65536$' open='shmget host-paths' ;;
esac

traces >/run/strict.before
allows "strict: what is open on purpose" "$open" sandrun --level strict run --bundle plain s
bundle strict '["/bin/sleep", "999"]' .
ln -sf busybox strict/rootfs/bin/cat
check "strict: create" sh -c \
  'sandrun --level strict create --bundle strict strict >/run/strict.out 2>&1 </dev/null || { cat /run/strict.out; false; }'
check "strict: start" sandrun start strict
receipt=$(sandrun state strict | jq -r '.sandrun.receipt.layers[] | "\(.layer): \(.state), \(.detail)"')
says "strict: layers that are absent or partial" 0 "^$lacking\$" echo "$(echo "$receipt" | grep -v ': enforced' | cut -d: -f1 | tr '\n' ,)"
said=$(echo "$receipt" | grep -v ': enforced') && show
if [ "$lacking" ]; then
  says "strict: what each is without" 0 \
    'partial, ABI 2.*signals.*Linux 6.12 .*user ids: absent, .*root.path.*memfd: absent, .*Linux 6.3 mdwe: absent, .*Linux 6.3' echo $receipt
fi
says "strict: layers of any kernel" 0 'write_xor_execute: enforced.*capabilities: enforced, none.*seccomp: enforced, 1 filter: strict' echo $receipt
says "strict: ids as said" 0 "$map" sandrun exec strict /bin/cat /proc/self/uid_map
says "strict: exec, as confined" 0 '"Seccomp":"2"' sandrun exec strict /bin/probe status
check "strict: delete --force" sandrun delete --force strict
says "strict: no ids are left" 0 '^0$' sh -c 'ls /run/sandrun-ids | wc -l'
traces >/run/strict.after
check "strict: nothing is left" diff /run/strict.before /run/strict.after
