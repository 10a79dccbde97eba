#!/bin/sh
# Makes a Debian root filesystem with the programs that integration/workloads runs, and prints its path. It is a
# directory of 1.7 GB in ${XDG_CACHE_HOME:-~/.cache}/sandrun, made once, in two minutes; nobody may write to it.
#   workloads.sh [SUITE]
# Needs root, and apt's own configuration to reach a mirror.
set -eu
suite=${1:-bookworm}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sandrun
# A tree is never changed: another script makes another one.
tree=$cache/workloads-$suite-$(dpkg --print-architecture)-$(sha256sum <"$0" | cut -c 1-8)

packages=cargo,curl,default-jdk-headless,dumb-init,g++,git,golang-go,libc6-dev,make,musl-tools,nginx-light,nodejs
packages=$packages,openssl,postgresql,procps,python3-venv,redis-server,tini

if [ ! -d "$tree" ]; then
  command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/workloads.XXXXXX")
  # A mount of mmdebstrap's may be left there.
  trap 'rm -rf --one-file-system "$part"' EXIT
  # The mirror that this machine uses already.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 'Component: main' | sed -n 1p)
  # What apt is to install from inside a container lies in /srv/packages, with the index of a repository.
  mmdebstrap --quiet --format=directory --variant=minbase --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='chroot "$1" apt-get clean && chroot "$1" apt-get install -qq --yes --download-only cron' \
    --customize-hook='mkdir "$1/srv/packages" && mv "$1"/var/cache/apt/archives/*.deb "$1/srv/packages"' \
    --customize-hook='cd "$1/srv/packages" && for file in *.deb; do
        dpkg-deb --field "$file"
        printf "Filename: ./%s\nSize: %s\nSHA256: %s\n\n" "$file" "$(stat -c %s "$file")" "$(sha256sum <"$file" | cut -d " " -f 1)"
      done >Packages' \
    "$suite" "$part/tree" $mirror >&2
  mv --no-target-directory "$part/tree" "$tree"
fi
echo "$tree"
