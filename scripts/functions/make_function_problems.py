#!/usr/bin/env python3
"""Make small programming problems, in the format of MBPP, and the text that a small model learns them from.

    python3 scripts/functions/make_function_problems.py                                   # jobs/data/functions
    python3 scripts/functions/make_function_problems.py --corpus corpus/functions         # and {train,valid}.jsonl

A problem is a description in one line, a reference program, three assertions that a prompt may show (test_list) and six
that it may not (challenge_test_list). Problems come in kinds, the combinations of function_kinds.py. Each kind has one
role: "coder" kinds are what the model is trained on, those of "train", "validation" and "test" it never sees; their
problems are in problems.jsonl.gz under task ids of these splits of MBPP (601-974, 511-600, 11-510), with the kind as an
additional key. Every part of a kind held out occurs in several coder kinds: what is new is the combination. Kinds of
"final" are like those of "test", in a file of their own, final.jsonl.gz: nothing may be chosen by a look at them.

Every program is run on the tests, and every problem of problems.jsonl.gz is run in all styles; a program in which one part
is replaced by another fails them, unless no argument tells the two apart. The same seed gives the same bytes.
"""

import argparse
import collections
import functools
import gzip
import hashlib
import json
import multiprocessing
import random
import re
from pathlib import Path

from function_kinds import Instance, all_kinds
from function_siblings import undistinguished
from function_styles import STYLES, program
from function_tests import HIDDEN, SHOWN, assertion, draw_cases, run

SEED = 20261121
ROOT = Path(__file__).resolve().parents[2]
# What the shapes of the kinds should make up.
SHARES = {
    "pipeline": 0.50,
    "branch": 0.15,
    "quantifier": 0.07,
    "positions": 0.04,
    "mapping": 0.08,
    "counts": 0.08,
    "groups": 0.08,
}
# What the elements should be.
TYPES = {"int": 0.55, "char": 0.17, "word": 0.20, "pair": 0.08}
# Role, kinds, problems of each, first task id; drawn in this order.
HELD_OUT = (
    ("train", 120, 2, 601),
    ("validation", 30, 2, 511),
    ("test", 60, 2, 11),
    ("train", 134, 1, 841),
    ("validation", 30, 1, 571),
    ("test", 180, 1, 131),
    ("final", 200, 1, 311),
)
CODER_KINDS = 150
SEEN_AT_LEAST = 2  # coder kinds in which each part of a kind held out occurs
PROMPT = "{text}\n\n{tests}\n\n"  # as in jobs/quick/verifier.json


# -------------------------------------------------------------------------------------------------------------- kinds


def draw_kinds(source, count, taken, kinds, accept=lambda kind: True):
    """`count` kinds that yield problems and are not in `taken` (which they join): a shape, a type of element, a source,
    and one of their kinds."""
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for kind in kinds:
        groups[kind.shape, kind.source.type][kind.source.key].append(kind)
    drawn = []
    while len(drawn) < count:
        shape = source.choices(list(SHARES), SHARES.values())[0]
        by_source = groups.get((shape, source.choices(list(TYPES), TYPES.values())[0]))
        if not by_source:
            continue
        kind = source.choice(by_source[source.choice(list(by_source))])
        if kind.key not in taken and accept(kind) and any(draw_problem(kind, source) for _ in range(3)):
            taken.add(kind.key)
            drawn.append(kind)
    return drawn


def part_names(kind):
    """(place, part) of each part and the shape."""
    parts = {"source": kind.source, "filter": kind.filter, "map": kind.map, "map ": kind.other, "reducer": kind.reducer}
    named = {
        (place.strip(), getattr(part, "key", part), kind.source.type)
        for place, part in parts.items()
        if part is not None
    }
    return named | {("shape", kind.shape, kind.source.type)}


def choose_kinds(coder_kinds=CODER_KINDS):
    """The kinds that the coder is trained on, and those of each entry of HELD_OUT."""
    source, kinds, taken = random.Random(SEED), all_kinds(), set()
    coder = draw_kinds(source, coder_kinds, taken, kinds)
    seen = collections.Counter(part for kind in coder for part in part_names(kind))

    def new_combination(kind):
        return kind.parts >= 2 and all(seen[part] >= SEEN_AT_LEAST for part in part_names(kind))

    return coder, [draw_kinds(source, count, taken, kinds, new_combination) for _, count, _, _ in HELD_OUT]


# ----------------------------------------------------------------------------------------------------------- problems


def draw_problem(kind, source, hidden=HIDDEN):
    """(instance, cases), or None where the constants that were drawn make no sensible problem."""
    instance = Instance(kind, source)
    cases = draw_cases(instance, source, hidden)
    return (instance, cases) if cases else None


def checked_program(instance, cases, style=None):
    text = program(instance, style)
    if text is not None:
        wrong = run(text, instance.name, cases)
        if wrong:
            raise SystemExit(
                f"{instance.kind.key}: the program gives {wrong[2]!r} for {wrong[0]!r}, expected {wrong[1]!r}\n{text}"
            )
    return text


