#!/usr/bin/env bash
# Inversion with eight beams at vec2text's published shape, beside transformers' generate on the same inputs.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: bench/vec2text.sh BENCH [--python PYTHON] [--device cpu|cuda] [--small]
  BENCH     the command that runs vec2text_bench: build/gpu-bundle/run.sh vec2text_bench
  --python  one with torch, transformers and safetensors (default python3)
  --small   8 embeddings through two layers instead of 128 through twelve
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/arguments.sh"
count=$((${#small[@]} ? 8 : 128))

dtype=float32
[[ $device == cpu ]] || dtype=bfloat16
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" "$here/peers/vec2text_peer.py" make "$folder" ${small[@]+"${small[@]}"} 2>/dev/null
# Ours, theirs, ours: what changes between the first and the third line is the machine.
"${bench[@]}" "$folder" "$count" 32 "$dtype" "$device"
"$python" "$here/peers/vec2text_peer.py" run "$folder" "$count" 32 "$dtype" "$device" "$count" 2>/dev/null
"${bench[@]}" "$folder" "$count" 32 "$dtype" "$device"
