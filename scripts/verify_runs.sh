#!/usr/bin/env bash
# A job gives the same values on 1, 2 and 3 ranks, a second time, and after `kill -9` of the whole job at random
# moments with --resume. usage: scripts/verify_runs.sh [JOB] [FOLDER] [KILLS]
#   JOB     default jobs/quick/dcm.json
#   FOLDER  of the runs, default out/verify
#   KILLS   default 10
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh

readonly program=${PREIMAGE:-build/release/preimage} python=${PYTHON:-.venv/bin/python}
readonly job=${1:-jobs/quick/dcm.json} folder=${2:-out/verify} kills=${3:-10}
mkdir -p "$folder"

run() {  # RANKS NAME
  rm -rf "${folder:?}/$2"
  local begin=$SECONDS
  mpirun -n "$1" "$program" run "$job" --out "$folder/$2" >"$folder/$2.txt" 2>&1
  seconds=$((SECONDS - begin))
  echo "$2: $1 ranks, $seconds s"
}
same() { echo "$1 and $2: $("$python" scripts/compare_results.py "$folder/$1/results.h5" "$folder/$2/results.h5" | tail -n 3)"; }
# Every process of the job, by its number: the ranks stand in process groups of their own.
with_children() {
  echo "$1"
  local child
  for child in $(pgrep -P "$1"); do with_children "$child"; done
}

run 2 ranks2
readonly life=$((seconds / 4 > 9 ? seconds / 4 : 9))
run 2 again
same ranks2 again
for ranks in 1 3; do
  run "$ranks" "ranks$ranks"
  same ranks2 "ranks$ranks"
done

# Each start lives a random time, then every process of the job is killed at once.
rm -rf "${folder:?}/killed"
for ((kill = 1; kill <= kills; ++kill)); do
  mpirun -n 2 "$program" run "$job" --out "$folder/killed" --resume >>"$folder/killed.txt" 2>&1 &
  job_id=$!
  sleep "$((RANDOM % life + 1)).$((RANDOM % 10))"
  mapfile -t processes < <(with_children "$job_id")
  kill -KILL "${processes[@]}" 2>/dev/null || true
  wait "$job_id" 2>/dev/null || true
  echo "kill $kill: $(cat "$folder"/killed/journal/*.jsonl 2>/dev/null | wc -l) journal lines," \
    "$(ls "$folder"/killed/training 2>/dev/null | wc -l) training states"
done
mpirun -n 2 "$program" run "$job" --out "$folder/killed" --resume >>"$folder/killed.txt" 2>&1
same ranks2 killed
