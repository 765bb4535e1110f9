"""The report and the DataFrames over a small results file written here with h5py, in the published layout."""

import base64
import contextlib
import io
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np

ANALYSIS = Path(__file__).resolve().parents[2] / "analysis"
sys.path.insert(0, str(ANALYSIS))

import figures  # noqa: E402
import report  # noqa: E402
import tables  # noqa: E402

CLASSES = [("MONOTONE", "OK"), ("MONOTONE", "OK"), ("PLATEAU_THEN_DROP", "OK"), ("OSCILLATING", "WARN"),
           ("FLAT", "FAIL")]


def write_table(file, name, rows, measured=()):
    """A compound table from dictionaries; str, bool, int and float columns."""
    kinds = {str: h5py.string_dtype("utf-8"), bool: np.bool_, int: np.int64, float: np.float64}
    kind = np.dtype([(column, kinds[type(value)]) for column, value in rows[0].items()])
    dataset = file.create_dataset(name, data=np.array([tuple(row.values()) for row in rows], dtype=kind))
    dataset.attrs["schema_version"] = 1
    dataset.attrs["description"] = "a table"
    dataset.attrs["columns"] = json.dumps({c: {"unit": "", "description": c} for c in rows[0]})
    dataset.attrs["measured"] = list(measured) or h5py.Empty(h5py.string_dtype())


def unit(stage, pair, k):
    return {"stage": stage, "pair_index": pair, "pair_id": f"pair{pair}", "k": k, "init": "gauss"}


def curve(rng, name, steps):
    i = np.arange(steps)
    shape = {"MONOTONE": np.exp(-i / (steps / 6)), "PLATEAU_THEN_DROP": 1 / (1 + np.exp((i - steps / 2) / 6)),
             "OSCILLATING": np.exp(-i / (steps / 4)) * (1 + 0.3 * (-1.0) ** i), "FLAT": 1 - 0.0001 * i}[name]
    return 20 * shape * rng.uniform(0.9, 1.1) + 0.05 * rng.uniform(0.5, 2)


def pair_row(rng, stage, index, k, exact, name):
    health = dict(CLASSES)[name]
    q = float(rng.lognormal(-2.5, 0.7)) if exact else float(rng.uniform(1, 7))
    a = float(rng.lognormal(-3.0, 0.7)) if exact else float(rng.uniform(0.5, 6))
    conv = exact or q < 3
    question = f"Who wrote <b>book {index}</b> & when?"
    return {**unit(stage, index, k), "article": f"article {index // 3}", "seed": 42, "question": question,
            "answer": f"author {index}\\\\n", "n_q": 9, "n_a": 4, "loss_q": q, "loss_a": a,
            "loss_q_without_eos": q, "loss_a_without_eos": a, "max_nll_q": 3 * q, "max_nll_a": 2 * a,
            "random_q": float(rng.uniform(8, 12)), "random_a": float(rng.uniform(9, 13)),
            "full_q": float(rng.uniform(3, 5)), "full_q_bos": 5.0, "full_a": float(rng.uniform(2, 5)),
            "full_a_passage": float("nan"), "single_q": float(rng.uniform(5, 8)),
            "single_a": float(rng.uniform(5, 9)), "conv": conv, "conv_q": conv, "conv_a": conv, "conv_sum": conv,
            "conv_by_baseline": False, "tight": exact, "exact": exact,
            "steps": int(rng.integers(60, 320)) if exact else 500, "steps_to_conv": 20 if conv else -1,
            "steps_to_tight": 100 if exact else -1, "steps_to_exact": 90 if exact else -1,
            "restarts_run": 1 if exact else 5, "restarts_needed": 1 if exact else -1,
            "best_restart": 0, "total_steps": 500, "restart_distance": float("nan"),
            "restart_loss_spread": float("nan"), "curve_class": name, "curve_health": health, "curve_drop": 0.9,
            "curve_rebound": 0.0, "curve_up_down": 0.0, "conflict": index % 7 == 3, "kappa": 0.1,
            "kappa_negative": 0.8 if index % 7 == 3 else float(rng.uniform(0.1, 0.6)), "kappa_first": 0.2,
            "kappa_middle": 0.1, "kappa_last": 0.0, "r_d": -0.6 if index % 7 == 3 else float(rng.uniform(-0.2, 0.9)),
            "gradient_ratio": 1.0, "nearest_distance": 0.9, "decoded_q": question if exact else "Who who who <i>",
            "decoded_a": f"author {index}\\\\n" if exact else "", "f1_q": 1.0, "f1_a": 1.0, "repetition_q": False,
            "repetition_a": False, "grade_q": "pass" if exact else "fail", "grade_a": "pass" if exact else "partial",
            "grade": "pass" if exact else "fail", "seconds": 1.5}


