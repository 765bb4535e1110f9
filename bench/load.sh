#!/usr/bin/env bash
# A 7B bfloat16 checkpoint from the page cache to the device, beside transformers' from_pretrained.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: bench/load.sh BENCH [--python PYTHON] [--device cpu|cuda] [--folder DIR] [--small]
  BENCH     the command that runs load_bench: build/gpu-bundle/run.sh load_bench
  --python  one with torch, transformers, accelerate and safetensors (default python3)
  --folder  where 15.2 GB fit (default a temporary folder); removed at the end
  --small   two layers instead of 28
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
device=cuda folder=''
. "$here/arguments.sh"

folder=$(mktemp -d ${folder:+-p "$folder"})
trap 'rm -rf "$folder"' EXIT
"$python" "$here/random_checkpoint.py" qwen2.5-7b "$folder" ${small[@]+--layers 2}
cat "$folder"/*.safetensors >/dev/null  # into the page cache
# Ours, theirs, ours: what changes between the first and the third is the machine.
"${bench[@]}" "$folder" bfloat16 "$device"
"$python" "$here/peers/load_peer.py" "$folder" "$device" 2>/dev/null
"${bench[@]}" "$folder" bfloat16 "$device"
