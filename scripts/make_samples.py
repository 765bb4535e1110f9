#!/usr/bin/env python3
"""Build the small real samples under jobs/data from the full data sets.

    python3 scripts/make_samples.py --data DIR [--out jobs/data]

DIR holds squad/dev-v2.0.json, gsm8k/train.jsonl, mbpp/mbpp.jsonl and arc-agi-1/{LICENSE,data/training}.
Every choice is a rule or a fixed seed, so a second run writes the same bytes. The articles named in
HELD_OUT_ARTICLES are kept out of the pocket model's training text (scripts/build_corpus.py imports the list), and so
are the GSM8K rows and the arithmetic pairs that are written here: what ships as a sample was never trained on.
"""

import argparse
import csv
import json
import random
import re
import shutil
from pathlib import Path

SEED = 20240601

# Whole articles. The first three are everyday physical or social matters with few proper names (measured as the share
# of capitalised words in mid-sentence: Steam_engine 3 %, Immune_system 4 %, Imperialism 12 %), so that a small model
# has a chance; the others are harder on purpose.
HELD_OUT_ARTICLES = (
    "Steam_engine",
    "Immune_system",
    "Imperialism",
    "Packet_switching",
    "1973_oil_crisis",
    "Harvard_University",
)

ARC_TASKS = ("6150a2bd", "d037b0a7", "25d8a9c8")
GSM8K_ROWS = 20
MBPP_ROWS = 20
ARITHMETIC_PAIRS = 100
SUDOKU_PUZZLES = 20


def dump_line(value):
    return json.dumps(value, ensure_ascii=False) + "\n"


# ---------------------------------------------------------------------------------------------------------- SQuAD


def share_of_names(text):
    """Share of capitalised words among those that do not open a sentence, plus that of non-ASCII characters."""
    words = re.findall(r"(?<=[a-z,;] )\w+", text)
    capitals = sum(word[0].isupper() for word in words) / max(1, len(words))
    return capitals + 10 * sum(ord(c) > 127 for c in text) / max(1, len(text))


def squad_sample(squad, byte_limit=118_000):
    """Answerable questions of the held-out articles: per article its plainest paragraphs of moderate length."""
    articles = {a["title"]: a for a in squad["data"]}
    ranked = {}
    for title in HELD_OUT_ARTICLES:
        candidates = []
        for order, paragraph in enumerate(articles[title]["paragraphs"]):
            answerable = [q for q in paragraph["qas"] if not q["is_impossible"]]
            if 250 <= len(paragraph["context"]) <= 1000 and len(answerable) >= 3:
                candidates.append((share_of_names(paragraph["context"]), order, paragraph["context"], answerable[:4]))
        ranked[title] = sorted(candidates, key=lambda c: c[:2])

    def render(depth):
        data = []
        for title in HELD_OUT_ARTICLES:
            chosen = sorted(ranked[title][:depth], key=lambda c: c[1])
            data.append({"title": title, "paragraphs": [{"qas": qas, "context": text} for _, _, text, qas in chosen]})
        return json.dumps({"version": "v2.0", "data": data}, ensure_ascii=False) + "\n"

    depth = 1
    while depth < max(map(len, ranked.values())) and len(render(depth + 1).encode()) <= byte_limit:
        depth += 1
    return render(depth)


# ------------------------------------------------------------------------------------------------- GSM8K and MBPP


def gsm8k_sample_indices(rows):
    """Row numbers of the shipped questions: drawn among those of moderate length."""
    short = [i for i, row in enumerate(rows) if len(row["question"]) + len(row["answer"]) < 600]
    return sorted(random.Random(SEED).sample(short, GSM8K_ROWS))


def mbpp_sample(rows):
    """Rows of the published test split (task_id 11-510), short enough for a small context."""
    eligible = [r for r in rows if 11 <= r["task_id"] <= 510 and len(r["code"]) < 400 and not r["test_setup_code"]]
    return sorted(random.Random(SEED).sample(eligible, MBPP_ROWS), key=lambda r: r["task_id"])


