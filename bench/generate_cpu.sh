#!/usr/bin/env bash
# pocket-lm on the CPU, greedy, float32, 256 prompts of 64 tokens and 64 new ones: `preimage generate` and
# transformers' generate in the same run, wall time with start and loading. The peer's Python needs torch and
# transformers.
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
usage='usage: bench/generate_cpu.sh [--build FOLDER] [--python PYTHON] [--threads N]'
build=build/release python=python3 threads=2
while (($#)); do
  case $1 in
    --build) build=$2 ;;
    --python) python=$2 ;;
    --threads) threads=$2 ;;
    *) echo "$usage" >&2; exit 64 ;;
  esac
  shift 2
done
model=jobs/models/pocket-lm work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" - "$work/in.jsonl" <<'PY'
import json, random, sys
random.seed(1)
with open(sys.argv[1], "w") as out:
    for _ in range(256):
        line = {"prompt_ids": [random.randrange(10, 6000) for _ in range(64)], "max_new_tokens": 64, "ignore_eos": True}
        out.write(json.dumps(line) + "\n")
PY

seconds() {  # COMMAND...: its wall time
  local begin end
  begin=$(date +%s.%N)
  "$@" >/dev/null
  end=$(date +%s.%N)
  echo "$begin $end" | awk '{ print $2 - $1 }'
}
ours=$(seconds "$build/preimage" generate --model "$model" --in "$work/in.jsonl" --out "$work/ours.jsonl" \
  --batch 256 --threads "$threads" --device cpu)

cat >"$work/peer.py" <<'PY'
import json, sys, torch
from transformers import AutoModelForCausalLM
model_dir, source, target, threads = sys.argv[1:5]
torch.set_num_threads(int(threads))
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
model.generation_config.eos_token_id = None  # min_new_tokens would forbid the token, ours only goes on behind it
ids = torch.tensor([json.loads(line)["prompt_ids"] for line in open(source)])
with torch.inference_mode():
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=64, do_sample=False)
json.dump(out[:, 64:].tolist(), open(target, "w"))
PY
peer=$(seconds "$python" "$work/peer.py" "$model" "$work/in.jsonl" "$work/peer.json" "$threads" 2>/dev/null)

"$python" - "$work" "$ours" "$peer" <<'PY'
import json, sys
work, ours, peer = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
mine = [json.loads(line)["ids"] for line in open(f"{work}/ours.jsonl")]
theirs = json.load(open(f"{work}/peer.json"))
same = sum(a == b for a, b in zip(mine, theirs))
tokens = 256 * 64
print(f"preimage {ours:.2f} s ({tokens / ours:.0f} tokens/s), transformers {peer:.2f} s ({tokens / peer:.0f} tokens/s), "
      f"ratio {peer / ours:.2f}; {same} of 256 completions equal")
PY
