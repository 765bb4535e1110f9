#!/usr/bin/env bash
# Kills jobs at random moments and goes on with --resume: nothing committed may be lost, nothing counted twice, and the
# results must be those of an undisturbed run, bit by bit. Prints a table; exit code 1 where that does not hold.
# usage: scripts/torture.sh [KILLS] [FOLDER] [SEED]
#   KILLS   of each job, default 100: a swept dcm job, the quick verifier job, a short probe and a short sweep of grpo, a swept lipo job, a short ips job
#   FOLDER  of the runs, default out/torture
#   SEED    of the moments and of the victims, default 1
# A victim is the whole job, one rank, or mpirun. JOBS="dcm", "verifier", "grpo", "lipo" or "ips" takes one of them.
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh

readonly kills=${1:-100} folder=${2:-out/torture} program=${PREIMAGE:-build/release/preimage} python=${PYTHON:-.venv/bin/python}
RANDOM=${3:-1}
export OMPI_MCA_odls_base_sigkill_timeout=0
mkdir -p "$folder"

# Ids of all committed units, and how many of them two commits hold with other contents.
journal_of() {
  "$python" - "$1/journal" <<'PYTHON'
import glob, json, sys
found, doubled = {}, 0
for path in sorted(glob.glob(sys.argv[1] + "/*.jsonl")):
    for line in open(path, "rb"):
        if not line.endswith(b"\n"):
            continue  # torn: it was never acknowledged
        for unit in json.loads(line)["record"].get("units", []):
            if not isinstance(unit, dict):
                continue
            scalars = unit["scalars"]
            if isinstance(scalars, dict):
                scalars.pop("seconds", None)
            text = json.dumps([unit["key"], scalars], sort_keys=True)
            doubled += found.setdefault(unit["id"], text) != text
print(doubled, *sorted(found))
PYTHON
}

with_children() {
  local child
  for child in $(pgrep -P "$1"); do with_children "$child"; done
  echo "$1"
}

# Nobody of the job is left: its lock would keep the next start away.
wait_until_gone() {
  local process
  for process in "$@"; do
    while kill -0 "$process" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$process/status" 2>/dev/null; do sleep 0.05; done
  done
}