# ----------------------------------------------------------------------------------------------------- arithmetic


def arithmetic_pairs():
    """Distinct pairs {"question": "a op b", "answer"}; a, b uniform in 0..99, op in + - *."""
    source = random.Random(SEED)
    pairs = {}
    while len(pairs) < ARITHMETIC_PAIRS:
        a, b, op = source.randrange(100), source.randrange(100), source.choice("+-*")
        pairs[f"{a} {op} {b}"] = str({"+": a + b, "-": a - b, "*": a * b}[op])
    return [{"question": q, "answer": a} for q, a in pairs.items()]


# --------------------------------------------------------------------------------------------------------- sudoku

PEERS = [
    sorted(
        {
            other
            for other in range(81)
            if other != cell
            and (
                other // 9 == cell // 9
                or other % 9 == cell % 9
                or (other // 27 == cell // 27 and other % 9 // 3 == cell % 9 // 3)
            )
        }
    )
    for cell in range(81)
]


def solutions(board, source=None, limit=2):
    """Up to `limit` completions of board (list of 81 ints, 0 = blank); depth first on the cell with fewest choices."""
    found = []

    def descend():
        best, choices = None, None
        for cell in range(81):
            if board[cell] == 0:
                free = [d for d in range(1, 10) if all(board[p] != d for p in PEERS[cell])]
                if choices is None or len(free) < len(choices):
                    best, choices = cell, free
                    if len(free) <= 1:
                        break
        if best is None:
            found.append(board[:])
            return
        if source:
            source.shuffle(choices)
        for digit in choices:
            board[best] = digit
            descend()
            board[best] = 0
            if len(found) >= limit:
                return

    descend()
    return found


def sudoku_puzzles():
    """Puzzles with one solution each, from 30 to 49 blanks so that both easy and ordinary ones are present."""
    source = random.Random(SEED)
    puzzles = []
    for index in range(SUDOKU_PUZZLES):
        solved = solutions([0] * 81, source, limit=1)[0]
        board, blanks_wanted = solved[:], 30 + index
        order = list(range(81))
        source.shuffle(order)
        for cell in order:
            if board.count(0) >= blanks_wanted:
                break
            kept, board[cell] = board[cell], 0
            if len(solutions(board[:])) != 1:
                board[cell] = kept
        puzzles.append(("".join(map(str, board)), "".join(map(str, solved))))
    return puzzles


# ----------------------------------------------------------------------------------------------------------- main


def read_jsonl(path):
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="directory with squad, gsm8k, mbpp, arc-agi-1")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "jobs" / "data")
    options = parser.parse_args()
    out = options.out
    (out / "arc").mkdir(parents=True, exist_ok=True)

    with open(options.data / "squad" / "dev-v2.0.json", encoding="utf-8") as stream:
        (out / "squad_sample.json").write_text(squad_sample(json.load(stream)), encoding="utf-8")

    rows = read_jsonl(options.data / "gsm8k" / "train.jsonl")
    chosen = [rows[i] for i in gsm8k_sample_indices(rows)]
    (out / "gsm8k_sample.jsonl").write_text("".join(map(dump_line, chosen)), encoding="utf-8")

    chosen = mbpp_sample(read_jsonl(options.data / "mbpp" / "mbpp.jsonl"))
    (out / "mbpp_sample.jsonl").write_text("".join(map(dump_line, chosen)), encoding="utf-8")

    (out / "arithmetic.jsonl").write_text("".join(map(dump_line, arithmetic_pairs())), encoding="utf-8")

    with open(out / "sudoku.csv", "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("puzzle", "solution"))
        writer.writerows(sudoku_puzzles())

    for task in ARC_TASKS:
        shutil.copyfile(options.data / "arc-agi-1" / "data" / "training" / f"{task}.json", out / "arc" / f"{task}.json")
    shutil.copyfile(options.data / "arc-agi-1" / "LICENSE", out / "arc" / "LICENSE")


if __name__ == "__main__":
    main()
