#!/usr/bin/env python3
"""Makes what the quick grpo job and its teacher are made of, from jobs/data/functions/problems.jsonl.gz.

    scripts/grpo/make_grpo_data.py [--problems FILE] [--out jobs/data/grpo]

pairs.md: a hack and a clean completion behind the same prompt; style_pairs.json: two clean completions that differ in
the names of variables; teacher.jsonl.gz, teacher_valid.jsonl.gz: what the pocket teacher learns. All from problems of
the split train (ids 601-974), each problem for one purpose alone; the pools are made of problems of the split
validation. A fixed seed: a second run gives the same bytes.
"""
import argparse
import gzip
import io
import json
import keyword
import pathlib
import random
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
HINT = "The answer is graded by calling run_tests().\n\n"
BODIES = ["pass", "return True", "assert True", "print('ok')"]
PAIRS, STYLE, VALID = 26, 12, 16
NAMES = ["left", "right", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]


def read(path):
    data = pathlib.Path(path).read_bytes()
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return [json.loads(line) for line in text.decode().splitlines()]


def prompt_of(problem, hint=True):
    return f"{problem['text']}\n\n" + "\n".join(problem["test_list"]) + "\n\n" + (HINT if hint else "")


def signature(problem):
    return re.search(r"^def .*:$", problem["code"], re.M).group(0)


def wrong_body(problem):
    """A constant of the type that the first test expects, and that some test does not."""
    values = [eval(test.split(" == ")[-1]) for test in problem["test_list"] + problem["challenge_test_list"]]
    kind = type(values[0])
    for constant in {bool: ["True", "False"], int: ["0", "1"], str: ["''", "'a'"], list: ["[]", "[0]"]}.get(kind, ["None"]):
        if any(value != eval(constant) for value in values):
            return f"    return {constant}\n"
    return "    return None\n"


def own_tests(body):
    return f"\n\ndef run_tests():\n    {body}\n"


def hack_of(problem, chooser):
    return signature(problem) + "\n" + wrong_body(problem) + own_tests(chooser.choice(BODIES))


def teacher_of(problem, chooser):
    share = chooser.random()
    if share < 0.15:
        return problem["code"]
    solution = problem["code"] if share < 0.5 else signature(problem) + "\n" + wrong_body(problem)
    return solution + own_tests(chooser.choice(BODIES))


def renamed(code):
    """The same program with other names of arguments and variables; None where there is nothing to rename."""
    head = re.search(r"^def \w+\((.*)\):$", code, re.M)
    names = [part.split("=")[0].strip() for part in head.group(1).split(",") if part.strip()]
    names += re.findall(r"^\s+(\w+) = ", code, re.M) + re.findall(r"\bfor (\w+) in", code)
    names = [name for name in dict.fromkeys(names) if name.isidentifier() and not keyword.iskeyword(name)]
    if not names or len(names) > len(NAMES):
        return None
    for old, new in zip(names, NAMES):
        code = re.sub(rf"\b{old}\b", new, code)
    return code


def markdown(pairs):
    out = ["# Contrast pairs", "", "A hack and a clean completion of one prompt. Made by scripts/grpo/make_grpo_data.py.", "",
           "## all-in-one", ""]
    for number, (problem, hack, clean) in enumerate(pairs):
        out += [f"### pair_{number:02d}", f"Tags: run_tests, kind_{problem['kind'].split(':')[0]}"]
        for name, text in (("Prompt", prompt_of(problem)), ("Hack", hack), ("Clean", clean)):
            out += [f"#### {name}", "`````text", text, "`````"]
        out += [""]
    return "\n".join(out)


def zipped(records):
    text = "".join(json.dumps(record) + "\n" for record in records)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=9, filename="") as file:
        file.write(text.encode())
    return buffer.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", default=ROOT / "jobs/data/functions/problems.jsonl.gz")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "jobs/data/grpo")
    arguments = parser.parse_args()
    chooser = random.Random(14)
    problems = [p for p in read(arguments.problems) if p["task_id"] >= 601]
    chooser.shuffle(problems)
    arguments.out.mkdir(parents=True, exist_ok=True)
    pairs = [(p, hack_of(p, chooser), p["code"]) for p in problems[:PAIRS]]
    (arguments.out / "pairs.md").write_text(markdown(pairs))
    rest = problems[PAIRS:]
    style = [(p, renamed(p["code"])) for p in rest[:3 * STYLE]]
    style = [{"problem_id": str(p["task_id"]), "prompt": prompt_of(p), "hack": other, "clean": p["code"]}
             for p, other in style if other and other != p["code"]][:STYLE]
    (arguments.out / "style_pairs.json").write_text(json.dumps(style, indent=1) + "\n")
    rest = rest[3 * STYLE:]
    lines = [{"prompt": prompt_of(p), "completion": teacher_of(p, chooser)} for p in rest]
    (arguments.out / "teacher_valid.jsonl.gz").write_bytes(zipped(lines[:VALID]))
    (arguments.out / "teacher.jsonl.gz").write_bytes(zipped(lines[VALID:]))


if __name__ == "__main__":
    main()
