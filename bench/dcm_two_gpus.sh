#!/usr/bin/env bash
# Two-rank efficiency of dcm on two GPUs of one host: the time of one stage of equal pairs on one
# rank and on two. Usage: bench/dcm_two_gpus.sh PREIMAGE WORK_FOLDER [BATCH_TOKENS]; python3 with
# transformers makes a checkpoint of the shape of Qwen2.5-1.5B with random weights there, beside pocket-lm's tokenizer.
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preimage=$1 work=$2 batch_tokens=${3:-4096}
. scripts/env.sh
mkdir -p "$work"

python3 - "$work/model" <<'PYTHON'
import sys, torch
from transformers import Qwen2Config, Qwen2ForCausalLM
torch.manual_seed(0)
torch.set_default_dtype(torch.bfloat16)
config = Qwen2Config(vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
                     num_attention_heads=12, num_key_value_heads=2, max_position_embeddings=32768,
                     rope_theta=1e6, tie_word_embeddings=True, bos_token_id=6141, eos_token_id=6141)
with torch.device("cuda"):
    model = Qwen2ForCausalLM(config)
model.save_pretrained(sys.argv[1])
PYTHON
cp jobs/models/pocket-lm/tokenizer*.json "$work/model/"

cat > "$work/job.json" <<JSON
{"method": "dcm",
 "dcm": {"model": {"dir": "$work/model", "dtype": "bfloat16"},
  "data": {"kind": "squad", "path": "$PWD/jobs/data/squad_sample.json", "count": 128, "seed": 42,
           "one_per_group": false},
  "stages": ["joint"], "k": 32, "restarts": 1, "stop": "none", "curve_every": 50,
  "batch_tokens": $batch_tokens,
  "schedule": {"kind": "cosine", "lr": 0.01, "steps": 200}, "baseline_draws": 1,
  "gates": {"mode": "record", "g2_pairs": 2, "g3_pairs": 3},
  "templates": {"answer_from_question": "Question: {question}\nAnswer: ",
    "question_from_answer": "Answer: {answer}\nQuestion: ",
    "answer_from_passage": "Passage: {passage}\nQuestion: {question}\nAnswer: "}},
 "run": {"seed": 42, "device": "cuda", "threads": 4}}
JSON

for ranks in 1 2 1 2; do
  rm -rf "$work/out$ranks"
  mpirun -n "$ranks" "$preimage" run "$work/job.json" --out "$work/out$ranks" >"$work/log" 2>&1 ||
    { tail -20 "$work/log"; exit 1; }
  python3 - "$ranks" "$work/out$ranks" <<'PYTHON'
import datetime, glob, re, sys
stamps = {}
for line in open(glob.glob(sys.argv[2] + "/log/rank-000.log")[0]):
    found = re.match(r"(\S+) .*wave (\d): (\d+)/(\d+) units", line)
    if found and found[3] == found[4]:
        stamps[int(found[2])] = datetime.datetime.fromisoformat(found[1])
print(f"{sys.argv[1]} ranks: stage joint {(stamps[1] - stamps[0]).total_seconds():.2f} s", flush=True)
PYTHON
done
echo "values on one rank and on two: $(python3 scripts/compare_results.py "$work"/out{1,2}/results.h5 | tail -n 1)"