failed=0
torture() {  # NAME JOB [SETTINGS...]
  local name=$1 job=$2 begin=$SECONDS life lost=0 doubled=0 runs=0 equal=0 done_kills=0 start=0
  shift 2
  local reference="$folder/$name-whole" out log="$folder/$name.txt"
  rm -rf "$reference" "$folder/$name"-killed-*
  mpirun -n 2 "$program" run "$job" "$@" --out "$reference" >"$log" 2>&1
  life=$(((SECONDS - begin) * 100))  # in hundredths of a second: a start lives up to a third of a whole run
  life=$((life / 3 > 300 ? life / 3 : 300))
  printf '%s: an undisturbed run took %d s\n' "$name" $((SECONDS - begin))
  printf '%6s %6s %9s %-9s %9s %6s %8s\n' kill run "after s" victim committed lost doubled
  while ((done_kills < kills)); do
    out="$folder/$name-killed-$runs" start=$((start + 1))
    mpirun -n 2 "$program" run "$job" "$@" --out "$out" --resume >>"$log" 2>&1 &
    local job_id=$! moment=$(((RANDOM * 32768 + RANDOM) % life)) victim=all target=()
    local until
    until=$(printf '%d.%02d' $((moment / 100)) $((moment % 100)))
    sleep "$until" &
    local sleeper=$!
    wait -n "$job_id" "$sleeper" || true
    if ! kill -0 "$job_id" 2>/dev/null; then  # it ended before it was killed
      kill "$sleeper" 2>/dev/null || true
      if ! wait "$job_id"; then
        echo "$name: start $start failed by itself; see $log"
        failed=1
        return
      fi
      finish "$name" "$out" "$reference"
      continue
    fi
    local before after
    mapfile -t processes < <(with_children "$job_id")
    case $((RANDOM % 3)) in
      0) target=("${processes[@]}") ;;
      1) victim=rank target=("${processes[$((RANDOM % ${#processes[@]}))]}") ;;
      2) victim=mpirun target=("$job_id") ;;
    esac
    read -r -a before < <(journal_of "$out")
    kill -KILL "${target[@]}" 2>/dev/null || true
    wait "$job_id" 2>/dev/null || true
    wait_until_gone "${processes[@]}"
    read -r -a after < <(journal_of "$out")
    done_kills=$((done_kills + 1))
    local gone
    gone=$(comm -23 <(printf '%s\n' "${before[@]:1}" | sort) <(printf '%s\n' "${after[@]:1}" | sort) | grep -c . || true)
    lost=$((lost + gone)) doubled=$((doubled + after[0]))
    printf '%6d %6d %9s %-9s %9d %6d %8d\n' "$done_kills" "$runs" "$until" "$victim" $((${#after[@]} - 1)) "$gone" "${after[0]}"
  done
  out="$folder/$name-killed-$runs"
  if [[ -d $out ]]; then
    mpirun -n 2 "$program" run "$job" "$@" --out "$out" --resume >>"$log" 2>&1
    finish "$name" "$out" "$reference"
  fi
  printf '%s: %d kills, %d units lost, %d doubled, %d of %d finished runs equal to the undisturbed one\n' \
    "$name" "$done_kills" "$lost" "$doubled" "$equal" "$runs"
  ((lost == 0 && doubled == 0 && equal == runs)) || failed=1
}

# A run that was killed and came to its end (uses and sets what belongs to torture()).
finish() {  # NAME OUT REFERENCE
  runs=$((runs + 1))
  local difference
  if difference=$("$python" scripts/compare_results.py "$3/results.h5" "$2/results.h5"); then
    equal=$((equal + 1))
    rm -rf "$2"
  else
    echo "$1: $2 is not equal: $(tail -n 1 <<<"$difference")"
  fi
}

for job in ${JOBS:-dcm verifier grpo lipo ips}; do
  case $job in
    dcm) torture dcm jobs/quick/dcm.json --set 'sweep.run.seed=[0,1]' --set 'sweep.dcm.k=[2,4]' --set dcm.data.count=6 \
      --set 'dcm.stages=["single","joint"]' --set dcm.k_sweep_pairs=0 --set run.commit_interval_s=1 ;;
    verifier) torture verifier jobs/quick/verifier.json --set run.commit_interval_s=1 ;;
    grpo)
      torture grpo_probe jobs/quick/grpo.json --set grpo.probe.steps=4 --set grpo.pools.max_new_tokens=60 --set grpo.nulls.draws=10 \
        --set run.commit_interval_s=0.2
      # Three runs on two ranks: the last one may be shared by both.
      torture grpo_sweep jobs/quick/grpo_sweep.json --set grpo.sweep.steps=3 --set grpo.sweep.prompts=2 --set 'grpo.sweep.seeds=[41]' \
        --set grpo.sweep.max_new_tokens=60 --set grpo.sweep.evaluate_samples=1 --set grpo.sweep.evaluate_problems=2 \
        --set grpo.sweep.checkpoint_interval_s=0 --set run.commit_interval_s=0.2 ;;
    lipo)
      torture lipo jobs/quick/lipo.json --set lipo.items.validation=32 --set lipo.items.test=32 --set lipo.bmin=4 \
        --set lipo.ape_num_instructions=24 --set lipo.vae_epochs=40 --set lipo.gp_epochs=50 --set lipo.iterations=2 --set lipo.arm_seeds=2 \
        --set 'lipo.arms=["hyperband","random_latent","raw_embedding","cowboys","capo","latent"]' --set lipo.redraws=4 \
        --set 'sweep.run.seed=[0,1]' --set run.commit_interval_s=0.1 ;;
    # Every kind of unit: proposals, trainings on pairs, answers, losses, gradients, repeats.
    ips) torture ips jobs/quick/ips.json --set ips.data.limit=2 --set ips.search.seeds=1 --set ips.search.calls=14 \
      --set 'ips.search.methods=["propose","ga","swap","ppo","dpo"]' --set ips.ga.population=4 --set ips.swap.candidates=3 \
      --set ips.rl.episodes=2 --set ips.rl.horizon=4 --set ips.rl.decode=2 --set ips.dpo.pairs=1 --set ips.dpo.epochs=1 \
      --set ips.negative.noise_draws=1 --set run.commit_interval_s=1 ;;
    *) echo "torture.sh: no job $job; there are dcm, verifier, grpo, lipo and ips" && exit 78 ;;
  esac
done
exit "$failed"
