#!/bin/sh
# Starts the probe in a container of the given runtime and shows what came of each attempt.
#   demo.sh RUNTIME
set -eu
runtime=$(realpath "${1:?usage: demo.sh RUNTIME}")
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
bundle=$(mktemp -d)
trap 'rm -rf "$bundle"' EXIT INT TERM

RUSTFLAGS='-C target-feature=+crt-static' cargo build --quiet --release -p probe \
  --target "$(uname -m)-unknown-linux-gnu" --target-dir "${CARGO_TARGET_DIR:-target}"
mkdir -p "$bundle/rootfs"
cp "${CARGO_TARGET_DIR:-target}/$(uname -m)-unknown-linux-gnu/release/probe" "$bundle/rootfs/probe"
"$runtime" spec --bundle "$bundle"
sed -e 's/"terminal": *true/"terminal": false/' -e '/"args": *\[/,/\]/c\ "args": ["/probe","report","--text"],' \
  "$bundle/config.json" >"$bundle/config.edited" && mv "$bundle/config.edited" "$bundle/config.json"
"$runtime" --root "$bundle/state" run --bundle "$bundle" "demo-$$"
