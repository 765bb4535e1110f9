#!/usr/bin/env python3
"""Make pairs of a short instruction and a long program, and the programs that `ips` searches instructions for.

    python3 scripts/functions/make_instructions.py                               # jobs/data/ips/pocket{.jsonl,_words.txt}
    python3 scripts/functions/make_instructions.py --corpus corpus/instructions  # and {train,valid}.jsonl of the adapter

A program is a kind of function_kinds.py written in one fixed way, so that kind and constants alone decide its text: what
an instruction must say is which kind. It is seven times as long as an instruction that says so.

Targets are programs of the kinds "test" of jobs/data/functions/kinds.json, one of each, the first ones whose length fits.
No kind of any list there but "coder" is in the training text, and none of the targets' programs: what is new is the
combination of parts. A part of the training text goes the other way, from program to instruction: it lets the model
propose instructions, which is a baseline that a search must beat. The same seed gives the same bytes.
"""

import argparse
import collections
import json
import random
from pathlib import Path

from function_kinds import VARIABLES, Instance, all_kinds
from function_tests import HIDDEN, draw_cases

SEED = 20261129
ROOT = Path(__file__).resolve().parents[2]
SHAPES = {"pipeline": 0.7, "branch": 0.3}
REVERSED_SHARE = 0.15
PROMPT = "{instruction}\n\n"  # as in jobs/quick/ips.json
REVERSED_PROMPT = "{program}\nWhat does it do?\n\n"
LENGTH = (300, 700)  # characters of a target: about 100 to 220 tokens
TARGETS = {"pipeline": 5, "branch": 3}  # how many
# Words that say nothing which the rest of an instruction does not.
EMPTY_WORDS = {"the", "a", "of", "an", "in", "each", "that", "are", "them", "it", "given", "and"}
SYNONYMS = (
    ("largest", "maximum", "biggest", "greatest"),
    ("smallest", "minimum", "least", "lowest"),
    ("sum", "total"),
    ("number", "count"),
    ("different", "distinct", "unique"),
    ("list", "array"),
    ("dictionary", "dict"),
    ("sorted", "ordered", "ascending"),
    ("reversed", "reverse", "backwards"),
    ("uppercase", "upper"),
    ("lowercase", "lower"),
    ("string", "text"),
    ("find", "return", "compute", "get", "give"),
)
SYNONYM_OF = {word: group for group in SYNONYMS for word in group}


def fixed_instance(kind, source):
    """An Instance whose names are the same for every kind of its type: only constants are drawn."""
    instance = Instance(kind, source)
    instance.args = kind.source.args[0]
    instance.variable = next(
        v for v in VARIABLES[kind.source.type] if not set(instance.names_in(v)) & set(instance.args)
    )
    instance.accumulator, instance.name = "result", "solve"
    instance.value = instance.compile_value()
    return instance


def first_form(instance, part):
    return instance.form(part, first=True)


def staged_program(instance):
    """One small function for each part: keep, change, otherwise, collect, finish, and `solve`, which calls the last two."""
    kind, reducer = instance.kind, instance.kind.reducer
    names = ", ".join(instance.names_in(instance.variable))
    element = names if kind.source.type != "pair" else f"({names})"
    lines = []
    if reducer.imports:
        lines += [reducer.imports, "", ""]
    if kind.filter:
        lines += [f"def keep({names}):", f"    if {instance.condition(first=True)}:", "        return True"]
        lines += ["    return False", "", ""]
    if kind.map:
        lines += [f"def change({names}):", f"    changed = {first_form(instance, kind.map)}", "    return changed", "", ""]
    if kind.other:
        lines += [f"def otherwise({names}):", f"    changed = {first_form(instance, kind.other)}", "    return changed"]
        lines += ["", ""]
    changed = f"change({names})" if kind.map else element
    arguments = ", ".join(instance.args)
    lines += [f"def collect({arguments}):", "    parts = []"]
    for depth, (variable, iterable) in enumerate(instance.clauses(), 1):
        lines.append("    " * depth + f"for {variable} in {iterable}:")
    pad = "    " * (len(instance.clauses()) + 1)
    if kind.shape == "branch":
        other = f"otherwise({names})" if kind.other else element
        lines += [f"{pad}if keep({names}):", f"{pad}    parts.append({changed})"]
        lines += [f"{pad}else:", f"{pad}    parts.append({other})"]
    elif kind.filter:
        lines += [f"{pad}if keep({names}):", f"{pad}    parts.append({changed})"]
    else:
        lines += [f"{pad}parts.append({changed})"]
    fields = {k: repr(v) if v is None else v for k, v in instance.constants.get(reducer, {}).items()}
    lines += ["    return parts", "", "", "def finish(parts):"]
    lines += [f"    result = {reducer.named[0].format(n='parts', r='result', **fields)}", "    return result", "", ""]
    lines += [f"def solve({arguments}):", f"    parts = collect({arguments})", "    return finish(parts)"]
    return "\n".join(lines) + "\n"


# -------------------------------------------------------------------------------------------------------- instructions


def shortened(text, source):
    """The text in fewer words, as somebody writes who counts them."""
    words = text.rstrip(".").split()
    style = source.random()
    if style < 0.75:
        words = [w for w in words if w.lower() not in EMPTY_WORDS]
    if style < 0.4:
        words = [w for w in words if source.random() > 0.05]
    words = [
        source.choice(SYNONYM_OF[w.lower()]) if w.lower() in SYNONYM_OF and source.random() < 0.3 else w for w in words
    ]
    return " ".join(words)


