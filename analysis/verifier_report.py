"""The report of a verifier run; analysis/report.py calls it."""

from __future__ import annotations

import html
from pathlib import Path

import libraries  # noqa: F401  (first: says which Python has them)
import h5py
import pandas as pd
import tables
import verifier_figures as figures
from page import (Mark, Number, Text, figures_html, find_key, hosts, html_table, identity_of, note_html,
                  quarantine_section, section, write_page)

TABLES = ("problems", "candidates", "training", "selection", "metrics")


def frames_of(results: h5py.File) -> dict[str, pd.DataFrame]:
    return {name: tables.table(results, f"verifier/{name}") for name in TABLES}


def data_name(config: dict) -> str:
    data = config.get("verifier", {}).get("data", {})
    sets = [data.get(name, {}).get("path") for name in ("problems", "test")]
    return ", tested on ".join(Path(path).name for path in sets if path) or Path(data.get("candidates") or "?").name


def note_of(config: dict, problems: int) -> str:
    generation, run = config.get("verifier", {}).get("generation", {}), config.get("run", {})
    return (f"config {config.get('identity', '?')[:12]} · {Path(generation.get('model') or '?').name}"
            f" {generation.get('dtype', '')} · {data_name(config)} · labels {config.get('verifier', {}).get('labels', '?')}"
            f" · seed {run.get('seed', '?')} · {problems} test problems")


def arms_text(arms: dict) -> str:
    kinds = arms.get("kinds", [])
    ouroboros = f"{arms.get('layers', '?')} layers of {arms.get('hidden_size', '?')}"
    tuned = f"{arms.get('tuned_layers', '?')} layers tuned"
    tests = {0: "no tests", -1: "all shown tests"}.get(arms.get("shown_tests", 0), f"{arms.get('shown_tests')} tests")
    names = ", ".join(f"{kind} ({ouroboros if kind == 'ouroboros' else tuned})" for kind in kinds)
    return f"{names}; {tests} in its prompt"


def header_rows(config: dict, provenance: dict, frames: dict[str, pd.DataFrame]) -> list[list[object]]:
    v, run = config.get("verifier", {}), config.get("run", {})
    generation, arms, train = v.get("generation", {}), v.get("arms", {}), v.get("train", {})
    problems = frames["problems"]
    counts = "; ".join(f"{split} {len(part)} problems, {part['candidates'].sum()} programs,"
                       f" {part['passing'].sum()} of them pass" for split, part in problems.groupby("split", sort=False))
    rows = [
        ["generator", f"{generation.get('model') or '(candidates from a file)'}, {generation.get('dtype', '?')},"
                      f" temperature {generation.get('temperature', '?')}"],
        ["data", data_name(config)],
        ["programs", counts],
        ["arms", arms_text(arms)],
        ["losses", f"{', '.join(v.get('losses', []))}; {v.get('training_seeds', '?')} seeds each, at most"
                   f" {train.get('epochs', '?')} epochs, learning rate {train.get('lr', '?')}"],
        ["labels", v.get("labels", "?")],
        ["sandbox", f"level {v.get('sandbox', {}).get('level', '?')}, {v.get('sandbox', {}).get('cpu_s', '?')} s of CPU"],
        ["seed of the run", str(run.get("seed", "?"))],
        ["git state", str(find_key(provenance, "git") or "unknown")],
        ["identity", identity_of(provenance)],
    ]
    where = hosts(provenance)
    return rows + ([["ran on", where]] if where else [])


def interval(row: object, digits: int = 3) -> Number:
    if pd.isna(row.value):
        return Number("–")
    text = f"{row.value:.{digits}f}"
    return Number(text if pd.isna(row.low) else f"{text} ({row.low:.{digits}f} to {row.high:.{digits}f})")


METRICS = ["pass_at_1", "minus_random", "gap_recovered", "pairwise_accuracy", "auroc_global", "calibration_error",
           "energy_passing", "energy_failing", "length_correlation"]
RESULT_HEAD = ["selector", "arm", "loss", *(name.replace("_", " ") for name in METRICS)]


def result_rows(metrics: pd.DataFrame, subset: str) -> list[list[object]]:
    rows = []
    part = metrics[metrics["subset"] == subset]
    for (selector, arm, loss), group in part.groupby(["selector", "arm", "loss"], sort=False):
        found = {row.metric: row for row in group.itertuples()}
        rows.append([selector, arm, loss, *(interval(found[m]) if m in found else Number("") for m in METRICS)])
    return rows


def other_rows(metrics: pd.DataFrame) -> list[list[object]]:
    """pass@k, McNemar and the length groups: what has no column of its own."""
    rest = metrics[~metrics["metric"].isin(METRICS)]
    return [[row.subset, row.selector, row.arm, row.loss, row.metric, interval(row, 4)] for row in rest.itertuples()]


