#!/usr/bin/env bash
# The batched optimiser on the CPU beside the plan's loop in PyTorch and transformers and beside a
# 2048^3 at::mm, in turns on the same cores. Usage: bench/dcm_cpu.sh [THREADS] [BUILD_FOLDER]
# Needs scripts/setup.sh --reference (for the peer); the machine should be idle.
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

threads=${1:-$(nproc)}
build=${2:-build/release}
python=${REFERENCE_PYTHON:-.venv-reference/bin/python}
[[ -x $python ]] || { echo "dcm_cpu: no $python: run scripts/setup.sh --reference" >&2; exit 69; }

cmake --build "$build" --target dcm_cpu_bench >/dev/null
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for _ in 1 2 3; do
  "$build/dcm_cpu_bench" jobs/models/pocket-lm "$threads" | tee -a "$log"
  "$python" bench/peers/dcm_peer.py jobs/models/pocket-lm "$threads" 2>/dev/null | tee -a "$log"
done
"$python" - "$log" <<'PYTHON'
import json, statistics, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
rate = lambda rows: statistics.median(row["pair_steps_per_second"] for row in rows)
batch = [row for row in rows if row.get("pairs") == 64]
alone = [row for row in rows if row.get("pairs") == 1]
peer = [row for row in rows if "peer" in row]
print(f"64 pairs: {rate(batch):.1f} pair-steps/s, {statistics.median(r['of_mm'] for r in batch):.2f} of at::mm; "
      f"{rate(batch) / rate(alone):.2f} of one pair at a time; {rate(batch) / rate(peer):.2f} of transformers; "
      f"one pair at a time is {rate(alone) / rate(peer):.2f} of transformers")
PYTHON