def clauses_shuffled(instance, source):
    """even numbers, squares, list, sum: the parts in any order."""
    kind = instance.kind
    place = instance.words(source.choice(kind.source.places), kind.source, **instance.arguments())
    parts = [f"{source.choice(kind.source.nouns)} {place}"]
    if kind.filter:
        parts.append(instance.predicate().removeprefix("are "))
    if kind.map:
        parts.append(instance.words(kind.map.step, kind.map))
    if kind.other:
        parts.append("others " + instance.words(kind.other.step, kind.other))
    parts.append(instance.words(kind.reducer.step, kind.reducer))
    if source.random() < 0.5:
        source.shuffle(parts)
    return shortened(", ".join(parts), source)


def keywords(instance, source):
    """even square sum list: the names of the parts with their constants."""
    kind, said = instance.kind, []
    for part in (kind.source, kind.filter, kind.map, kind.other, kind.reducer):
        if part is not None:
            constants = [str(value) for value in instance.constants.get(part, {}).values()]
            said.append(" ".join([part.key.replace("_", " "), *constants]))
    if source.random() < 0.4:
        source.shuffle(said)
    return source.choice((" ", " ", ", ")).join(said)


def instruction(instance, source):
    style = source.random()
    if style < 0.1:
        return instance.text()
    if style < 0.25:
        return clauses_shuffled(instance, source)
    if style < 0.45:
        return keywords(instance, source)
    phrase = instance.branch_text() if instance.kind.shape == "branch" else instance.result_phrase()
    text = phrase if source.random() < 0.2 else shortened(phrase, source)
    return text[:1].upper() + text[1:] if source.random() < 0.15 else text


def example(instance, source):
    program, words = staged_program(instance), instruction(instance, source)
    if source.random() < REVERSED_SHARE:
        phrase = instance.branch_text() if instance.kind.shape == "branch" else instance.result_phrase()
        return {"prompt": REVERSED_PROMPT.format(program=program), "completion": shortened(phrase, source)}
    return {"prompt": PROMPT.format(instruction=words), "completion": program}


# --------------------------------------------------------------------------------------------------------------- main


def kind_lists():
    return json.loads((ROOT / "jobs" / "data" / "functions" / "kinds.json").read_text(encoding="utf-8"))


def usable(kind):
    return kind.shape in SHAPES and kind.filter is not None and kind.map is not None


def make_targets(kinds, listed):
    """One program of each of the first kinds of "test" whose program has the length: nothing is chosen by what a model
    makes of it."""
    source, targets, left = random.Random(SEED), [], dict(TARGETS)
    for key in listed["test"]:
        kind = kinds[key]
        if not usable(kind) or left[kind.shape] == 0:
            continue
        instance = fixed_instance(kind, source)
        program = staged_program(instance)
        if not LENGTH[0] <= len(program) <= LENGTH[1]:
            continue
        cases = draw_cases(instance, source, HIDDEN)
        row = {
            "id": f"pocket/{key.replace(':', '-')}",
            "language": "python",
            "code": program,
            "metadata": {"license": "Apache-2.0"},
            "entry_point": "solve",
            "calls": [f"solve({', '.join(map(repr, arguments))})" for arguments, _ in cases],
            "kind": key,
        }
        targets.append((row, instance))
        left[kind.shape] -= 1
    return targets


def words_of(kinds, listed):
    """The words in instructions of the kinds "coder", most frequent first, numbers left out."""
    source, counts = random.Random(SEED + 3), collections.Counter()
    for key in listed["coder"]:
        if usable(kinds[key]):
            for _ in range(40):
                text = instruction(fixed_instance(kinds[key], source), source)
                counts.update(word.strip(",.").lower() for word in text.split())
    return [w for w, n in sorted(counts.items(), key=lambda e: (-e[1], e[0])) if n >= 3 and w and not w.isdigit()]


def write_corpus(path, kinds, targets, options):
    path.mkdir(parents=True, exist_ok=True)
    by_source = collections.defaultdict(list)
    for kind in kinds:
        by_source[kind.shape, kind.source.key].append(kind)
    for name, count, seed in (("train", options.examples, SEED + 1), ("valid", 2000, SEED + 2)):
        source, programs = random.Random(seed), {row["code"] for row, _ in targets}
        with open(path / f"{name}.jsonl", "w", encoding="utf-8") as stream:
            while count > 0:
                shape = source.choices(list(SHAPES), SHAPES.values())[0]
                of_shape = [key for key in by_source if key[0] == shape]
                instance = fixed_instance(source.choice(by_source[source.choice(of_shape)]), source)
                if staged_program(instance) in programs:
                    continue
                stream.write(json.dumps(example(instance, source)) + "\n")
                count -= 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "jobs" / "data" / "ips")
    parser.add_argument("--corpus", type=Path, help="folder for train.jsonl and valid.jsonl of the adapter")
    parser.add_argument("--examples", type=int, default=120_000)
    options = parser.parse_args()

    listed = kind_lists()
    every = {kind.key: kind for kind in all_kinds()}
    targets = make_targets(every, listed)
    options.out.mkdir(parents=True, exist_ok=True)
    with open(options.out / "pocket.jsonl", "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row, _ in targets)
    words = words_of(every, listed) + [str(n) for n in range(1, 21)]
    (options.out / "pocket_words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    if options.corpus:
        held_out = {key for role, keys in listed.items() if role != "coder" for key in keys}
        write_corpus(
            options.corpus, [k for k in every.values() if usable(k) and k.key not in held_out], targets, options
        )


if __name__ == "__main__":
    main()
