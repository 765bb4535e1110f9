#!/usr/bin/env bash
# A probe and two steps of a sweep of jobs/grpo at full size, each undisturbed and once killed and resumed, and compared. In the
# working directory lie the model and what bench/grpo_layout.py writes.
# usage: bench/grpo_full_size.sh PREIMAGE [SETTINGS...]    WHAT=probe or sweep takes one of the two; KILL_PROBE, KILL_SWEEP: seconds
set -uo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
(($#)) || { sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; exit 64; }
program=$1 python=${PYTHON:-python3} code=0
shift
export PREIMAGE_SANDBOX_DEBUG=1

timed() {  # NAME COMMAND...
  local name=$1 begin=$EPOCHREALTIME status=0
  shift
  "$@" || status=$?
  echo "$name: exit code $status after $("$python" -c "print(round($EPOCHREALTIME - $begin, 1))") s"
  return $status
}

twice() {  # NAME SECONDS JOB SETTINGS...
  local name=$1 kill_after=$2 job=$3
  shift 3
  rm -rf "out/$name-whole" "out/$name-killed"
  timed "$name, undisturbed" "$program" run "$job" "$@" --out "out/$name-whole" || { code=1; return; }
  timed "$name, killed" timeout -s KILL "$kill_after" "$program" run "$job" "$@" --out "out/$name-killed" || true
  [[ ! -e out/$name-killed/results.h5 ]] || echo "$name: had ended before the kill"
  timed "$name, resumed" "$program" run "$job" "$@" --out "out/$name-killed" --resume || { code=1; return; }
  "$python" "$here/scripts/compare_results.py" "out/$name-whole/results.h5" "out/$name-killed/results.h5" | tail -n 5
  [[ ${PIPESTATUS[0]} == 0 ]] && echo "$name: bit by bit the same" || code=1
  "$python" "$here/scripts/check_grpo_verdicts.py" "out/$name-whole" || code=1
}

what=${WHAT:-all}
# The weight basis has 35 million knobs here: minutes of nulls and of writing. LORA=1 takes it along.
arms='["vanilla","projected","projected_update"]'
[[ -z ${LORA:-} ]] || arms='["vanilla","projected","projected_lora"]'
[[ $what == sweep ]] || twice probe "${KILL_PROBE:-30}" "$here/jobs/grpo/probe.json" --set "grpo.probe.arms=$arms" "$@"
# Random weights write no fenced blocks: an answer is code as it stands, and some of them compile.
[[ $what == probe ]] || twice sweep "${KILL_SWEEP:-45}" "$here/jobs/grpo/sweep.json" --set grpo.pools.grader.fenced=false \
  --set grpo.sweep.steps=2 --set grpo.sweep.schedule.warmup_steps=0 --set 'grpo.sweep.arms=["projected"]' --set 'grpo.sweep.seeds=[41]' \
  --set grpo.sweep.evaluate_samples=0 --set grpo.sweep.checkpoint_interval_s=0 --set grpo.sweep.hopeless_step=0 "$@"
exit "$code"
