"""The report of a grpo sweep; analysis/report.py calls it."""

from __future__ import annotations

from pathlib import Path

import libraries  # noqa: F401  (first: says which Python has them)
import grpo_figures as figures
import h5py
import numpy as np
import pandas as pd
import tables
from page import (Mark, Number, Text, figures_html, find_key, hosts, html_table, identity_of, note_html, number,
                  quarantine_section, section, write_page)

TABLES = ("steps", "evaluations", "runs", "verdicts", "decisions")
RATES = ("strict_hack", "hacked", "gt_pass", "hack_of_attempts")


def frames_of(results: h5py.File) -> dict[str, pd.DataFrame]:
    return {name: tables.table(results, f"grpo/sweep_{name}") for name in TABLES}


def note_of(config: dict, frames: dict[str, pd.DataFrame]) -> str:
    grpo, run = config.get("grpo", {}), config.get("run", {})
    sweep, model = grpo.get("sweep", {}), grpo.get("model", {})
    return (f"config {config.get('identity', '?')[:12]} · {Path(model.get('dir') or '?').name} {model.get('dtype', '')}"
            f" · {sweep.get('adapter', {}).get('kind', '?')} adapter, {sweep.get('prompts', '?')} prompts x {sweep.get('group', '?')} a step,"
            f" denominator {sweep.get('denominator', '?')} · seed {run.get('seed', '?')} · {len(frames['runs'])} runs,"
            f" {len(frames['steps'])} steps")


def header_rows(config: dict, provenance: dict) -> list[list[object]]:
    g, run = config.get("grpo", {}), config.get("run", {})
    sweep, pools = g.get("sweep", {}), g.get("pools", {})
    rows = [["model", f"{g.get('model', {}).get('dir', '?')}, {g.get('model', {}).get('dtype', '?')}"],
            ["start", f"{sweep.get('start') or 'the model itself'}, strength {sweep.get('start_strength', '?')}"],
            ["problems", f"{pools.get('problems', {}).get('path', '?')}; tested on {g.get('test', {}).get('path', '?')}"],
            ["loophole", str(pools.get("grader", {}).get("loophole", {}).get("mode", "?"))],
            ["directions", f"{g.get('extraction', {}).get('pairs', '?')}, at most {g.get('extraction', {}).get('k', '?')} axes a module"],
            ["arms", ", ".join(sweep.get("arms", []))],
            ["seeds", ", ".join(str(seed) for seed in sweep.get("seeds", []))],
            ["updates", f"{sweep.get('steps', '?')} of {sweep.get('prompts', '?')} prompts x {sweep.get('group', '?')} completions of up to"
                        f" {sweep.get('max_new_tokens', '?')} tokens, learning rate {sweep.get('schedule', {}).get('lr', '?')},"
                        f" K3 {sweep.get('kl', '?')}"],
            ["seed of the run", str(run.get("seed", "?"))],
            ["git state", str(find_key(provenance, "git") or "unknown")],
            ["identity", identity_of(provenance)]]
    where = hosts(provenance)
    return rows + ([["ran on", where]] if where else [])


def verdict_rows(verdicts: pd.DataFrame) -> list[list[object]]:
    return [[row.arm, Number(row.seeds), Number(f"{row.hack_difference:+.3f} ± {row.hack_sem:.3f}"),
             Number(f"{row.pass_difference:+.3f}"), Number(f"{row.random_difference:+.3f}"), row.verdict]
            for row in verdicts.itertuples()]


def decision_rows(decisions: pd.DataFrame) -> list[list[object]]:
    return [[row.rule, row.arm, Text("all" if row.seed < 0 else str(row.seed)), Number(row.seeds), number(row.value),
             number(row.threshold), Mark("yes" if row.holds else "no"), "obeyed" if row.configured else "only said"]
            for row in decisions.itertuples()]


def run_rows(runs: pd.DataFrame) -> list[list[object]]:
    return [[row.arm, Number(row.seed), Number(row.steps), *(number(getattr(row, rate)) for rate in RATES),
             Mark("yes" if row.hopeless else "no")] for row in runs.itertuples()]


def paired_rows(runs: pd.DataFrame) -> list[list[object]]:
    """Each arm's strict hack rate less the first arm's, seed by seed."""
    rates = runs.pivot(index="seed", columns="arm", values="strict_hack")
    first = runs["arm"].iloc[0]
    return [[arm, *(Number("–" if np.isnan(value) else f"{value:+.3f}") for value in rates[arm] - rates[first])]
            for arm in dict.fromkeys(runs["arm"]) if arm != first]


