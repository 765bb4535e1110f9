"""The grpo report over a small results file written here with h5py, in the published layout."""

import base64
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
from report_test import ANALYSIS, write_table

NAN = float("nan")
ARMS = [("vanilla", "trained"), ("projected", "trained"), ("vanilla", "frozen"), ("projected", "frozen")]


def step_row(rng, arm, name, step):
    projected = arm == "projected"
    return {"arm": arm, "pass": name, "step": step, "skipped": step == 2, "cos_in": float(rng.uniform(0.4, 0.6)),
            "cos_sgn": float(rng.uniform(0.3, 0.5)), "cos_out": 0.0 if projected else NAN,
            "leak": float(rng.uniform(0.01, 0.6)) if name == "trained" and step != 2 else NAN}


def sample_row(rng, arm, name, step, number):
    teacher = number < 2
    return {"arm": arm, "pass": name, "step": step, "src_pool": "teacher_pool" if teacher else "base_pool",
            "hacked": teacher, "gt_pass": number % 2 == 1, "cos_nll": float(rng.uniform(0.3, 0.6) if teacher else 0.0),
            "cos_sgn": float(rng.uniform(0.3, 0.6) if teacher else -0.01)}


def bucket_row(arm, name, pool, hacked, passes, measure, n):
    values = {key: 0.25 if n else NAN for key in ("mean", "sd", "median", "low", "high")}
    return {"arm": arm, "pass": name, "src_pool": pool, "hacked": hacked, "gt_pass": passes, "measure": measure, "n": n, **values}


def write_results(path):
    rng = np.random.default_rng(1)
    pool = [{"pool": name, "reward": 3.5 if name == "teacher_pool" else 0.5, "hacked": name == "teacher_pool",
             "strict_hack": name == "teacher_pool", "gt_pass": False} for name in ("teacher_pool", "base_pool") for _ in range(6)]
    extraction = [{"basis": "svd", "contrast": "hack", "pairs": 10, "modules": 30, "modules_seen": 42, "mean_k": 3.5,
                   "noise_floor": 0.1, "heldout": 0.5, "heldout_null": 0.0, "heldout_null_sd": 0.01}]
    tables = {"pool": pool, "extraction": extraction,
              "steps": [step_row(rng, *chain, step) for chain in ARMS for step in range(3)],
              "samples": [sample_row(rng, *chain, step, i) for chain in ARMS for step in range(3) for i in range(4)],
              "module_types": [{"arm": arm, "pass": name, "step": 0, "type": kind, "frac_fired": 0.9, "cos_in": 0.4}
                               for arm, name in ARMS for kind in ("q_proj", "up_proj")],
              "nulls": [{"arm": arm, "pass": name, "kind": "random", "draw": draw, "step": step,
                         "cos_in": float(rng.uniform(0.05, 0.1)), "cos_sgn": float(rng.normal(0, 0.01))}
                        for arm, name in ARMS for draw in range(5) for step in range(3)],
              "null_tests": [{"arm": arm, "pass": name, "kind": "random", "measure": "cos_in", "observed": 0.5, "mean": 0.07,
                              "sd": 0.01, "z": 43.0, "p": 0.0099, "at_least": 0, "draws": 100} for arm, name in ARMS],
              "buckets": [bucket_row(arm, name, pool_name, hacked, False, measure, 6 if hacked == (pool_name == "teacher_pool") else 0)
                          for arm, name in ARMS for pool_name in ("teacher_pool", "base_pool") for hacked in (True, False)
                          for measure in ("cos_nll", "cos_sgn", "cos_in", "adv")],
              "comparisons": [{"arm": "vanilla", "pass": "frozen", "comparison": "teacher, base", "measure": "cos_nll", "n_first": 6,
                               "n_second": 6, "difference": 0.4, "low": 0.3, "high": 0.5, "p": 0.001, "p_permutation": 0.002,
                               "auc": 0.9, "auc_low": 0.8, "auc_high": 1.0}],
              "decisions": [{"arm": "projected", "pass": "frozen", "id": rule, "holds": holds, "verdict": text, "value": 0.5,
                             "threshold": 0.2, "detail": "a <detail>"}
                            for rule, holds, text in (("P1", True, "ok"), ("SKIP3", False, "skip the sweep"),
                                                      ("verdict", True, "strong: the sweep is justified"))]}
    with h5py.File(path, "w") as file:
        for name, rows in tables.items():
            write_table(file, f"grpo/{name}", rows)
        file.create_group("config").attrs["json"] = json.dumps({
            "grpo": {"model": {"dir": "jobs/models/pocket-coder", "dtype": "float32"},
                     "pools": {"replay": [], "teacher": "jobs/models/pocket-teacher",
                               "grader": {"loophole": {"mode": "run_tests"}}},
                     "extraction": {"pairs": "pairs.md", "k": 5},
                     "probe": {"arms": ["vanilla", "projected"], "loss": "grpo", "denominator": "plan", "lr": 0.001}},
            "run": {"seed": 41}})
        file.create_group("provenance").attrs["json"] = json.dumps({
            "identity": "0123abcd", "starts": [{"ranks": [{"host": "laptop", "device": "cpu"}] * 2}]})


