"""What scripts/ips/compare_datasets.py reads and decides: python3 tests/scripts/compare_datasets_test.py

Needs the analysis packages (numpy, h5py, pandas)."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts" / "ips"))

import compare_datasets  # noqa: E402
import data_formats  # noqa: E402
import rules  # noqa: E402

SQUARES = "def squares(xs, n):\n    # each\n    return [x * x for x in xs]\n"


class FormatsTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def pairs(self, form, text):
        path = self.folder / "data"
        path.write_text(text, encoding="utf-8")
        return [(pair["prompt"], pair["completion"]) for pair in data_formats.read_pairs(path, form)]

    def test_alpaca(self):
        records = [{"instruction": "Add.", "input": "", "output": "3"}, {"instruction": "Add.", "input": "1 2", "output": "3"},
                   {"instruction": "Silent", "input": "", "output": " "}]  # fmt: skip
        expected = [("Add.", "3"), ("Add.\n\n1 2", "3")]
        self.assertEqual(self.pairs("alpaca", json.dumps(records)), expected)
        self.assertEqual(self.pairs("alpaca", "\n".join(map(json.dumps, records))), expected)

    def test_self_instruct(self):
        task = {"id": "seed_task_0", "instruction": "Add.", "instances": [{"input": "1 2", "output": "3"}, {"input": "", "output": "0"}], "is_classification": False}
        tuned = {"prompt": "Add.", "completion": "7"}
        self.assertEqual(self.pairs("self_instruct", f"{json.dumps(task)}\n{json.dumps(tuned)}\n"), [("Add.\n\n1 2", "3"), ("Add.", "0"), ("Add.", "7")])

    def test_what_is_wrong_has_a_place(self):
        for form, text, place in (("alpaca", '[{"instruction": "a", "output": 3}]', 'element 0: found 3 for "output"'),
                                  ("pairs", '{"prompt": "a", "completion": "b"}\n{"prompt": "a"}', ':2: found null for "completion"'),
                                  ("pairs", "{", ":1: not JSON"), ("pairs", "", "holds no example")):  # fmt: skip
            with self.assertRaises(data_formats.FormatError) as caught:
                self.pairs(form, text)
            self.assertIn(place, str(caught.exception))

    def test_splits_are_by_repository(self):
        self.assertEqual(data_formats.repository("owner/repo:a/b.py:0123#f"), "owner/repo")

    def test_an_arm_names_its_format_and_file(self):
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            sys.argv = ["x", "run", "--model", "m", "--items", "i", "--rules", "r", "--arm", "a=alpaca:missing"]
            compare_datasets.read_options()


class RulesTest(unittest.TestCase):
    def test_each(self):
        for rule, expected in (
            ({"rule": "parses"}, True), ({"rule": "defines", "name": "squares"}, True),
            ({"rule": "defines", "name": "squares", "arguments": 1}, False), ({"rule": "contains", "text": "# each"}, True),
            ({"rule": "lacks", "text": "import"}, True), ({"rule": "lines", "least": 3, "most": 3}, True), ({"rule": "lines", "most": 2}, False),
            ({"rule": "uses", "node": "ListComp"}, True), ({"rule": "avoids", "node": "For"}, True), ({"rule": "avoids", "node": "Return"}, False),
        ):  # fmt: skip
            self.assertEqual(rules.kept(SQUARES, rule), expected, rule)
            self.assertEqual(rules.kept(f"Here it is:\n```python\n{SQUARES}```\nDone.", rule), expected, rule)

    def test_text_that_does_not_parse_keeps_none_of_a_programs_rules(self):
        for rule in ({"rule": "parses"}, {"rule": "avoids", "node": "For"}, {"rule": "uses", "node": "For"}, {"rule": "defines", "name": "f"}):
            self.assertFalse(rules.kept("def f(:", rule))
            self.assertFalse(rules.kept("", rule))

    def test_the_shipped_file_holds_known_rules(self):
        for line in (ROOT / "jobs/data/ips/constraints.jsonl").read_text(encoding="utf-8").splitlines():
            for rule in json.loads(line)["rules"]:
                rules.kept(SQUARES, rule)


class DecisionsTest(unittest.TestCase):
    def found(self, gain):
        values = [0.5, 0.25, 0.75, 0.5, 0.25, 0.75, 0.5, 1.0]
        measures = ("rules kept", "tests passed", "held-out loss")
        arm = lambda more: {name: [[v + more for v in values]] * 2 for name in measures}  # noqa: E731
        return {"untouched": arm(0), "ips": arm(gain), "generated": arm(gain / 2)}

    def test_better_than_each_other_arm(self):
        rows, whole = compare_datasets.decisions(self.found(0.1), 500)
        self.assertEqual(whole, "holds")
        by_name = {row["statement"]: row for row in rows}
        self.assertAlmostEqual(by_name["ips less generated, rules kept"]["value"], 0.05)
        self.assertEqual(by_name["ips less untouched, held-out loss"]["verdict"], "fails")  # a larger loss
        self.assertEqual(len(rows), 6)

    def test_worse_or_equal(self):
        self.assertEqual(compare_datasets.decisions(self.found(-0.1), 500)[1], "fails")
        self.assertEqual(compare_datasets.decisions(self.found(0.0), 500)[1], "undecided")

    def test_an_interval_is_of_items(self):
        value, low, high, n = compare_datasets.paired([[1, 0, 1, 0]], [[0, 0, 0, 0]], 2000)
        self.assertEqual((value, n), (0.5, 4))
        self.assertTrue(0 <= low < 0.5 < high <= 1)


if __name__ == "__main__":
    unittest.main()
