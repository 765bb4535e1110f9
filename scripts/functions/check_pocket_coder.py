#!/usr/bin/env python3
"""Sample programs from a model for the problems of jobs/data/functions and run them: how often do they pass?

    python3 scripts/functions/check_pocket_coder.py --model jobs/models/pocket-coder [--temperature 1.0] [--out rates.json]

Samples with transformers, runs each program with all its tests (shown and hidden) in a Python process of its own, and
prints for each split random pass@1, oracle@n and the share of problems that pass sometimes but not always. The programs
are run without a sandbox: for models that you trust. Needs torch and transformers.
"""

import argparse
import collections
import concurrent.futures
import gzip
import json
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from make_function_problems import PROMPT

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 10
SPLITS = (("test", 11, 510), ("validation", 511, 600), ("train", 601, 974))


def split_of(task_id):
    return next(name for name, first, last in SPLITS if first <= task_id <= last)


def prompt_of(problem):
    return PROMPT.replace("{text}", problem["text"]).replace("{tests}", "\n".join(problem["test_list"]))


def sample(model, tokenizer, problems, options):
    """`samples` completions of each problem, in the order of the problems."""
    out = []
    for begin in range(0, len(problems), options.batch):
        part = problems[begin : begin + options.batch]
        batch = tokenizer([prompt_of(p) for p in part], return_tensors="pt", padding=True).to(model.device)
        done = model.generate(
            **batch,
            do_sample=True,
            temperature=options.temperature,
            top_k=0,
            top_p=1.0,
            num_return_sequences=options.samples,
            max_new_tokens=options.tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
        out += tokenizer.batch_decode(done[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return [out[i : i + options.samples] for i in range(0, len(out), options.samples)]


def passes(program):
    try:
        return (
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", program], capture_output=True, timeout=TIMEOUT_S
            ).returncode
            == 0
        )
    except (subprocess.TimeoutExpired, ValueError):  # ValueError: a NUL in the text
        return False


def summary(counts, samples):
    share = len(counts) or 1
    return {
        "problems": len(counts),
        "pass@1": sum(counts) / samples / share,
        f"oracle@{samples}": sum(c > 0 for c in counts) / share,
        "mixed": sum(0 < c < samples for c in counts) / share,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--problems", type=Path, default=ROOT / "jobs" / "data" / "functions" / "problems.jsonl.gz")
    parser.add_argument("--split", choices=[s[0] for s in SPLITS])
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=192)
    parser.add_argument("--batch", type=int, default=64, help="problems at once")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON with each program and whether it passed")
    options = parser.parse_args()

    problems = [json.loads(line) for line in gzip.open(options.problems, "rt", encoding="utf-8")]
    problems = [p for p in problems if options.split in (None, split_of(p["task_id"]))]
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(options.model, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).to(device).eval()
    with torch.no_grad():
        programs = sample(model, tokenizer, problems, options)

    jobs = [
        "\n".join([code, *p["test_list"], *p["challenge_test_list"]])
        for p, codes in zip(problems, programs)
        for code in codes
    ]
    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        flat = list(pool.map(passes, jobs))
    verdicts = [flat[i : i + options.samples] for i in range(0, len(flat), options.samples)]

    groups = collections.defaultdict(list)
    for problem, row in zip(problems, verdicts):
        groups[split_of(problem["task_id"])].append(sum(row))
        groups[split_of(problem["task_id"]) + "/" + problem["kind"].split(":")[0]].append(sum(row))
    print(f"{options.model} temperature {options.temperature}")
    for name in sorted(groups):
        print(
            f"  {name:24}",
            "  ".join(
                f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}"
                for k, v in summary(groups[name], options.samples).items()
            ),
        )
    if options.out:
        rows = [
            {"task_id": p["task_id"], "kind": p["kind"], "programs": codes, "passed": row}
            for p, codes, row in zip(problems, programs, verdicts)
        ]
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