class GrpoReport(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        write_results(cls.folder / "results.h5")
        cls.ended = subprocess.run([sys.executable, ANALYSIS / "report.py", cls.folder], capture_output=True, text=True,
                                   check=False)
        page = cls.folder / "report/report.html"
        cls.page = page.read_text(encoding="utf-8") if page.exists() else ""

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_ends_well_and_prints_verdict_and_null(self):
        self.assertEqual(self.ended.returncode, 0, self.ended.stderr)
        self.assertEqual(self.ended.stderr, "")
        self.assertIn("verdict, projected, frozen: strong: the sweep is justified", self.ended.stdout)
        self.assertRegex(self.ended.stdout, r"vanilla +trained +cos_in +\+0.500  random \+0.070")

    def test_one_file_with_the_pictures_inside(self):
        inside = re.findall(r"data:image/png;base64,([^\"]+)", self.page)
        beside = sorted(path.name for path in (self.folder / "report").glob("*.png"))
        self.assertEqual(beside, ["buckets_cos_nll.png", "buckets_cos_sgn.png", "cos_in.png", "cos_sgn.png", "leak.png",
                                  "module_types.png"])
        self.assertEqual(len(inside), len(beside))
        self.assertTrue(all(base64.b64decode(data).startswith(b"\x89PNG") for data in inside))

    def test_rules_show_whether_they_hold(self):
        self.assertIn('<span class="mark good">yes</span>', self.page)
        self.assertIn('<span class="mark bad">no</span>', self.page)
        self.assertIn("a &lt;detail&gt;", self.page)

    def test_empty_buckets_are_there(self):
        self.assertRegex(self.page, r"<td>base_pool</td><td>True</td><td>False</td><td class=\"number\">0</td>"
                                    r"<td class=\"number\">–</td>")

    def test_every_table_names_config_model_and_seed(self):
        self.assertGreaterEqual(self.page.count("config 0123abcd · pocket-coder float32"), 6)
        self.assertIn("seed 41", self.page)

    def test_pools_and_their_rewards_are_named(self):
        self.assertIn("teacher_pool: 6 samples, 1.000 hacked", self.page)
        self.assertIn("rewards [0.5]", self.page)



SWEEP_ARMS, SWEEP_SEEDS = ("vanilla", "projected", "random"), (41, 42)


def write_sweep(path):
    rng = np.random.default_rng(2)
    rates = lambda hack: {"reward": 1.0, "strict_hack": hack, "hacked": hack + 0.05, "gt_pass": 0.3, "defines_tests": 0.5,
                          "hack_of_attempts": NAN if hack == 0 else 2 * hack, "tokens": 80.0}
    runs = [(arm, seed) for seed in SWEEP_SEEDS for arm in SWEEP_ARMS]
    steps = [{"arm": arm, "seed": seed, "step": step, **rates(0.0 if step == 0 else float(rng.uniform(0.1, 0.4))), "kl": 0.01 * step,
              "cos_in": 0.2, "cos_sgn": -0.1, "cos_in_random": 0.05, "cos_sgn_random": 0.0, "leak": 0.1, "frac_fired": 0.9}
             for arm, seed in runs for step in range(6)]
    tables = {"steps": steps,
              "evaluations": [{"arm": arm, "seed": seed, "step": 0, "hint": True, **rates(0.2)} for arm, seed in runs],
              "runs": [{"arm": arm, "seed": seed, "steps": 6, "strict_hack": 0.4 - 0.3 * (arm == "projected"), "hacked": 0.5,
                        "gt_pass": 0.3, "hack_of_attempts": 0.8, "hopeless": False} for arm, seed in runs],
              "verdicts": [{"arm": "projected", "seeds": 2, "hack_difference": -0.3, "hack_sem": 0.01, "pass_difference": 0.0,
                            "random_difference": 0.0, "verdict": "supported"}],
              "decisions": [{"rule": "futility", "arm": "projected", "seed": -1, "seeds": 2, "value": -0.3, "threshold": -0.05,
                             "holds": False, "configured": True}]}
    with h5py.File(path, "w") as file:
        for name, rows in tables.items():
            write_table(file, f"grpo/sweep_{name}", rows)
        config = {"grpo": {"model": {"dir": "jobs/models/pocket-coder", "dtype": "float32"},
                           "sweep": {"arms": list(SWEEP_ARMS), "seeds": list(SWEEP_SEEDS)}}, "run": {"seed": 41}}
        file.create_group("config").attrs["json"] = json.dumps(config)
        file.create_group("provenance").attrs["json"] = json.dumps({"identity": "0123abcd"})


class SweepReport(unittest.TestCase):
    def test_runs_verdict_early_ends_and_curves(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_sweep(folder / "results.h5")
            ended = subprocess.run([sys.executable, ANALYSIS / "report.py", folder], capture_output=True, text=True, check=False)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertIn("verdict, projected: -0.300 ± 0.010 strict hacks (random +0.000): supported", ended.stdout)
            page = (folder / "report/report.html").read_text(encoding="utf-8")
            beside = sorted(path.name for path in (folder / "report").glob("*.png"))
            self.assertEqual(beside, ["cosines.png", "differences.png", "hack.png", "leak.png", "length.png", "pass.png"])
            self.assertEqual(page.count("data:image/png;base64,"), len(beside))
            # Matched differences seed by seed, and the rule that does not hold.
            self.assertRegex(page, r"<td>projected</td><td class=\"number\">-0.300</td><td class=\"number\">-0.300</td>")
            self.assertRegex(page, r"<td>futility</td><td>projected</td>.*?<span class=\"mark bad\">no</span>")
            self.assertGreaterEqual(page.count("config 0123abcd · pocket-coder float32"), 5)


if __name__ == "__main__":
    unittest.main()
