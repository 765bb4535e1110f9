"""scripts/targets/collect.py on a small source tree and a small git repository: python3 tests/scripts/collect_targets_test.py

Ends with 77 where tree-sitter or tokenizers is missing (scripts/setup.sh --targets)."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "targets" / "collect.py"
sys.dont_write_bytecode = True

MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person\n"

PYTHON = '''import math

@decorated
def area(radius):
    """Of a circle."""
    return math.pi * radius * radius

class Shape:
    def sides(self):
        return 0

def area_again(radius):
    # told apart by a comment alone
    return math.pi * radius * radius

def odd(self):
    return self.__class__

def area(side):
    return side * side
'''
JAVASCRIPT = """import fs from 'fs';

export function clamp(value, low, high) {
  // keeps it inside
  return Math.min(Math.max(value, low), high);
}

function* count(n) {
  for (let i = 0; i < n; i++) yield `${i}: ünïcode`;
}

class Queue {
  constructor() { this.items = []; }
  push(item) { this.items.push(item); return this; }
}

export default function () { return 7 + 7 + 7 + 7; }
const arrow = (a, b) => a + b;
"""
RUST = """use std::fmt;

/// Adds one.
pub fn add_one(x: i32) -> i32 {
    x + 1
}

#[derive(Debug, Clone)]
pub struct Point {
    x: f64,
    y: f64,
}

impl Point {
    fn norm(&self) -> f64 {
        (self.x * self.x + self.y * self.y).sqrt()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "({}, {})", self.x, self.y)
    }
}

fn broken( -> {
"""


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


class CollectTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def collect(self, *arguments, least=5):
        out = self.folder / "targets.jsonl"
        done = subprocess.run(
            [sys.executable, str(SCRIPT), "--tokenizer", str(ROOT / "jobs/models/pocket-coder"), "--least", str(least), "--out", str(out), *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.said = done.stdout + done.stderr
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]

    def names(self, rows):
        return [row["id"].rpartition("#")[2] for row in rows]

    def test_each_language_from_a_tree(self):
        tree = self.folder / "tree"
        write(tree, {"LICENSE": MIT, "a.py": PYTHON, "b/c.js": JAVASCRIPT, "d.rs": RUST, "tests/e.py": PYTHON, "notes.txt": "x"})
        rows = self.collect("--tree", f"some/tree={tree}")
        by_name = dict(zip(self.names(rows), rows))
        # area_again is area but for its comment and docstring; `odd` names the interpreter's own.
        self.assertEqual(
            set(by_name), {"area", "area~2", "area_again", "Shape", "clamp", "count", "Queue", "add_one", "Point", "impl Point", "impl fmt::Display for Point"}
        )
        self.assertEqual(by_name["area"]["code"].splitlines()[:2], ["@decorated", "def area(radius):"])
        self.assertEqual(by_name["clamp"]["code"].splitlines()[0], "export function clamp(value, low, high) {")
        self.assertIn("ünïcode", by_name["count"]["code"])
        self.assertEqual(by_name["add_one"]["code"].splitlines()[0], "/// Adds one.")
        self.assertEqual(by_name["Point"]["code"].splitlines()[0], "#[derive(Debug, Clone)]")
        self.assertEqual(by_name["impl Point"]["code"].splitlines()[-1], "}")
        self.assertEqual({row["language"] for row in rows}, {"python", "javascript", "rust"})
        for row in rows:
            self.assertEqual(row["metadata"]["license"], "MIT")
            self.assertRegex(row["id"], r"^some/tree:(a\.py|b/c\.js|d\.rs):[0-9a-f]{40}#")
            self.assertGreaterEqual(row["metadata"]["len_tokens"], 5)
        self.assertIn("names of the interpreter", self.said)

    def test_other_licences_are_left_out(self):
        tree = self.folder / "tree"
        write(tree, {"LICENSE": "GNU GENERAL PUBLIC LICENSE", "a.py": PYTHON})
        self.assertEqual(self.collect("--tree", f"t={tree}"), [])
        self.assertIn("licence None: left out", self.said)

    def test_commits_of_a_repository(self):
        clone = self.folder / "clone"
        write(clone, {"LICENSE": MIT, "a.py": "x = 1\n", "with space.js": "var a;\n"})
        git(clone, "init", "-q")
        git(clone, "add", "-A"), git(clone, "commit", "-qm", "start")
        write(clone, {"a.py": "x = 1\n\ndef double(value):\n    return value + value\n\nprint('++ a line that begins with +')\n"})
        git(clone, "commit", "-qam", "adds")
        added = git(clone, "rev-parse", "HEAD")
        write(clone, {"a.py": "y = 2\n"})
        git(clone, "commit", "-qam", "takes away")
        write(clone, {"with space.js": "var a;\nfunction triple(v) { return v + v + v; }\n++a;\n"})
        git(clone, "commit", "-qam", "adds elsewhere")
        elsewhere = git(clone, "rev-parse", "HEAD")
        rows = self.collect("--git", f"owner/repo={clone}", "--diffs", "10", "--stars", "1200")
        by_id = {row["id"]: row for row in rows}
        self.assertEqual(
            set(by_id),
            {f"owner/repo:with space.js:{elsewhere}#triple", f"owner/repo:a.py:{added}", f"owner/repo:with space.js:{elsewhere}"},
        )
        self.assertEqual(
            by_id[f"owner/repo:a.py:{added}"]["code"],
            "def double(value):\n    return value + value\n\nprint('++ a line that begins with +')\n",
        )
        self.assertEqual(by_id[f"owner/repo:with space.js:{elsewhere}"]["code"], "function triple(v) { return v + v + v; }\n++a;\n")
        self.assertEqual(by_id[f"owner/repo:a.py:{added}"]["metadata"]["stars"], 1200)

    def test_lengths_are_of_the_models_tokens(self):
        tree = self.folder / "tree"
        write(tree, {"a.py": PYTHON})
        every = self.collect("--tree", f"t={tree}", "--license", "PSF-2.0", least=1)
        middle = sorted(row["metadata"]["len_tokens"] for row in every)[len(every) // 2]
        rows = self.collect("--tree", f"t={tree}", "--license", "PSF-2.0", least=middle)
        self.assertEqual(rows, [row for row in every if row["metadata"]["len_tokens"] >= middle])
        self.assertLess(len(rows), len(every))
        self.assertIn('"length": ', self.said)


if __name__ == "__main__":
    try:
        import tokenizers  # noqa: F401
        import tree_sitter  # noqa: F401
        import tree_sitter_javascript  # noqa: F401
        import tree_sitter_rust  # noqa: F401
    except ImportError as error:
        print(f"skipped: {error}")
        sys.exit(77)
    unittest.main()
