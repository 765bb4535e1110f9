"""What scripts/cgroup_v2.sh runs on the other kernel: the sandbox in a root group, and beside a group that holds processes."""
import os
import sys

sys.path.insert(0, "bench")
from sandbox import Sandbox

GROUPS = "/sys/fs/cgroup"
TESTS = [{"args": [1], "expected": 2}]
SLOT = "preimage-"
# RLIMIT_AS is of one process: eight of 100 MB pass it.
GREEDY = """import os, time
for _ in range(8):
    if os.fork() == 0:
        block = bytearray(b'x') * (100 << 20)
        time.sleep(30)
        os._exit(0)
time.sleep(20)
def f(x): return x + 1
"""
failed = checks = 0


def check(what, found, expected):
    global failed, checks
    checks += 1
    failed += found != expected
    print("ok    " if found == expected else "FAILED", what, "" if found == expected else f"found {found}, expected {expected}",
          flush=True)


def attack(name):
    with open(f"tests/sandbox/attacks/{name}.py") as file:
        return file.read()


def judge(sandbox, program):
    sandbox.tickets += 1
    sandbox.send({"ticket": sandbox.tickets, "request": {**sandbox.REQUEST, "id": "p", "program": program,
                                                         "entry_point": "f", "tests": TESTS}})
    return sandbox.receive()["record"]


def check_all(place, level):
    walls = [True] * 7 + [False]  # memory is not polled
    options = {"level": level, "walls": walls, "memory_mb": 256, "calibrate": False, "self_test": False,
               "confirm_timeouts": False, "wall_s": 120.0}
    for name, program, cpu_s, verdict in (
            ("right", "def f(x): return x + 1\n", 30.0, "PASS"), ("greedy children", GREEDY, 60.0, "MEMORY"),
            ("children_ignored", attack("children_ignored"), 1.0, "TIMEOUT"),
            ("children_killed", attack("children_killed"), 1.0, "TIMEOUT")):
        sandbox = Sandbox(sys.argv[1], cpu_s=cpu_s, **options)
        check(f"{place}, {level}: version", sandbox.description["cgroup"], "v2")
        check(f"{place}, {level}: who counts", sandbox.description["cpu_counted_by"], "cgroup")
        record = judge(sandbox, program)
        check(f"{place}, {level}: {name}", record["verdict"], verdict)
        if verdict == "TIMEOUT":
            check(f"{place}, {level}: {name} by its CPU time", record["detail"], "more than 1 s of CPU time")
        sandbox.close()
    left = [folder for folder, _, _ in os.walk(GROUPS) if os.path.basename(folder).startswith(SLOT)]
    check(f"{place}, {level}: no group is left", left, [])


for level in ("full", "user"):
    check_all("root group", level)
os.mkdir(f"{GROUPS}/job")
with open(f"{GROUPS}/job/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
for level in ("full", "user"):
    check_all("beside its own", level)
print(f"cgroup v2: {checks} checks, {failed} failed")
sys.exit(failed > 0)
