#!/usr/bin/env python3
"""Every labelled program through `preimage judge`, again and again: a table of verdicts beside the right ones.

    scripts/judge_verdicts.py [--repeats 5] [--levels full,user] [--load 0,4] [--preimage build/release/preimage] [FILE...]

FILE: lines as `preimage judge` reads them, with "verdicts", those that are right; by default all of
tests/sandbox/verdicts and the programs of tests/sandbox/attacks (which have 1 s, 3 s by the clock and 512 MiB, as in
their own test). Each level judges them idle and beside so many busy processes for each processor. One row for each
file and way; below it each case that was judged otherwise. Exit code 1 where one was.
"""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HOME = pathlib.Path(__file__).resolve().parents[1]
TESTS = HOME / "tests/sandbox"
ATTACK_LIMITS = ["--cpu-limit", "1", "--wall-limit", "3", "--memory-mb", "512"]


def attacks():
    """Lines of the programs whose f(x) would have to be x + 1."""
    index = json.loads((TESTS / "attacks/index.json").read_text())
    tests = [{"args": [x], "expected": x + 1} for x in (1, 5, 9)]
    for name, entry in index.items():
        program = "(" * 100_000 if "generated" in entry else (TESTS / f"attacks/{name}.py").read_text()
        yield {"id": name, "verdicts": entry["verdicts"], "program": program, "entry_point": "f", "tests": tests}


def cases(paths):
    """[(name, lines, options)]"""
    found = [(pathlib.Path(path).stem, [json.loads(line) for line in open(path)], []) for path in
             paths or sorted((TESTS / "verdicts").glob("**/*.jsonl"))]
    return found if paths else found + [("attacks", list(attacks()), ATTACK_LIMITS)]


def judge(preimage, lines, options, repeats):
    """{case: Counter of (verdict, detail)}"""
    right = {line["id"]: line.pop("verdicts") for line in map(dict, lines)}
    seen = collections.defaultdict(collections.Counter)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for repeat in range(repeats):
            for line in lines:
                asked = {key: value for key, value in line.items() if key != "verdicts"}
                file.write(json.dumps({**asked, "id": f"{line['id']} #{repeat}", "seed": repeat}) + "\n")
        file.flush()
        done = subprocess.run([preimage, "judge", "--in", file.name, "--out", "-", *options], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.stderr)
    for line in done.stdout.splitlines():
        record = json.loads(line)
        detail = "" if record["verdict"] in right[record["id"].rsplit(" #", 1)[0]] else record["detail"]
        seen[record["id"].rsplit(" #", 1)[0]][record["verdict"], detail] += 1
    return right, seen


def report(name, way, right, seen):
    """Prints a row, and what is wrong; how many judgements are."""
    wrong = {case: [(v, d, n) for (v, d), n in found.items() if v not in right[case]] for case, found in seen.items()}
    count = sum(n for others in wrong.values() for _, _, n in others)
    total = sum(sum(found.values()) for found in seen.values())
    print(f"{name:28} {way:18} {len(right):6} {total:8} {total - count:8} {count:6}", flush=True)
    for case, others in wrong.items():
        for verdict, detail, n in others:
            print(f"    {case}: {verdict} {n} times, right: {' or '.join(right[case])}; {detail[:160]}", flush=True)
    return count + sum(case not in seen for case in right)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--levels", default="full,user")
    parser.add_argument("--load", default="0,4", help="busy processes for each processor, with commas between")
    parser.add_argument("--preimage", default=str(HOME / "build/release/preimage"))
    arguments = parser.parse_args()
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    all_cases, failures = cases(arguments.files), 0
    print(f"{'cases of':28} {'level, load':18} {'cases':>6} {'judged':>8} {'right':>8} {'wrong':>6}")
    for load in map(int, arguments.load.split(",")):
        busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(load * len(os.sched_getaffinity(0)))]
        try:
            for level in arguments.levels.split(","):
                for name, lines, options in all_cases:
                    right, seen = judge(arguments.preimage, lines, [*options, "--level", level], arguments.repeats)
                    failures += report(name, f"{level}, {load} times", right, seen)
        finally:
            for process in busy:
                process.kill()
                process.wait()
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
