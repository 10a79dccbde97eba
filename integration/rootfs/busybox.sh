#!/bin/sh
# Makes a small root filesystem in DIR: busybox with its applets as links, and what programs expect to find.
#   busybox.sh DIR
# Uses a static busybox from PATH; on Debian root gets it from the package busybox-static.
set -eu
dir=${1:?usage: busybox.sh DIR}

is_static() { [ -n "$1" ] && LC_ALL=C ldd "$1" 2>&1 | grep -Eq 'not a dynamic|statically linked'; }
busybox=$(command -v busybox || true)
if ! is_static "$busybox"; then
  apt-get install -y -qq --no-install-recommends busybox-static >/dev/null
  busybox=$(command -v busybox)
fi

for place in bin sbin usr/bin usr/sbin etc proc sys dev tmp run root home var/tmp var/log mnt; do
  mkdir -p "$dir/$place"
done
chmod 1777 "$dir/tmp" "$dir/var/tmp"
chmod 700 "$dir/root"
cp "$busybox" "$dir/bin/busybox"
for applet in $("$busybox" --list); do
  [ "$applet" = busybox ] || ln -sf busybox "$dir/bin/$applet"
done
cat >"$dir/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:user:/home:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
PASSWD
cat >"$dir/etc/group" <<'GROUP'
root:x:0:
tty:x:5:
audio:x:29:user
user:x:1000:
nogroup:x:65534:
GROUP
echo 'root:*:19000:0:99999:7:::' >"$dir/etc/shadow"
chmod 600 "$dir/etc/shadow"
echo '127.0.0.1 localhost' >"$dir/etc/hosts"
: >"$dir/etc/resolv.conf"
