#!/usr/bin/env bash
# Probe step, singular vectors and on-policy steps at the shape of Qwen3-4B, beside PyTorch in the same run.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: bench/grpo.sh BENCH [--python PYTHON] [--device cpu|cuda] [--small]
  BENCH     the command that runs grpo_bench: build/gpu-bundle/run.sh grpo_bench
  --python  one with torch (default python3)
  --device  cuda (default) or cpu
  --small   two narrow layers, and few short completions
WHAT=probe, factors or steps takes one part (default all). STEPS="PROMPTS GROUP PROMPT NEW TIMES" is the shape of the on-policy
steps: default "2 6 512 1024 3"; "43 6 512 1536 1" is the plan's, 258 completions.
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
device=cuda
. "$here/arguments.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"; kill "${watcher:-}" 2>/dev/null || true' EXIT
ours() { "${bench[@]}" "$@" --device "$device" ${small[@]:+--small}; }
peer() { "$python" "$here/peers/grpo_peer.py" "$1" "$device" "${small[@]}"; }

# Share of the time in which no kernel ran, by the driver's own counter, over each step of FILE.
idle() {  # FILE
  "$python" - "$folder/utilisation" "$1" <<'PYTHON'
import datetime, json, sys
samples = []
for line in open(sys.argv[1]):
    stamp, _, share = line.rpartition(",")
    try:
        samples.append((datetime.datetime.strptime(stamp.strip(), "%Y/%m/%d %H:%M:%S.%f").timestamp(), float(share)))
    except ValueError:
        continue
for line in open(sys.argv[2]):
    step = json.loads(line)
    if step.get("bench") != "step":
        continue
    inside = [share for when, share in samples if step["begin"] + 0.5 < when < step["begin"] + step["seconds"]]
    if inside:
        print(json.dumps({"completions": step["completions"], "time": step["time"], "samples": len(inside),
                          "gpu_idle": round(1 - sum(inside) / len(inside) / 100, 4)}))
PYTHON
}

steps() {  # SHAPE...
  : >"$folder/utilisation"
  if [[ $device == cuda ]] && command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=timestamp,utilization.gpu --format=csv,noheader,nounits --loop-ms=200 >"$folder/utilisation" &
    watcher=$!
  fi
  ours step "$@" | tee "$folder/steps"
  [[ -z ${watcher:-} ]] || kill "$watcher"
  watcher=
  idle "$folder/steps"
}

what=${WHAT:-all} shape=${STEPS:-2 6 512 1024 3}
if [[ $what == all || $what == probe ]]; then
  ours probe
  peer probe
  ours probe
fi
if [[ $what == all || $what == factors ]]; then
  ours factors
  peer factors
fi
((${#small[@]} == 0)) || shape="3 2 8 6 2"
# shellcheck disable=SC2086  # the words of the shape
[[ $what != all && $what != steps ]] || steps $shape