def shipped_problem(kind, source, texts):
    """A problem whose tests tell it from every sibling, of a text not in `texts` (which it joins), and the number of
    siblings that they do not tell apart; None where the kind has no other text."""
    best = None
    for _ in range(40):
        drawn = draw_problem(kind, source)
        if drawn is None:
            continue
        instance, cases = drawn
        text = instance.text()
        missed = undistinguished(instance, cases, source)
        if normalised(text) not in texts and len(cases) >= SHOWN + 3 and (best is None or missed < best[0]):
            best = (missed, instance, cases, text)
        if best and best[0] == 0:
            break
    if best is None:
        return None
    missed, instance, cases, text = best
    texts.add(normalised(text))
    for style in dict.fromkeys(STYLES[kind.shape]):
        checked_program(instance, cases, style)
    asserts = [assertion(instance.name, *case) for case in cases]
    return {
        "text": text,
        "code": checked_program(instance, cases),
        "test_setup_code": "",
        "test_list": asserts[:SHOWN],
        "challenge_test_list": asserts[SHOWN:],
        "kind": kind.key,
    }, missed


def normalised(text):
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def make_problems(held_out):
    """Rows of problems.jsonl.gz in the order of their ids. A kind that has no further text loses its ids."""
    source, texts, rows, missed = random.Random(SEED + 1), set(), [], 0
    for (_, _, each, first), kinds in zip(HELD_OUT, held_out):
        for number in range(first, first + each * len(kinds)):
            made = shipped_problem(kinds[(number - first) // each], source, texts)
            if made is None:
                continue
            row, count = made
            missed += count
            rows.append({"task_id": number, **row})
    print(f"{len(rows)} problems; {missed} replacements of one part that their tests do not tell apart")
    return sorted(rows, key=lambda row: row["task_id"])


# ------------------------------------------------------------------------------------------------------------- corpus


@functools.cache
def kinds_by_key():
    return {kind.key: kind for kind in all_kinds()}


def corpus_part(job):
    """`count` lines {"prompt", "completion"} from kinds, drawn by shape; texts of shipped problems are left out."""
    keys, count, seed, reserved = job
    source, lines = random.Random(seed), []
    by_shape = collections.defaultdict(list)
    for key in keys:
        by_shape[key.partition(":")[0]].append(kinds_by_key()[key])
    shapes = sorted(by_shape)
    weights = [SHARES[shape] for shape in shapes]
    while len(lines) < count:
        drawn = draw_problem(source.choice(by_shape[source.choices(shapes, weights)[0]]), source, hidden=0)
        if drawn is None:
            continue
        instance, cases = drawn
        text = instance.text()
        if normalised(text) in reserved:
            continue
        tests = "\n".join(assertion(instance.name, *case) for case in cases[:SHOWN])
        prompt = PROMPT.replace("{text}", text).replace("{tests}", tests)
        lines.append(json.dumps({"prompt": prompt, "completion": checked_program(instance, cases)}))
    return lines


def write_corpus(path, kinds, count, seed, reserved, workers):
    part = 5000  # fixed: the bytes do not depend on the number of workers
    keys = [kind.key for kind in kinds]
    jobs = [(keys, min(part, count - begin), seed * 1_000_003 + begin, reserved) for begin in range(0, count, part)]
    digest = hashlib.sha256()
    with multiprocessing.Pool(workers) as pool, open(path, "w", encoding="utf-8") as stream:
        for lines in pool.imap(corpus_part, jobs):
            block = "\n".join(lines) + "\n"
            stream.write(block)
            digest.update(block.encode())
    return {"examples": count, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


# --------------------------------------------------------------------------------------------------------------- main


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "jobs" / "data" / "functions")
    parser.add_argument("--corpus", type=Path, help="folder for train.jsonl and valid.jsonl")
    parser.add_argument("--examples", type=int, default=300_000)
    parser.add_argument("--coder-kinds", type=int, default=CODER_KINDS)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()

    coder, held_out = choose_kinds(options.coder_kinds)
    rows = make_problems(held_out)
    options.out.mkdir(parents=True, exist_ok=True)
    first_final = next(first for role, _, _, first in HELD_OUT if role == "final")
    final = [row for row in rows if first_final <= row["task_id"] < first_final + 200]
    for name, part in (("problems", [row for row in rows if row not in final]), ("final", final)):
        with gzip.GzipFile(options.out / f"{name}.jsonl.gz", "wb", mtime=0) as stream:
            stream.writelines(f"{json.dumps(row)}\n".encode() for row in part)
    keys = {"coder": [kind.key for kind in coder]}
    for (role, _, _, _), kinds in zip(HELD_OUT, held_out):
        keys.setdefault(role, []).extend(kind.key for kind in kinds)
    (options.out / "kinds.json").write_text(json.dumps(keys, indent=1) + "\n", encoding="utf-8")

    if options.corpus:
        options.corpus.mkdir(parents=True, exist_ok=True)
        reserved = frozenset(normalised(row["text"]) for row in rows)
        for name, kinds, count, seed in (
            ("train", coder, options.examples, SEED + 2),
            ("valid", held_out[1], 2000, SEED + 3),
        ):
            made = write_corpus(options.corpus / f"{name}.jsonl", kinds, count, seed, reserved, options.workers)
            print(json.dumps({"file": f"{name}.jsonl", "kinds": len(kinds), **made}))


if __name__ == "__main__":
    main()