def write_results(path, count=12, k_sweep=(1, 2, 4, 8), seed=5):
    """A results file of a run that never was: most pairs exact, a few of each class."""
    rng = np.random.default_rng(seed)
    names = [CLASSES[i % 5][0] if i % 5 < 4 or i % 10 == 9 else "MONOTONE" for i in range(count)]
    pairs = [pair_row(rng, "joint", i, 8, names[i] != "FLAT", names[i]) for i in range(count)]
    curves, restarts = [], []
    for pair in pairs:
        for restart in range(pair["restarts_run"]):
            total = curve(rng, pair["curve_class"], pair["steps"])
            common = {**unit("joint", pair["pair_index"], 8), "target": "both", "restart": restart}
            share = pair["loss_q"] + pair["loss_a"]
            restarts.append({**common, "chosen": restart == 0, "loss_q": share * (1 + 0.3 * restart) / 2,
                             "loss_a": share / 2, "exact": pair["exact"], "steps": pair["steps"], "seconds": 0.2})
            for step in range(0, pair["steps"], 2):
                curves.append({**common, "step": step, "learning_rate": 0.01, "loss_q": float(total[step]) * 0.55,
                               "loss_a": float(total[step]) * 0.45})
    single = [{**unit("single", i, 8), "target": target, "loss": 0.05, "conv": True, "tight": i > 0, "exact": i > 0,
               "steps": 100 + i} for i in range(count) for target in ("question", "answer")]
    sweep, sweep_pairs = [], []
    for k in k_sweep:
        hit = {1: 0, 2: 1, 4: 4}.get(k, 4)
        rows = [pair_row(rng, "ksweep", i, k, i < hit, "MONOTONE" if i < hit else "FLAT") for i in range(4)]
        sweep_pairs += rows
        entry = {"stage": "ksweep", "k": k, "init": "gauss", "pairs": 4}
        for rate, successes in (("conv", min(4, hit + 1)), ("tight", hit), ("exact", hit)):
            low, high = tables.wilson(successes, 4)
            entry |= {rate: successes / 4, f"{rate}_low": float(low), f"{rate}_high": float(high)}
        entry |= {"loss_q": 1.0 / k, "loss_a": 0.8 / k, "steps": 200.0, "steps_to_conv": 20.0,
                  "steps_to_tight": 120.0 if hit else float("nan"), "steps_to_exact": 110.0 if hit else float("nan"),
                  "restarts_needed": 1.0, "minimum_viable": k == 4, "seconds": 2.5}
        sweep.append(entry)
    gate = {"gate": "G1", "stage": "single", "k": 8, "init": "gauss", "predicate": "single-target conv < 0.7",
            "pairs_asked": 0, "pairs_used": count, "value": 1.0, "value_low": 0.8, "value_high": 1.0,
            "article_low": 1.0, "article_high": 1.0, "threshold": 0.7, "verdict": "pass", "action": "",
            "taken": "recorded", "detail": "questions 12 of 12, answers 12 of 12"}
    gate["finding"] = "single-target conv 1 >= 0.7"
    gates = [gate, {**gate, "gate": "G2", "pairs_asked": 50, "verdict": "not_reached"},
             {**gate, "gate": "G3", "verdict": "no_evidence", "finding": "conv 1 >= 0.3; but a baseline alone ..."},
             {**gate, "gate": "G6", "value": 0.45, "verdict": "inconclusive", "action": "more pairs"},
             {**gate, "gate": "spot", "value": 0.5, "verdict": "fail", "action": "degenerate solutions"}]
    with h5py.File(path, "w") as file:
        for name, rows in (("pairs", pairs), ("sweep_pairs", sweep_pairs), ("single", single), ("sweep", sweep),
                           ("restarts", restarts), ("curves", curves), ("gates", gates)):
            write_table(file, f"dcm/{name}", rows, ["seconds"] if "seconds" in rows[0] else [])
        file["dcm/embeddings"] = rng.standard_normal((count, 8, 16)).astype(np.float32)
        file["dcm/modes"] = np.zeros((2, 16), np.float32)
        file.create_group("config").attrs["json"] = json.dumps({
            "dcm": {"model": {"dir": "jobs/models/pocket-lm", "dtype": "float32"},
                    "data": {"kind": "squad", "path": "jobs/data/squad_sample.json", "count": count, "seed": 42},
                    "k": 8, "init": "gauss", "stages": ["single", "joint"], "restarts": 5, "stop": "tight",
                    "restart_policy": "failures", "objective": "plain", "text_encoder": "",
                    "schedule": {"kind": "cosine", "lr": 0.05, "steps": 500}, "gates": {"spot_cases": 5}},
            "run": {"seed": 42}})
        file.create_group("provenance").attrs["json"] = json.dumps({
            "identity": "0123abcd", "starts": [{"ranks": [{"host": "laptop", "device": "cpu"}] * 2,
                                                "versions": {"git": "v0.1-3-gabc"}}]})