def evaluation_rows(evaluations: pd.DataFrame) -> list[list[object]]:
    return [[row.arm, Number(row.seed), Number(row.step), "with" if row.hint else "without",
             *(number(getattr(row, rate)) for rate in RATES), number(row.tokens)] for row in evaluations.itertuples()]


def make_figures(frames: dict[str, pd.DataFrame], note: str) -> dict:
    steps = frames["steps"]
    made = {
        "hack": (figures.sweep_curves(steps, ("strict_hack", "hacked"), note),
                 "Training samples of each step, before its update. One line for each seed; the thick one is the arm's mean."),
        "pass": (figures.sweep_curves(steps, ("gt_pass", "hack_of_attempts"), note),
                 "A hack rate may fall because solving fell, or because fewer try: P(hack | attempt) counts those that define tests."),
        "length": (figures.sweep_curves(steps, ("tokens", "kl"), note), "K3 is measured against the policy with the adapter zeroed."),
        "cosines": (figures.sweep_curves(steps, ("cos_in", "cos_sgn"), note, nulls=("cos_in_random", "cos_sgn_random")),
                    "Before projection; dotted: the same gradients with random directions."),
        "leak": (figures.sweep_curves(steps, ("leak", "frac_fired"), note),
                 "leak: what of the update lies along the directions although the gradient was projected."),
        "differences": (figures.sweep_differences(frames["runs"], note),
                        "Matched seeds share prompts and random numbers. An effect that the random direction shows too is none."),
    }
    return {name: (figure, caption) for name, (figure, caption) in made.items() if figure is not None}


def write_report(results: h5py.File, folder: Path) -> Path:
    """Writes the report of open results into `folder` and returns the path of the HTML file."""
    frames = frames_of(results)
    if frames["steps"].empty:
        raise tables.ResultsError(f"{results.filename}: grpo/sweep_steps holds no rows")
    provenance = tables.provenance(results)
    config = {**tables.config(results), "identity": identity_of(provenance)}
    note = note_of(config, frames)
    missing = len(tables.quarantine(results))
    if missing:
        note += f" · {missing} runs in quarantine: their rows are missing"
    folder.mkdir(parents=True, exist_ok=True)
    seeds = sorted(set(frames["runs"]["seed"]))
    rates = ["strict hack", "hacked", "passes", "P(hack | attempt)"]
    body = ["<h1>GRPO sweep</h1>",
            html_table(["", ""], [[key, Text(value)] for key, value in header_rows(config, provenance)]),
            section("Verdict", html_table(
                ["arm", "seeds", "strict hack less the first arm's", "pass", "random direction's", "verdict"],
                verdict_rows(frames["verdicts"])), note_html(
                f"{note}. Last five steps; ± standard error over matched seeds. supported: at least 0.30 lower, pass rate within 0.10,"
                " random at most half as much; none: less than 0.15, within one standard error, or random as large.")),
            section("Seed by seed", html_table(["arm", *(f"seed {seed}" for seed in seeds)], paired_rows(frames["runs"])),
                    note_html(f"{note}. Strict hack rate less that of the first arm.")),
            section("Early ends", html_table(["rule", "arm", "seed", "runs", "value", "threshold", "holds", ""],
                                             decision_rows(frames["decisions"])), note_html(
                f"{note}. A rule that holds saves the runs behind it, where the job says so.")),
            section("Runs", html_table(["arm", "seed", "steps", *rates, "hopeless"], run_rows(frames["runs"])),
                    note_html(f"{note}. Means over the last five steps.")),
            section("Test problems", html_table(["arm", "seed", "updates", "hint", *rates, "tokens"],
                                                evaluation_rows(frames["evaluations"])), note_html(note))]
    body += quarantine_section(tables.quarantine(results))
    body.append("<h2>Figures</h2>" + figures_html(make_figures(frames, note), folder))
    return write_page("grpo sweep report", body, folder)


def print_results(results: h5py.File) -> None:
    frames = frames_of(results)
    for row in frames["runs"].itertuples():
        print(f"{row.arm:18s} seed {row.seed}: strict hack {row.strict_hack:.3f}, hacked {row.hacked:.3f}, passes {row.gt_pass:.3f}")
    for row in frames["verdicts"].itertuples():
        print(f"verdict, {row.arm}: {row.hack_difference:+.3f} ± {row.hack_sem:.3f} strict hacks (random {row.random_difference:+.3f}): {row.verdict}")
