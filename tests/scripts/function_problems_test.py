"""scripts/functions/make_function_problems.py: what kinds mean, that programs do it, and that its files are those checked in."""

import gzip
import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/functions"))

import function_kinds  # noqa: E402
import make_function_problems as made  # noqa: E402
from function_siblings import undistinguished  # noqa: E402
from function_styles import STYLES, program  # noqa: E402
from function_tests import draw_cases, run  # noqa: E402

DATA = ROOT / "jobs" / "data" / "functions"
KINDS = {kind.key: kind for kind in function_kinds.all_kinds()}

# Worked out by hand: kind (of parts without constants), arguments, value.
BY_HAND = (
    ("pipeline:list:even:square:-:sum", ([1, 2, 3, 4],), 20),
    ("pipeline:list:negative:abs:-:sorted", ([-3, 2, -1],), [1, 3]),
    ("pipeline:range:odd:-:-:product", (6,), 15),
    ("pipeline:below:even:-:-:list", (5,), [0, 2, 4]),
    ("pipeline:digits:odd:-:-:count", (12345,), 3),
    ("pipeline:nested:positive:double:-:descending", ([[1, -1], [], [3]],), [6, 2]),
    ("pipeline:dict_values:prime:-:-:uniques", ({"a": 7, "b": 1, "c": 2, "d": 7},), [2, 7]),
    ("pipeline:evens_at:-:-:-:running", ([1, 9, 2, 9, 3],), [1, 3, 6]),
    ("pipeline:odds_at:-:negate:-:reversed", ([1, 9, 2, 8, 3],), [-8, -9]),
    ("pipeline:list:two_digits:digit_sum:-:list", ([7, -15, 99, 100],), [6, 18]),
    ("pipeline:string:vowel:to_upper:-:join", ("banana split",), "AAAI"),
    ("pipeline:string:digit:-:-:join_back", ("a1b2c3",), "321"),
    ("pipeline:words:palindrome:length:-:list", (["kayak", "boat", "noon"],), [5, 4]),
    ("pipeline:sentence:capital:backwards:-:list", ("Anna met Bob",), ["annA", "boB"]),
    ("pipeline:keys:vowel_start:first_letter:-:distinct", ({"ant": 1, "Apple": 2, "bee": 3, "ape": 4},), 2),
    ("pipeline:words:-:-:-:longest", (["ab", "abc", "xyz"],), "abc"),
    ("pipeline:two_lists:rising:pair_difference:-:list", ([1, 5, 2], [4, 5, 9]), [3, 7]),
    ("pipeline:neighbours:falling:-:-:count", ([3, 1, 2, 0],), 2),
    ("quantifier:list:even:-:-:all", ([],), True),
    ("quantifier:words:palindrome:-:-:any", (["ab", "aa"],), True),
    ("quantifier:digits:even:-:-:none", (135,), True),
    ("positions:string:upper:-:-:last", ("aBcDe",), 3),
    ("positions:list:negative:-:-:first", ([1, 2],), -1),
    ("mapping:words:even_length:length:-:-", (["ab", "abc", "abcd"],), {"ab": 2, "abcd": 4}),
    ("counts:list:odd:last_digit:-:-", ([11, 21, 13, 4],), {1: 2, 3: 1}),
    ("groups:words:-:first_letter:-:-", (["ant", "bee", "ape"],), {"a": ["ant", "ape"], "b": ["bee"]}),
    ("branch:list:even:half:square:list", ([4, 3],), [2, 9]),
    ("branch:string:vowel:to_upper:-:join", ("hello",), "hEllO"),
)


class Kinds(unittest.TestCase):
    def test_values_worked_out_by_hand(self):
        for key, args, value in BY_HAND:
            for seed in range(3):
                instance = function_kinds.Instance(KINDS[key], random.Random(seed))
                found = instance.value(*args)
                self.assertEqual((type(found), found), (type(value), value), key)

    def test_every_style_of_every_shape_does_it(self):
        source, styles = random.Random(1), set()
        by_shape = {}
        for kind in KINDS.values():
            by_shape.setdefault(kind.shape, []).append(kind)
        for shape, kinds in by_shape.items():
            for kind in source.sample(kinds, 60):
                instance = function_kinds.Instance(kind, source)
                cases = draw_cases(instance, source)
                for style in dict.fromkeys(STYLES[shape]) if cases else ():
                    text = program(instance, style)
                    if text is not None:
                        styles.add((shape, style.__name__))
                        self.assertIsNone(run(text, instance.name, cases), f"{kind.key}\n{text}")
        self.assertEqual(styles, {(shape, s.__name__) for shape, list in STYLES.items() for s in list})

    def test_weak_tests_are_noticed(self):
        source = random.Random(2)
        instance = function_kinds.Instance(KINDS["pipeline:list:even:square:-:sum"], source)
        self.assertGreater(undistinguished(instance, [(([],), 0)], source), 20)


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = [json.loads(line) for name in ("problems", "final")
                    for line in gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8")]
        cls.kinds = json.loads((DATA / "kinds.json").read_text(encoding="utf-8"))

    def test_they_are_what_the_script_writes(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, ROOT / "scripts/functions/make_function_problems.py", "--out", folder],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            for name in ("problems.jsonl.gz", "final.jsonl.gz"):  # zlib's releases pack differently
                with gzip.open(Path(folder) / name) as made_now, gzip.open(DATA / name) as kept:
                    self.assertEqual(made_now.read(), kept.read(), name)
            self.assertEqual((Path(folder) / "kinds.json").read_bytes(), (DATA / "kinds.json").read_bytes())

    def test_references_pass_and_a_wrong_one_fails(self):
        for row in self.rows:
            tests = "\n".join(row["test_list"] + row["challenge_test_list"])
            exec(row["code"] + tests, {})
            name = row["test_list"][0].removeprefix("assert ").split("(")[0]
            with self.assertRaises(AssertionError, msg=row["task_id"]):
                exec(f"def {name}(*args):\n    return 'wrong'\n{tests}", {})

    def test_training_text_has_no_text_of_a_problem(self):
        coder, reserved = self.kinds["coder"], frozenset(made.normalised(row["text"]) for row in self.rows)
        self.assertFalse(set(coder) & {row["kind"] for row in self.rows})
        final, others = set(self.kinds["final"]), (set(kinds) for role, kinds in self.kinds.items() if role != "final")
        self.assertFalse(final & set().union(*others))
        lines = [json.loads(line) for line in made.corpus_part((coder, 300, 7, reserved))]
        for line in lines:
            text, tests, rest = line["prompt"].split("\n\n")
            self.assertEqual((len(tests.splitlines()), rest), (3, ""))
            self.assertNotIn(made.normalised(text), reserved)
            exec(line["completion"] + tests, {})


if __name__ == "__main__":
    unittest.main()
