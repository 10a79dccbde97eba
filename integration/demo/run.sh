#!/bin/sh
# Starts the probe in a container of the given runtime and shows what came of each attempt.
#   run.sh RUNTIME [GLOBAL-FLAG...]
set -eu
runtime=$(realpath "${1:?usage: run.sh RUNTIME [GLOBAL-FLAG...]}")
shift
cd "$(dirname "$0")/../.."
out=${CARGO_TARGET_DIR:-target}
target=$(uname -m)-unknown-linux-gnu
bundle=$(mktemp -d)
trap 'rm -rf "$bundle"' EXIT INT TERM

RUSTFLAGS='-C target-feature=+crt-static' cargo build --quiet --release --locked -p probe --target "$target"
mkdir -p "$bundle/rootfs"
cp "$out/$target/release/probe" "$bundle/rootfs/probe"
cp integration/demo/config.json "$bundle/config.json"
"$runtime" --root "$bundle/state" "$@" run --bundle "$bundle" "demo-$$"
