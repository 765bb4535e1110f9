"""The report of a grpo probe; analysis/report.py calls it."""

from __future__ import annotations

from pathlib import Path

import libraries  # noqa: F401  (first: says which Python has them)
import grpo_figures as figures
import h5py
import pandas as pd
import tables
from page import (Mark, Number, Text, figures_html, find_key, hosts, html_table, identity_of, note_html, number,
                  quarantine_section, section, write_page)

TABLES = ("pool", "extraction", "samples", "steps", "module_types", "nulls", "null_tests", "buckets", "comparisons",
          "decisions")


def frames_of(results: h5py.File) -> dict[str, pd.DataFrame]:
    return {name: tables.table(results, f"grpo/{name}") for name in TABLES}


def note_of(config: dict, frames: dict[str, pd.DataFrame]) -> str:
    grpo, run = config.get("grpo", {}), config.get("run", {})
    model = Path(grpo.get("model", {}).get("dir") or "?").name
    return (f"config {config.get('identity', '?')[:12]} · {model} {grpo.get('model', {}).get('dtype', '')}"
            f" · loss {grpo.get('probe', {}).get('loss', '?')}, denominator {grpo.get('probe', {}).get('denominator', '?')}"
            f" · seed {run.get('seed', '?')} · {frames['steps']['step'].nunique()} steps, {len(frames['pool'])} samples in pools")


def header_rows(config: dict, provenance: dict, frames: dict[str, pd.DataFrame]) -> list[list[object]]:
    g, run = config.get("grpo", {}), config.get("run", {})
    pools, probe, pool = g.get("pools", {}), g.get("probe", {}), frames["pool"]
    counts = "; ".join(
        f"{name}: {len(part)} samples, {part['hacked'].mean():.3f} hacked, {part['strict_hack'].mean():.3f} strictly,"
        f" {part['gt_pass'].mean():.3f} pass, rewards {sorted(set(part['reward']))}"
        for name, part in pool.groupby("pool", sort=False))
    rows = [["model", f"{g.get('model', {}).get('dir', '?')}, {g.get('model', {}).get('dtype', '?')}"],
            ["pools", counts],
            ["pools from", ", ".join(pools.get("replay", [])) or f"generated; teacher {pools.get('teacher', '?')}"],
            ["loophole", str(pools.get("grader", {}).get("loophole", {}).get("mode", "?"))],
            ["directions", f"{g.get('extraction', {}).get('pairs', '?')}, at most {g.get('extraction', {}).get('k', '?')} axes a module"],
            ["arms", ", ".join(probe.get("arms", []))],
            ["updates", f"learning rate {probe.get('lr', '?')} (pass trained), 0 (pass frozen)"],
            ["seed of the run", str(run.get("seed", "?"))],
            ["git state", str(find_key(provenance, "git") or "unknown")],
            ["identity", identity_of(provenance)]]
    where = hosts(provenance)
    return rows + ([["ran on", where]] if where else [])


def extraction_rows(extraction: pd.DataFrame) -> list[list[object]]:
    return [[row.basis, row.contrast, Number(row.pairs), Number(row.modules), Number(row.modules_seen), number(row.mean_k),
             number(row.noise_floor), number(row.heldout), Number(f"{row.heldout_null:.3g} ± {row.heldout_null_sd:.2g}")]
            for row in extraction.itertuples()]


def null_rows(tests: pd.DataFrame) -> list[list[object]]:
    shown = tests[tests["measure"].isin(["cos_in", "cos_sgn"])]
    return [[row.arm, getattr(row, "pass_", ""), row.kind, row.measure, number(row.observed), number(row.mean),
             number(row.sd, 2), number(row.z), number(row.p, 2), Number(row.draws)]
            for row in shown.rename(columns={"pass": "pass_"}).itertuples()]


def bucket_rows(buckets: pd.DataFrame) -> list[list[object]]:
    rows = []
    for key, part in buckets.groupby(["arm", "pass", "src_pool", "hacked", "gt_pass"], sort=False):
        found = {row.measure: row for row in part.itertuples()}
        cells = [f"{found[name].mean:.3f} ± {found[name].sd:.3f}" if found[name].n else "–"
                 for name in ("cos_nll", "cos_sgn", "cos_in", "adv")]
        rows.append([*(str(word) for word in key), Number(found["cos_nll"].n), *(Number(text) for text in cells)])
    return rows


def comparison_rows(comparisons: pd.DataFrame) -> list[list[object]]:
    rows = []
    for row in comparisons.rename(columns={"pass": "pass_"}).itertuples():
        rows.append([row.arm, row.pass_, row.comparison, row.measure, Number(f"{row.n_first}, {row.n_second}"),
                     Number(f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})"), number(row.p, 2),
                     number(row.p_permutation, 2), Number(f"{row.auc:.3f} ({row.auc_low:.3f} to {row.auc_high:.3f})")])
    return rows


