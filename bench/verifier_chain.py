#!/usr/bin/env python3
"""Generate, execute, train, rerank with a model of deepseek-coder-1.3b's shape and random weights: the rates of each stage.

    bench/verifier_chain.py PREIMAGE [--work DIR] [--device cuda|cpu] [--tiny] [--problems 24] [--samples 100]

PREIMAGE is the program, or a command that starts it (in quotes). Random weights write no program that passes, so a first run
ends after its candidates were judged; then their labels are drawn by a coin, and a second run trains and reranks from that
file: the lengths, sizes and batches are those of a real run, the choices mean nothing.
"""
import argparse
import json
import random
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
from random_checkpoint import write_checkpoint

ROOT = Path(__file__).resolve().parent.parent


def job(options, model, arms, candidates=""):
    problems = {"kind": "mbpp", "path": str(ROOT / "jobs" / "data" / "functions" / "problems.jsonl.gz")}
    samples, tokens = (4, 32) if options.tiny else (options.samples, 256)
    return {
        "method": "verifier",
        "verifier": {
            "data": {"problems": problems, "train_limit": options.problems, "validation_limit": 4, "test_limit": options.problems,
                     "candidates": candidates},
            "generation": {"model": str(model), "dtype": "float32" if options.device == "cpu" else "bfloat16",
                           "prompt": "{text}\n{tests}\n", "max_new_tokens": tokens, "train_candidates": samples,
                           "test_candidates": 4 if options.tiny else 16, "block": samples, "batch": 1024},
            "arms": {"kinds": arms, "prompt": "{text}\n{tests}\n", "shown_tests": -1, "border": False, "energy": "raw",
                     "max_tokens": 1024, "hidden_size": 64 if options.tiny else 512, "layers": 2 if options.tiny else 12,
                     "heads": 2 if options.tiny else 8, "tuned_layers": 2, "state_mb": 65536},
            "losses": ["bce"],
            "training_seeds": 1,
            "train": {"epochs": 1, "batch_pairs": 64, "dtype": "float32" if options.device == "cpu" else "bfloat16",
                      "dropout": 0.0 if options.device == "cpu" else 0.1, "evaluate_every": 1000000, "warmup_steps": 2,
                      "lr": 1e-5, "batch_tokens": 32768},
            "pairs": {"problem_pairs": 160},
        },
        "run": {"seed": 1, "device": options.device},
    }  # fmt: skip


def run(options, name, config):
    """The seconds of a run; its log is in the folder."""
    (options.work / f"{name}.json").write_text(json.dumps(config, indent=1))
    begin = time.monotonic()
    done = subprocess.run(
        [*shlex.split(options.preimage), "run", str(options.work / f"{name}.json"), "--out", str(options.work / name)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return time.monotonic() - begin, done


def log_times(folder):
    """[(seconds, line)] of rank 0's log."""
    out = []
    for line in (folder / "log" / "rank-000.log").read_text(encoding="utf-8").splitlines():
        if stamp := re.match(r"\d+-\d+-\d+T(\d+):(\d+):([\d.]+) ", line):
            hour, minute, second = stamp.groups()
            out.append((3600 * int(hour) + 60 * int(minute) + float(second), line))
    return out


def between(times, first, last):
    begin = next(t for t, line in times if first in line)
    return max(1e-3, next(t for t, line in times if t >= begin and last in line) - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preimage")
    parser.add_argument("--work", type=Path, default=Path("/tmp/verifier_chain"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a small shape, to try the script")
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--samples", type=int, default=100, help="of each training problem")
    options = parser.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    model = options.work / "model"
    write_checkpoint("tiny" if options.tiny else "deepseek-coder-1.3b", model)

    _, done = run(options, "generate", job(options, model, ["likelihood"]))
    judged = options.work / "generate" / "candidates.jsonl"
    if not judged.exists():
        raise SystemExit(f"no candidates:\n{done.stdout}\n{done.stderr}")
    lines = [json.loads(line) for line in judged.read_text(encoding="utf-8").splitlines()]
    begin = next(t for t, line in log_times(options.work / "generate") if "problems to train on" in line)
    seconds = (judged.stat().st_mtime - begin) % 86400
    print(f"generate and execute: {len(lines)} programs in {seconds:.1f} s: {len(lines) / seconds:.0f} samples/s and programs/s,"
          f" {sum(line['label'] for line in lines)} pass")

    coin, labelled = random.Random(0), options.work / "labelled.jsonl"
    with open(labelled, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps({**line, "label": coin.randrange(2)}) + "\n")
    for arm in ("ouroboros", "generator", "likelihood"):
        _, done = run(options, arm, job(options, model, [arm], str(labelled)))
        if done.returncode != 0:
            raise SystemExit(f"{arm}:\n{done.stdout}\n{done.stderr}")
        import h5py

        with h5py.File(options.work / arm / "results.h5") as results:
            rates = np.sort(results["verifier/training"]["pairs_per_s"])
            energies = len(results["verifier/energies"])
        times = log_times(options.work / arm)
        scored = between(times, "best validation", "done:")
        test = sum(line["split"] == "test" for line in lines)
        print(f"{arm}: {len(rates)} steps, median {rates[len(rates) // 2]:.0f} training pairs/s; {energies + test} energies"
              f" (own and prompt-blind) in {scored:.1f} s: {(energies + test) / scored:.0f} energies/s", flush=True)


if __name__ == "__main__":
    main()