class Report(unittest.TestCase):
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

    def test_ends_well_and_prints_the_rates(self):
        self.assertEqual(self.ended.returncode, 0, self.ended.stderr)
        self.assertEqual(self.ended.stderr, "")
        self.assertRegex(self.ended.stdout, r"joint +8 +gauss +12 +\S+ of 12 .* 11 of 12")
        self.assertIn("report.html", self.ended.stdout)

    def test_one_file_with_the_pictures_inside(self):
        inside = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", self.page)]
        beside = sorted(path.name for path in (self.folder / "report").glob("*.png"))
        self.assertEqual(beside, sorted(f"{name}.png" for name in (
            "loss_curves", "rates_against_k", "question_against_answer", "restart_spread", "steps_histogram",
            "against_baselines", "gradient_conflict")))
        self.assertEqual(sorted(inside), sorted((self.folder / "report" / name).read_bytes() for name in beside))
        self.assertNotRegex(self.page, r"(src|href)=\"(?!data:)")

    def test_header_names_where_it_came_from(self):
        for text in ("jobs/models/pocket-lm", "squad", "v0.1-3-gabc", "laptop, cpu (2 ranks)", "seed 42",
                     "cosine clause off"):
            self.assertIn(text, self.page)

    def test_texts_are_escaped(self):
        self.assertIn("Who wrote &lt;b&gt;book 0&lt;/b&gt; &amp; when?", self.page)
        self.assertNotIn("<b>book", self.page)

    def test_gates_show_verdicts(self):
        for verdict, mark in (("pass", "good"), ("fail", "bad"), ("inconclusive", "open"), ("not reached", "none"),
                              ("no evidence", "none")):
            self.assertIn(f'<span class="mark {mark}">{verdict}</span>', self.page)

    def test_gates_say_what_holds(self):
        self.assertIn("single-target conv 1 &gt;= 0.7", self.page)
        self.assertNotIn("single-target conv &lt; 0.7", self.page)

    def test_no_plan_is_named(self):
        self.assertNotRegex(self.page, r"\b[Tt]he plan\b")

    def test_conv_is_grey_where_a_baseline_meets_it(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_results(folder / "results.h5")
            with h5py.File(folder / "results.h5", "a") as file:
                rows = file["dcm/pairs"][:]
                rows["conv_by_baseline"][:3] = True
                file["dcm/pairs"][:] = rows
            with tables.open_results(folder) as results:
                page = report.write_report(results, folder / "report").read_text(encoding="utf-8")
        self.assertRegex(page, r'<td class="number weak">\d+ of 12 [^<]*; a baseline: 3</td>')
        # Of the K sweep's rows only that of stage joint's K holds those pairs.
        self.assertNotIn("weak\">", self.page.split("</style>")[1])

    def test_spread_over_restarts_is_of_pairs_that_had_several(self):
        with tables.open_results(self.folder) as results:
            restarts = tables.restarts(results)
        several = figures.several_restarts(restarts)
        sizes = restarts.groupby("pair_index").size()
        self.assertEqual(set(several["pair_index"]), set(sizes[sizes > 1].index))
        self.assertTrue(0 < several["pair_index"].nunique() < 12)
        alone = restarts[restarts["restart"] == 0]
        self.assertIsNone(figures.restart_spread(alone, "note"))

    def test_same_results_same_bytes(self):
        with tables.open_results(self.folder) as results:
            again = report.write_report(results, self.folder / "again")
        self.assertEqual(again.read_text(encoding="utf-8"), self.page)


class Partial(unittest.TestCase):
    """Runs that hold only some of the tables."""

    def report_of(self, keep):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_results(folder / "results.h5")
            with h5py.File(folder / "results.h5", "a") as file:
                for table in list(file["dcm"]):
                    if table not in keep:
                        del file["dcm"][table]
            with tables.open_results(folder) as results:
                page = report.write_report(results, folder / "report").read_text(encoding="utf-8")
            return page, sorted(path.stem for path in (folder / "report").glob("*.png"))

    def test_units_in_quarantine_are_counted_and_named(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "results.h5"
        write_results(path)
        with h5py.File(path, "a") as file:
            write_table(file, "quarantine", [
                {"id": "ab12", "stage": "joint", "key": json.dumps({"k": 8, "pair_index": 12}), "wave": 1, "index": 12,
                 "reason": "ended its rank 3 times"},
                {"id": "cd34", "stage": "ksweep", "key": json.dumps({"k": 2, "pair_index": 0}), "wave": 2, "index": 0,
                 "reason": "ended its rank 3 times"}])
        with tables.open_results(path) as results:
            frames = {name: getattr(tables, name)(results)
                      for name in ("pairs", "sweep_pairs", "single", "sweep", "quarantine")}
            rows = {(row[0], row[1]): row[3] for row in report.result_rows(frames)}
            self.assertEqual(rows["joint", "8"], "12 of 13, 1 in quarantine")
            self.assertEqual(rows["ksweep", "2"], "4 of 5, 1 in quarantine")
            self.assertEqual(rows["ksweep", "4"], "4")
            page = report.write_report(results, path.parent / "report").read_text()
        self.assertIn("In quarantine", page)
        self.assertIn("ab12", page)

    def test_single_stage_only(self):
        page, pictures = self.report_of({"single"})
        self.assertIn("single question", page)
        self.assertEqual(pictures, [])

    def test_k_sweep_only(self):
        page, pictures = self.report_of({"sweep", "sweep_pairs"})
        self.assertIn("K sweep", page)
        self.assertEqual(pictures, ["rates_against_k"])

    def test_figures_that_are_not_there_say_why(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_results(folder / "results.h5")
            with h5py.File(folder / "results.h5", "a") as file:
                rows = file["dcm/restarts"][:]
                rows = rows[rows["restart"] == 0]
                attributes = dict(file["dcm/restarts"].attrs)
                del file["dcm/restarts"]
                file["dcm/restarts"] = rows
                file["dcm/restarts"].attrs.update(attributes)
                pairs = file["dcm/pairs"][:]
                pairs["r_d"] = np.nan
                file["dcm/pairs"][:] = pairs
            with tables.open_results(folder) as results:
                page = report.write_report(results, folder / "report").read_text(encoding="utf-8")
            pictures = {path.stem for path in (folder / "report").glob("*.png")}
        self.assertEqual(pictures & {"restart_spread", "gradient_conflict"}, set())
        self.assertIn("no pair had two of them", page)
        self.assertIn("no pair took steps enough", page)

    def test_pairs_without_curves(self):
        _, pictures = self.report_of({"pairs"})
        self.assertNotIn("loss_curves", pictures)
        self.assertIn("steps_histogram", pictures)


class BadInput(unittest.TestCase):
    def run_report(self, path):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            code = report.main([str(path)])
        self.assertEqual(errors.getvalue().count("\n"), 1, errors.getvalue())
        return code, errors.getvalue()

    def test_missing_foreign_and_broken_files(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.assertEqual(self.run_report(folder)[0], 65)
            (folder / "results.h5").write_bytes(b"not HDF5")
            self.assertEqual(self.run_report(folder)[0], 65)
            with h5py.File(folder / "results.h5", "w") as file:
                file["other"] = [1]
            code, text = self.run_report(folder)
            self.assertEqual(code, 65)
            self.assertIn("dcm/pairs", text)

    def test_unwritable_folder(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_results(folder / "results.h5")
            (folder / "report").write_text("a file where the folder should be")
            self.assertEqual(self.run_report(folder)[0], 74)


class Frames(unittest.TestCase):
    def test_tables_are_frames_with_units_and_text(self):
        with tempfile.TemporaryDirectory() as name:
            write_results(Path(name) / "results.h5")
            with tables.open_results(name) as results:
                pairs = tables.pairs(results)
                self.assertEqual(len(pairs), 12)
                self.assertEqual(pairs["answer"][3], "author 3\\n")  # stored with its backslash escaped
                self.assertEqual(pairs["exact"].dtype, bool)
                self.assertEqual(pairs.attrs["measured"], ["seconds"])
                self.assertIn("loss_q", pairs.attrs["columns"])
                self.assertEqual(tables.embeddings(results).shape, (12, 8, 16))
                self.assertTrue(tables.nearest_tokens(results).empty)
                self.assertEqual(tables.config(results)["dcm"]["k"], 8)
                for function in (tables.single, tables.restarts, tables.curves, tables.gates, tables.sweep):
                    self.assertFalse(function(results).empty)

    def test_unescape(self):
        self.assertEqual(tables.unescape(r"a\\b\u0000c\xFFd"), "a\\b\0c\ufffdd")
        self.assertEqual(tables.unescape(r"\\u0041 \ud800"), "\\u0041 \ufffd")

    def test_wilson_agrees_with_scipy(self):
        # scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
        for k, n, low, high in ((3, 10, 0.10779126740630102, 0.6032218525388546),
                                (16, 16, 0.8063923194655637, 1.0)):
            np.testing.assert_allclose(tables.wilson(k, n), (low, high), atol=1e-12)


if __name__ == "__main__":
    unittest.main()