def verdict(metrics: pd.DataFrame) -> str:
    """One sentence for each trained selector: whether it beats random, and no more."""
    lines = []
    rows = metrics[(metrics["metric"] == "minus_random") & (metrics["subset"] == "all")
                   & (metrics["selector"] == "verifier")]
    for row in rows.itertuples():
        if row.low > 0:
            says = "beats random"
        elif row.high < 0:
            says = "is worse than random"
        else:
            says = "is not told apart from random"
        lines.append(f"arm {row.arm}, loss {row.loss}: {says}: pass@1 {row.value:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
                     f" over {row.problems} test problems and {row.seeds} training seeds.")
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def gallery_rows(frames: dict[str, pd.DataFrame], count: int = 8) -> list[list[object]]:
    """Test problems where the chosen model's pick fails though others pass: the pick beside the best that passes."""
    candidates, problems = frames["candidates"], frames["problems"].set_index("problem_id")
    test = candidates[candidates["split"] == "test"]
    found = []
    for problem_id, group in test.groupby("problem_id", sort=False):
        picked = group.loc[group["energy"].idxmin()]
        passing = group[group["verdict"] == "PASS"]
        if picked["verdict"] == "PASS" or passing.empty:
            continue
        best = passing.loc[passing["energy"].idxmin()]
        found.append((best["energy"] - picked["energy"], problem_id, picked, best))
    found.sort(key=lambda item: -item[0])
    return [[Text(f"{problem_id}\n{problems.loc[problem_id, 'prompt']}"), Mark("fail"),
             Text(f"{picked['verdict']} at energy {picked['energy']:.3f}\n{picked['program']}"),
             Text(f"passes at energy {best['energy']:.3f}\n{best['program']}")]
            for _, problem_id, picked, best in found[:count]]


def make_figures(frames: dict[str, pd.DataFrame], config: dict, note: str) -> dict:
    metrics, candidates = frames["metrics"], frames["candidates"]
    bins = int(config.get("verifier", {}).get("calibration_bins", 10))
    made = {
        "pass_at_1": (figures.pass_at_1(metrics, "all", note), "Bars are 95 % intervals; the grey band is that of random."),
        "pass_at_1_mixed": (figures.pass_at_1(metrics, "mixed", note), "Only problems where some candidates pass and some fail."),
        "energy_histograms": (figures.energy_histograms(candidates, note), ""),
        "reliability": (figures.reliability(candidates, bins, note), ""),
        "training_curves": (figures.training_curves(frames["training"], note),
                            "Dots: the step of the best validation, whose parameters are used."),
        "length_bias": (figures.length_bias(candidates, note), "A slope would mean that length alone is judged."),
    }
    return {name: (figure, caption) for name, (figure, caption) in made.items() if figure is not None}


def write_report(results: h5py.File, folder: Path) -> Path:
    """Writes the report of open results into `folder` and returns the path of the HTML file."""
    frames = frames_of(results)
    if frames["metrics"].empty:
        raise tables.ResultsError(f"{results.filename}: verifier/metrics holds no rows")
    provenance = tables.provenance(results)
    config = {**tables.config(results), "identity": identity_of(provenance)}
    test = int((frames["problems"]["split"] == "test").sum())
    note = note_of(config, test)
    missing = len(tables.quarantine(results))
    if missing:
        note += f" · {missing} units in quarantine: their programs are missing"
    folder.mkdir(parents=True, exist_ok=True)
    body = ["<h1>Energy verifier of programs</h1>",
            html_table(["", ""], [[key, Text(value)] for key, value in header_rows(config, provenance, frames)]),
            section("Result", verdict(frames["metrics"]),
                    html_table(RESULT_HEAD, result_rows(frames["metrics"], "all")), note_html(
                        f"{note}. Intervals: 95 %, bootstrap over problems and, with three seeds and more, over seeds."
                        " verifier_mean averages the energies over seeds.")),
            section("Where selection matters", html_table(RESULT_HEAD, result_rows(frames["metrics"], "mixed")), note_html(
                f"{note}. Only problems where some candidates pass and some fail."))]
    wrong = gallery_rows(frames)
    if wrong:
        body.append(section("Selections that went wrong", html_table(["problem", "", "picked", "best that passes"], wrong),
                            note_html(f"{note}. The eight with the largest difference of energies.")))
    body.append(section("Further metrics", html_table(["subset", "selector", "arm", "loss", "metric", "value"],
                                                      other_rows(frames["metrics"])), note_html(note)))
    body += quarantine_section(tables.quarantine(results))
    body.append("<h2>Figures</h2>" + figures_html(make_figures(frames, config, note), folder))
    return write_page("verifier report", body, folder)


def print_results(results: h5py.File) -> None:
    metrics = tables.table(results, "verifier/metrics")
    shown = metrics[(metrics["subset"] == "all") & metrics["metric"].isin(["pass_at_1", "minus_random"])]
    for row in shown.itertuples():
        name = f"{row.selector} {row.arm} {row.loss}".strip()
        print(f"{name:40s} {row.metric:13s} {interval(row)}")
