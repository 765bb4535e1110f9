#!/usr/bin/env bash
# The quick jobs and pocket models on a GPU: wall time of each program, start and loading included. With --cpu
# also on the cores beside it. PREIMAGE is one word or several: build/gpu-bundle/run.sh preimage
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
usage='usage: bench/quick_gpu.sh [--cpu] [--only dcm|verifier|generate] PREIMAGE...'
devices=(cuda) only='' program=()
while (($#)); do
  case $1 in
    --cpu) devices+=(cpu) ;;
    --only) only=${2:?} && shift ;;
    -h | --help) echo "$usage"; exit ;;
    -*) echo "$usage" >&2; exit 64 ;;
    *) program+=("$1") ;;
  esac
  shift
done
((${#program[@]})) || { echo "$usage" >&2; exit 64; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

timed() {  # LABEL COMMAND...: prints the label and the wall time; of a failure the log's end
  local label=$1 begin end
  shift
  begin=$(date +%s.%N)
  "$@" >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; echo "quick_gpu: $label failed" >&2; return 1; }
  end=$(date +%s.%N)
  awk -v label="$label" -v begin="$begin" -v end="$end" 'BEGIN { printf "%-44s %7.2f s\n", label, end - begin }'
}
wanted() { [[ -z $only || $only == "$1" ]]; }

if wanted generate; then
  # 300 lines of the function problems as the verifier's quick job asks them.
  python3 - jobs/data/functions/problems.jsonl.gz "$work/in.jsonl" <<'PY'
import gzip, json, sys
with gzip.open(sys.argv[1], "rt") as problems, open(sys.argv[2], "w") as out:
    for line in [json.loads(line) for line in problems][:300]:
        tests = "\n".join(line["test_list"])
        out.write(json.dumps({"prompt": f"{line['text']}\n\n{tests}\n\n", "max_new_tokens": 160, "temperature": 1}) + "\n")
PY
  for device in "${devices[@]}"; do
    head -1 "$work/in.jsonl" >"$work/one.jsonl"
    for dtype in float32 bfloat16; do
      for lines in one in; do
        timed "pocket-coder, $lines, $dtype, $device" "${program[@]}" generate --model jobs/models/pocket-coder \
          --in "$work/$lines.jsonl" --out "$work/out.jsonl" --batch 300 --dtype "$dtype" --device "$device"
      done
    done
  done
fi
for job in dcm verifier; do
  wanted "$job" || continue
  for device in "${devices[@]}"; do
    timed "quick/$job.json, $device" "${program[@]}" run "jobs/quick/$job.json" --set "run.device=$device" \
      --out "$work/$job-$device"
  done
done
