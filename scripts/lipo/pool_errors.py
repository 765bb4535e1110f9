#!/usr/bin/env python3
"""How the pool's instructions fare on untouched items: what stands in the card of pocket-instructions.

    python3 scripts/lipo/pool_errors.py --preimage build/release/preimage --items 128

Every instruction of jobs/data/lipo/ape_instructions.json, the hand-written one and the vague baseline answer the first --items
test items, greedily; prints the best, the quartiles and the worst.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from instruction_grammar import HAND_WRITTEN

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "jobs/models"
OTHERS = (HAND_WRITTEN, "Let's think step by step.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preimage", type=Path, default=ROOT / "build/release/preimage")
    parser.add_argument("--items", type=int, default=128)
    arguments = parser.parse_args()
    pool = json.loads((ROOT / "jobs/data/lipo/ape_instructions.json").read_text(encoding="utf-8"))["instructions"]
    items = [json.loads(line) for line in (ROOT / "jobs/data/lipo/items.jsonl").read_text(encoding="utf-8").splitlines()]
    items = [i for i in items if i["split"] == "test"][: arguments.items]
    texts = [one["text"] for one in pool] + list(OTHERS)
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "asked.jsonl", Path(folder) / "answered.jsonl"
        # Item by item: the beginning of a prompt is its question.
        rows = [{"id": f"{k} {n}", "prompt": f"Q: {item['question']}\n{text}\nA:", "max_new_tokens": 4} for n, item in enumerate(items) for k, text in enumerate(texts)]
        asked.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        command = [arguments.preimage, "generate", "--model", MODELS / "pocket-coder", "--adapter", MODELS / "pocket-instructions", "--in", asked, "--out", answered]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
        wrong = [0] * len(texts)
        for line in answered.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            k, n = map(int, row["id"].split())
            wrong[k] += row["text"].strip() != items[n]["answer"]
    errors = [w / len(items) for w in wrong]
    order = sorted(range(len(pool)), key=lambda k: (errors[k], k))
    print(f"{len(pool)} instructions on {len(items)} test items")
    for name, share in (("best", 0), ("second", 1 / len(pool)), ("first quartile", 0.25), ("median", 0.5), ("third quartile", 0.75), ("worst", 1)):
        k = order[min(len(order) - 1, int(share * len(order)))]
        print(f"| {name} | {errors[k]:.3f} | {texts[k]} |")
    for k in range(len(pool), len(texts)):
        print(f"| other | {errors[k]:.3f} | {texts[k]} |")


if __name__ == "__main__":
    main()
