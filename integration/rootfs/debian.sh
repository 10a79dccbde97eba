#!/bin/sh
# Makes a Debian root filesystem with python3 in DIR. The first run takes a minute or two and keeps a copy in
# ${XDG_CACHE_HOME:-~/.cache}/sandrun; later runs unpack that.
#   debian.sh DIR [SUITE]
# Needs root, and apt's own configuration to reach a mirror.
set -eu
dir=${1:?usage: debian.sh DIR [SUITE]}
suite=${2:-bookworm}
archive=${XDG_CACHE_HOME:-$HOME/.cache}/sandrun/debian-$suite-$(dpkg --print-architecture).tar

if [ ! -s "$archive" ]; then
  command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null
  mkdir -p "$(dirname "$archive")"
  # The mirror that this machine uses already.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 'Component: main' | sed -n 1p)
  mmdebstrap --quiet --format=tar --variant=minbase --include=python3-minimal "$suite" "$archive.part" $mirror
  mv "$archive.part" "$archive"
fi
mkdir -p "$dir"
[ -e "$dir/etc/debian_version" ] || tar -xf "$archive" -C "$dir" --exclude='./dev/*'
