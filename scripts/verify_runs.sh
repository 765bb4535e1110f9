#!/usr/bin/env bash
# The quick job gives the same values on 1, 2 and 3 ranks, and after `kill -9` of the whole job at random
# moments with --resume. usage: scripts/verify_runs.sh [FOLDER] [KILLS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh

readonly program=${PREIMAGE:-build/release/preimage} python=${PYTHON:-.venv/bin/python}
readonly job=${JOB:-jobs/quick/dcm.json}
readonly folder=${1:-out/verify} kills=${2:-10}
mkdir -p "$folder"

run() { mpirun -n "$1" "$program" run "$job" --out "$folder/$2" --resume >>"$folder/$2.txt" 2>&1; }
same() { echo "$1 and $2: $("$python" scripts/compare_results.py "$folder/$1/results.h5" "$folder/$2/results.h5" | tail -n 3)"; }

for ranks in 1 2 3; do
  rm -rf "${folder:?}/ranks$ranks"
  run "$ranks" "ranks$ranks"
done
same ranks1 ranks2
same ranks1 ranks3

# Each start lives a random time, then every process of the job is killed at once.
rm -rf "${folder:?}/killed"
for ((kill = 1; kill <= kills; ++kill)); do
  setsid mpirun -n 2 "$program" run "$job" --out "$folder/killed" --resume >>"$folder/killed.txt" 2>&1 &
  group=$!
  sleep "$((RANDOM % 9 + 1)).$((RANDOM % 10))"
  pkill -KILL -f "$folder/killed" || true
  kill -KILL -- "-$group" 2>/dev/null || true
  wait "$group" 2>/dev/null || true
  echo "kill $kill: $(wc -l "$folder"/killed/journal/*.jsonl 2>/dev/null | tail -n 1 || true)"
done
run 2 killed
same ranks1 killed
