#!/usr/bin/env python3
"""Laws 1 and 2 of the house: an include points down or stays in its room; one foreign header, one room.

    tests/laws/check_includes.py ROOT

Benchmarks may include any room, as the program does, and foreign headers only where a room may; a CUDA peer
may include its own library. Also: no source file above 600 lines (above 500: a warning). Prints each violation as file:line and exits
with 1. First it plants violations of each kind in a folder of its own and fails unless all are found.
"""
import collections
import pathlib
import re
import sys
import tempfile

BENCH = "bench"  # beside the rooms; above them all
LEVELS = {"base": 0,
          "cluster": 1, "store": 1, "text": 1, "data": 1, "sandbox": 1, "nn": 1, "optim": 1,
          "lm": 2, "bo": 2, "run": 2, "lines": 2,
          "eval": 3,
          "tools": 4,  # and experiments/*
          "app": 5,
          BENCH: 6}
# What a room may see beyond base, where its level alone would allow more.
BESIDE = {"lm": {"nn", "text", "optim", "cluster"}, "bo": {"optim"}, "lines": {"text", "sandbox"}, "run": {"cluster", "store"},
          "eval": {"lm", "data", "text", "sandbox"}}
TORCH = {"cluster", "nn", "optim", "lm", "bo", "run", "eval", "experiments", "tools", "app", BENCH}
FOREIGN = [  # pattern of the header, what it is called, rooms that may include it
    (r"(.*/)?mpi\.h$", "mpi.h", {"cluster"}),
    (r"(.*/)?nccl\.h$", "nccl.h", {"cluster"}),
    (r"(.*/)?(hdf5(_hl)?|H5\w*)\.h$", "hdf5.h", {"store"}),
    (r"CLI/", "CLI11", {"app"}),
    (r"seccomp\.h$|(linux|sys)/(seccomp|filter)\.h$|linux/sched\.h$", "seccomp", {"sandbox"}),
    (r"sched\.h$", "sched.h", {"sandbox", "base", "cluster"}),  # base: affinity of threads
    (r"spdlog/", "spdlog", {"base"}),
    (r"openssl/", "openssl", {"base"}),
    (r"zlib\.h$", "zlib", {"data"}),
    (r"(ATen|c10|torch)/", "torch", TORCH),
]
CALLS = [  # calls that belong to one room, headers apart
    (r"(?<![\w.:>])(::)?(unshare|clone|setns|pivot_root)\s*\(", "namespaces", {"sandbox"}),
    (r"(?<![\w.:>])(::)?v?fork\s*\(\s*\)", "fork (use base/process)", {"sandbox", "base"}),
]
MOST_FILES = 30  # of source, in a folder
SUFFIXES = {".cpp", ".hpp", ".cu", ".cuh", ".inc", ".h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')


def room_of(parts):
    """("experiments", "dcm", ...) -> "experiments/dcm"; ("store", ...) -> "store"."""
    return "/".join(parts[:2]) if parts[0] == "experiments" else parts[0]


def level_of(room):
    return LEVELS["tools"] if room.startswith("experiments/") else LEVELS.get(room)


def may_include(room, other):
    if room == other:
        return True
    level, below = level_of(room), level_of(other)
    if below is None or below >= level:
        return False
    # bo, lm, run and eval name their neighbours; what those may see, they may see as well.
    if other == "base" or room not in BESIDE:
        return True
    return other in BESIDE[room] or any(other in BESIDE.get(seen, ()) for seen in BESIDE[room])


def allowed(room, rooms):
    return room in rooms or room.split("/")[0] in rooms


def resolve(root, file, included, room):
    """The room of an included header of ours, or None for a foreign one."""
    path = pathlib.PurePosixPath(included)
    if path.parts[0] == "preimage" and len(path.parts) > 2:
        return room_of(path.parts[1:])
    for base in (file.parent, root / "src" / room):
        target = (base / included).resolve()
        if target.is_file() and target.is_relative_to(root / "src"):
            return room_of(target.relative_to(root / "src").parts)
    return None


def check_file(root, file, room, is_test):
    """Violations of one file, each (line, text), and warnings."""
    violations, warnings = [], []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if found:
            included = found.group(1)
            other = resolve(root, file, included, room)
            if other is not None and not may_include(room, other):
                violations.append((number, f"{room} includes {included}: it may include its own room and "
                                           "rooms below it"))
            for pattern, name, rooms in FOREIGN if other is None else ():
                if re.match(pattern, included) and not allowed(room, rooms):
                    violations.append((number, f"{room} includes <{included}>: {name} belongs to "
                                               + ", ".join(sorted(rooms))))
                    break
        if is_test:
            continue  # a test may fork to look at a death
        code = re.sub(r'"(\\.|[^"\\])*"|//.*', "", line)
        for pattern, name, rooms in CALLS:
            if re.search(pattern, code) and not allowed(room, rooms):
                violations.append((number, f"{room} calls {name}: it belongs to " + ", ".join(sorted(rooms))))
    if len(lines) > 600:
        violations.append((len(lines), f"{len(lines)} lines, at most 600; split it"))
    elif len(lines) > 500:
        warnings.append((len(lines), f"{len(lines)} lines, more than 500"))
    return violations, warnings


def check_tree(root):
    root = root.resolve()
    violations, warnings, count = [], [], 0
    for top in ("include/preimage", "src", "tests", BENCH):
        for file in sorted((root / top).rglob("*")):
            parts = file.relative_to(root / top).parts
            if top == BENCH:
                parts = (BENCH, *parts)
            if file.suffix not in SUFFIXES or len(parts) < 2 or parts[0] in ("fuzz", "laws", "sixth_method"):
                continue
            room = room_of(parts)
            place = file.relative_to(root)
            if level_of(room) is None:
                violations.append(f"{place}:1: {room} is no room of DESIGN section 1")
                continue
            count += 1
            wrong, odd = check_file(root, file, room, top == "tests")
            violations += [f"{place}:{line}: {text}" for line, text in wrong]
            warnings += [f"{place}:{line}: warning: {text}" for line, text in odd]
        violations += crowded(root, top)
    return violations, warnings, count


def crowded(root, top):
    """Folders in which nobody finds anything any more."""
    folders = collections.Counter(file.parent for file in (root / top).rglob("*") if file.suffix in SUFFIXES)
    return [f"{folder.relative_to(root)}:1: {count} source files, at most {MOST_FILES}; divide it"
            for folder, count in sorted(folders.items()) if count > MOST_FILES]


def self_test():
    planted = {
        "src/base/a.cpp": '#include "preimage/store/schema.hpp"\n',
        "src/store/b.cpp": '#include "preimage/text/x.hpp"\n',
        "src/nn/c.cpp": "#include <ATen/ATen.h>\n#include <mpi.h>\n",
        "src/text/d.cpp": "#include <c10/core/Device.h>\n",
        "src/run/e.cpp": "\n#  include <hdf5.h>\n",
        "src/run/own.cpp": '#include "preimage/lm/model.hpp"\n',
        "src/experiments/dcm/f.cpp": '#include "preimage/experiments/ips/x.hpp"\n',
        "src/experiments/dcm/g.cpp": '#include "../../app/main.hpp"\n',
        "src/app/main.hpp": "#include <CLI/CLI.hpp>\n",
        "src/tools/h.cpp": "#include <CLI/CLI.hpp>\n",
        "include/preimage/lm/i.hpp": "#include <sys/seccomp.h>\n",
        "src/run/j.cpp": "void f() { ::fork(); }\n",
        "src/data/k.cpp": "\n" * 601,
        "src/utils/l.cpp": "\n",
        **{f"src/lm/crowd/unit{i}.cpp": "\n" for i in range(31)},
        "src/nn/m.cu": "#include <nccl.h>\n",
        "src/nn/cpu/inner.inc": '#include "preimage/lm/model.hpp"\n',
        "src/lm/generate/serial.cpp": "#include <hdf5/serial/hdf5.h>\n",
        "bench/store_bench.cpp": '#include "preimage/store/schema.hpp"\n#include <hdf5.h>\n',
        "bench/gpu/ranks.cu": "#include <openmpi/mpi.h>\n",
        "tests/store/n_test.cpp": '#include "preimage/run/context.hpp"\n',
    }
    expected = {"src/base/a.cpp:1", "src/store/b.cpp:1", "src/nn/c.cpp:2", "src/text/d.cpp:1", "src/run/e.cpp:2",
                "src/run/own.cpp:1", "src/experiments/dcm/f.cpp:1", "src/experiments/dcm/g.cpp:1",
                "src/tools/h.cpp:1", "include/preimage/lm/i.hpp:1", "src/run/j.cpp:1", "src/data/k.cpp:601",
                "src/utils/l.cpp:1", "src/lm/crowd:1", "src/nn/m.cu:1", "src/nn/cpu/inner.inc:1", "src/lm/generate/serial.cpp:1",
                "bench/store_bench.cpp:2", "bench/gpu/ranks.cu:1", "tests/store/n_test.cpp:1"}
    well = {
        "src/cluster/o.cpp": "#include <mpi.h>\n#include <torch/csrc/x.h>\n#include <vector>\n",
        "src/experiments/ips/p.cpp": '#include "preimage/lm/model.hpp"\n#include "p.hpp"\n#include <ATen/ATen.h>\n',
        "src/experiments/ips/p.hpp": "// fork() in a comment\n",
        "src/eval/q.cpp": '#include "preimage/cluster/communicator.hpp"\n#include "preimage/sandbox/judge.hpp"\n',
        "tests/store/r_test.cpp": '#include "h5.hpp"\n#include <hdf5.h>\nint x = ::fork();\n',
        "src/store/h5.hpp": "#include <hdf5.h>\n",
        "bench/lm_bench.cpp": '#include "preimage/app/app.hpp"\n#include <ATen/ATen.h>\n',
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**planted, **well}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        found = {":".join(line.split(":")[:2]) for line in check_tree(root)[0]}
    if found != expected:
        print(f"self-test: not found {sorted(expected - found)}, found besides {sorted(found - expected)}")
        sys.exit(1)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    self_test()
    root = pathlib.Path(sys.argv[1])
    violations, warnings, count = check_tree(root)
    sixth = check_tree(root / "tests/sixth_method")
    violations, warnings, count = violations + sixth[0], warnings + sixth[1], count + sixth[2]
    print("\n".join(violations + warnings))
    print(f"{count} files, {len(violations)} violations")
    sys.exit(1 if violations or not count else 0)


if __name__ == "__main__":
    main()
