#!/usr/bin/env python3
"""Writes the pocket task of lipo and the texts that its models learn from.

    python3 scripts/lipo/make_task.py --data jobs/data/lipo --corpus corpus/lipo

In --data (part of the repository): items.jsonl, three disjoint pools of questions, and ape_instructions.json, the pool of
instructions of the quick job. In --corpus (made anew when wanted, 60 MB): follow_*.jsonl for the adapter that follows
instructions, pairs_*.jsonl for the sentence encoder, instructions_*.jsonl for its inverter. No text of the pool and no question of the
items is in them; instructions_valid.jsonl is in no other. The same bytes each time.
"""

import argparse
import json
import random
from pathlib import Path

from instruction_grammar import STYLES, TARGET, Meaning, draw_meaning, draw_question, instruction

STYLE_FILE = Path(__file__).resolve().parents[2] / "jobs/lipo/ape_styles.json"
POOLS = {"examples": 40, "validation": 256, "test": 512}
PER_STYLE = 40  # instructions of the pool
WRITTEN_SHARE = 0.1  # of the adapter's text: writing an instruction from examples, as APE asks for
UNSOLVED = "0"  # what is answered where no digit counts


def question_text(digits):
    return " ".join(str(d) for d in digits)


def lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def make_items(rng):
    seen, out = set(), []
    for pool, count in POOLS.items():
        for _ in range(count):
            while True:
                digits = draw_question(rng, TARGET)
                if question_text(digits) not in seen:
                    break
            seen.add(question_text(digits))
            out.append({"split": pool, "question": question_text(digits), "answer": str(TARGET.answer(digits))})
    return out, seen


def says_all(meaning):
    """The target, or a task whose answers are the same."""
    return meaning.place == TARGET.place and meaning.parity == TARGET.parity and meaning.limit in (("below", 7), ("below", 8))


def make_pool(rng):
    """Instructions of every style, each text once, none of which says the whole task."""
    texts, out = set(), []
    for style in STYLES:
        left = PER_STYLE
        while left > 0:
            meaning = draw_meaning(rng)
            text = instruction(meaning, style, rng)
            if says_all(meaning) or text.casefold() in texts:
                continue
            texts.add(text.casefold())
            out.append({"id": len(out), "style": style, "text": text})
            left -= 1
    return out, texts


def draw_text(rng, kept_out):
    while True:
        meaning, style = draw_meaning(rng), rng.choice(tuple(STYLES))
        text = instruction(meaning, style, rng)
        if text.casefold() not in kept_out:
            return meaning, style, text


def followed(rng, kept_out, questions):
    meaning, _, text = draw_text(rng, kept_out)
    while True:
        digits = draw_question(rng, meaning if rng.random() < 0.98 else None)
        if question_text(digits) not in questions:
            break
    answer = meaning.answer(digits)
    return {"prompt": f"Q: {question_text(digits)}\n{text}\nA:", "completion": f" {UNSOLVED if answer is None else answer}"}


def written(rng, kept_out, questions, styles):
    """APE's prompt and an instruction whose answers the examples have."""
    meaning, style, text = draw_text(rng, kept_out)
    spec = next(s for s in styles["styles"] if s["name"] == style)
    examples = []
    while len(examples) < 3:
        digits = draw_question(rng, meaning)
        if question_text(digits) in questions:
            continue
        examples.append(styles["example"].format(question=question_text(digits), answer=meaning.answer(digits)))
    prompt = styles["prompt"].format(examples="\n\n".join(examples), description=spec["description"], style_examples="; ".join(spec["examples"]))
    return {"prompt": prompt, "completion": " " + text}


def near(rng, text):
    """The text without about every seventh word."""
    words = text.split()
    kept = [w for w in words if rng.random() > 0.15]
    return " ".join(kept or words)


def pair(rng, kept_out):
    meaning, style, text = draw_text(rng, kept_out)
    if rng.random() < 0.35 and meaning != Meaning():
        other = instruction(meaning, style, rng)
        if other.casefold() not in kept_out:
            return {"prompt": text, "completion": other}
    return {"prompt": near(rng, text), "completion": near(rng, text)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--follow", type=int, default=400_000, help="examples for the adapter")
    parser.add_argument("--pairs", type=int, default=150_000, help="pairs for the encoder")
    parser.add_argument("--instructions", type=int, default=60_000, help="instructions for the inverter")
    arguments = parser.parse_args()
    styles = json.loads(STYLE_FILE.read_text(encoding="utf-8"))
    items, questions = make_items(random.Random(1))
    pool, pool_texts = make_pool(random.Random(2))
    if arguments.data:
        lines(arguments.data / "items.jsonl", items)
        body = ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in pool)
        (arguments.data / "ape_instructions.json").write_text('{"calls": 0, "instructions": [\n' + body + "\n]}\n", encoding="utf-8")
    if not arguments.corpus:
        return
    rng = random.Random(3)
    held_out = {}  # the vague ones are few, and stay in
    while len(held_out) < 500:
        meaning, _, text = draw_text(rng, pool_texts)
        if meaning != Meaning():
            held_out[text.casefold()] = text
    lines(arguments.corpus / "instructions_valid.jsonl", ({"text": t} for t in held_out.values()))
    kept_out = pool_texts | set(held_out)
    rng, seen = random.Random(4), {}
    while len(seen) < arguments.instructions:
        text = draw_text(rng, kept_out)[2]
        seen[text.casefold()] = text
    lines(arguments.corpus / "instructions_train.jsonl", ({"text": t} for t in seen.values()))
    for name, seed, count in (("train", 5, arguments.pairs), ("valid", 6, 2000)):
        rng = random.Random(seed)
        lines(arguments.corpus / f"pairs_{name}.jsonl", (pair(rng, kept_out) for _ in range(count)))
    for name, seed, count in (("train", 7, arguments.follow), ("valid", 8, 2000)):
        rng = random.Random(seed)
        kinds = (written(rng, kept_out, questions, styles) if rng.random() < WRITTEN_SHARE else followed(rng, kept_out, questions) for _ in range(count))
        lines(arguments.corpus / f"follow_{name}.jsonl", kinds)


if __name__ == "__main__":
    main()