def decision_rows(decisions: pd.DataFrame) -> list[list[object]]:
    rules = decisions[decisions["id"] != "verdict"]
    return [[row.arm, row.pass_, row.id, Mark("yes" if row.holds else "no"), row.verdict, number(row.value),
             number(row.threshold), Text(row.detail)] for row in rules.rename(columns={"pass": "pass_"}).itertuples()]


def verdict_rows(decisions: pd.DataFrame) -> list[list[object]]:
    lines = decisions[decisions["id"] == "verdict"].rename(columns={"pass": "pass_"})
    return [[row.arm, row.pass_, row.verdict] for row in lines.itertuples()]


def make_figures(frames: dict[str, pd.DataFrame], note: str) -> dict:
    made = {
        "cos_in": (figures.trajectories(frames["steps"], frames["nulls"], "cos_in", note),
                   "Before projection. cos_in is never negative; random directions are above 0 too."),
        "cos_sgn": (figures.trajectories(frames["steps"], frames["nulls"], "cos_sgn", note),
                    "Since the advantage is decided by the pool, a positive value is nearly built in: the contrast of the"
                    " group is that of the pairs. What tells more is the comparison within a pool."),
        "buckets_cos_nll": (figures.buckets(frames["samples"], "cos_nll", note),
                            "Gradient of the sample's own NLL. An empty bucket has n=0."),
        "buckets_cos_sgn": (figures.buckets(frames["samples"], "cos_sgn", note),
                            "The sample's contribution to the group's gradient: the NLL's with the sign of its advantage."),
        "module_types": (figures.fired_by_type(frames["module_types"], note), ""),
        "leak": (figures.leak(frames["steps"], frames["nulls"], note),
                 "A projected gradient is no projected update: Adam divides by the root of its second moment."),
    }
    return {name: (figure, caption) for name, (figure, caption) in made.items() if figure is not None}


def write_report(results: h5py.File, folder: Path) -> Path:
    """Writes the report of open results into `folder` and returns the path of the HTML file."""
    frames = frames_of(results)
    if frames["steps"].empty:
        raise tables.ResultsError(f"{results.filename}: grpo/steps holds no rows")
    provenance = tables.provenance(results)
    config = {**tables.config(results), "identity": identity_of(provenance)}
    note = note_of(config, frames)
    missing = len(tables.quarantine(results))
    if missing:
        note += f" · {missing} units in quarantine: their rows are missing"
    folder.mkdir(parents=True, exist_ok=True)
    body = ["<h1>GRPO probe</h1>",
            html_table(["", ""], [[key, Text(value)] for key, value in header_rows(config, provenance, frames)]),
            section("Verdict", html_table(["arm", "pass", "verdict"], verdict_rows(frames["decisions"])), note_html(note)),
            section("Decision rules", html_table(["arm", "pass", "rule", "", "what follows", "value", "threshold", "detail"],
                                                 decision_rows(frames["decisions"])), note_html(
                f"{note}. P3 is a check of the code: cos_out below cos_in follows from orthonormal directions.")),
            section("Against directions that mean nothing", html_table(
                ["arm", "pass", "null", "measure", "observed", "null mean", "sd", "z", "p", "draws"],
                null_rows(frames["null_tests"])), note_html(f"{note}. Means over steps; p = (1 + draws that reach it) / (1 + draws).")),
            section("Directions", html_table(
                ["basis", "contrast", "pairs", "modules kept", "of", "axes a module", "noise floor", "held-out pairs", "random v_1"],
                extraction_rows(frames["extraction"])), note_html(f"{note}. Held-out pairs: mean of <D, v_1> / |D|.")),
            section("Samples by bucket", html_table(
                ["arm", "pass", "pool", "hacked", "passes", "n", "cos_nll", "cos_sgn", "cos_in", "advantage"],
                bucket_rows(frames["buckets"])), note_html(f"{note}. Mean ± standard deviation; n = 0: no sample.")),
            section("Sets of samples against each other", html_table(
                ["arm", "pass", "first, second", "measure", "n", "difference (95 %)", "Welch p", "permutation p", "AUC (95 %)"],
                comparison_rows(frames["comparisons"])), note_html(
                f"{note}. Samples of a step share a prompt: Welch's p takes them as independent and is too small; the permutation"
                " changes labels within a step, the AUC's interval resamples steps."))]
    body += quarantine_section(tables.quarantine(results))
    body.append("<h2>Figures</h2>" + figures_html(make_figures(frames, note), folder))
    return write_page("grpo report", body, folder)


def print_results(results: h5py.File) -> None:
    frames = frames_of(results)
    for row in frames["null_tests"].rename(columns={"pass": "pass_"}).itertuples():
        if row.kind == "random" and row.measure in ("cos_in", "cos_sgn"):
            print(f"{row.arm:18s} {row.pass_:8s} {row.measure:8s} {row.observed:+.3f}  random {row.mean:+.3f} ± {row.sd:.3f}  z {row.z:.1f}")
    for arm, name, verdict in verdict_rows(frames["decisions"]):
        print(f"verdict, {arm}, {name}: {verdict}")
