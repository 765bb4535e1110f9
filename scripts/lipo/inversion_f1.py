#!/usr/bin/env python3
"""How well the pocket inverter brings held-out instructions back: what stands in its card.

    python3 scripts/lipo/inversion_f1.py --texts corpus/lipo/instructions_valid.jsonl

Each text is embedded by pocket-sentence and written again by pocket-inverter (the beams of jobs/quick/lipo.json); prints the mean token F1
(words, case kept), the share of equal texts, and the mean cosine of the embeddings of the two.
"""

import argparse
import collections
import json
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "jobs/models"


def token_f1(a, b):
    a, b = a.split(), b.split()
    same = sum((collections.Counter(a) & collections.Counter(b)).values())
    return 2 * same / (len(a) + len(b)) if a or b else 1.0


def tool(arguments, name, model, rows, folder):
    asked, answered = Path(folder) / "asked.jsonl", Path(folder) / "answered.jsonl"
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    subprocess.run([str(arguments.preimage), name, "--model", str(MODELS / model), "--in", str(asked), "--out", str(answered)], check=True, capture_output=True)
    return [json.loads(line) for line in answered.read_text(encoding="utf-8").splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--preimage", type=Path, default=ROOT / "build/release/preimage")
    parser.add_argument("--beams", type=int, default=4)
    arguments = parser.parse_args()
    texts = [json.loads(line)["text"] for line in arguments.texts.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        wanted = [row["embedding"] for row in tool(arguments, "embed", "pocket-sentence", [{"id": i, "text": t} for i, t in enumerate(texts)], folder)]
        rows = [{"id": i, "embedding": e, "max_new_tokens": 47, "num_beams": arguments.beams, "no_repeat_ngram": 3, "repetition_penalty": 1.2} for i, e in enumerate(wanted)]
        written = [row["text"].strip() for row in tool(arguments, "generate", "pocket-inverter", rows, folder)]
        back = [row["embedding"] for row in tool(arguments, "embed", "pocket-sentence", [{"id": i, "text": t or " "} for i, t in enumerate(written)], folder)]
    f1 = [token_f1(a, b) for a, b in zip(texts, written)]
    cosine = [sum(x * y for x, y in zip(a, b)) for a, b in zip(wanted, back)]
    count = len(texts)
    print(f"{count} texts: token F1 {sum(f1) / count:.3f}, equal {sum(a == b for a, b in zip(texts, written)) / count:.3f}, cosine {sum(cosine) / count:.3f}")
    for i in sorted(range(count), key=lambda i: f1[i])[:3]:
        print(f"  {texts[i]!r} -> {written[i]!r}")


if __name__ == "__main__":
    main()
