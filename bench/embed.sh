#!/usr/bin/env bash
# Sentences a second of a GTR-T5-base encoder against transformers, one after the other on the same ids.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: bench/embed.sh BENCH [--python PYTHON] [--device cpu|cuda] [--small]
  BENCH     the command that runs embed_bench: build/release/embed_bench, or build/gpu-bundle/run.sh embed_bench
  --python  one with torch and transformers (default python3)
  --small   64 sentences through two layers instead of 10,000 through twelve
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/arguments.sh"
sentences=$((${#small[@]} ? 64 : 10000))

dtype=float32
[[ $device == cpu ]] || dtype=bfloat16
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" "$here/peers/embed_peer.py" make "$folder" ${small[@]+"${small[@]}"} 2>/dev/null
# Ours, theirs, ours: what changes between the first and the third line is the machine.
"${bench[@]}" "$folder" "$sentences" 32 "$dtype" "$device"
"$python" "$here/peers/embed_peer.py" run "$folder" "$sentences" 32 "$dtype" "$device" 2>/dev/null
"${bench[@]}" "$folder" "$sentences" 32 "$dtype" "$device"
