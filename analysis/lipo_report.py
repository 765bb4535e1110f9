"""The report of a lipo run; analysis/report.py calls it."""

from __future__ import annotations

import html
from pathlib import Path

import libraries  # noqa: F401  (first: says which Python has them)
import h5py
import lipo_figures as figures
import numpy as np
import pandas as pd
import tables
from page import (Number, Text, figures_html, find_key, hosts, html_table, identity_of, note_html, number, quarantine_section,
                  section, write_page)

TABLES = ("instructions", "evaluations", "hyperband", "vae", "vae_quality", "gp", "iterations", "acquisition", "arms", "comparisons",
          "finalists")


def frames_of(results: h5py.File) -> dict[str, pd.DataFrame]:
    return {name: tables.table(results, f"lipo/{name}") for name in TABLES}


def array(results: h5py.File, name: str) -> np.ndarray:
    return np.asarray(results[f"lipo/{name}"]) if f"lipo/{name}" in results else np.zeros((0, 0))


def note_of(config: dict, frames: dict[str, pd.DataFrame]) -> str:
    c, run, items = config.get("lipo", {}), config.get("run", {}), config.get("lipo", {}).get("items", {})
    return (f"config {config.get('identity', '?')[:12]} · {Path(c.get('model') or '?').name} · {Path(items.get('path') or '?').name}"
            f" · {c.get('mode', '?')} · {items.get('validation', '?')} validation items · seed {run.get('seed', '?')}"
            f" · {len(frames['instructions'])} instructions")


def header_rows(config: dict, provenance: dict, frames: dict[str, pd.DataFrame]) -> list[list[object]]:
    c, run = config.get("lipo", {}), config.get("run", {})
    items, quality = c.get("items", {}), frames["vae_quality"]
    rows = [
        ["model", f"{c.get('model', '?')}, adapter {c.get('adapter') or 'none'}, {c.get('dtype', '?')}"],
        ["items", f"{items.get('path', '?')}: {items.get('validation', '?')} to search on, {items.get('test', '?')} untouched"],
        ["instructions", f"{len(frames['instructions'])}, written by {c.get('ape_backend', '?')}"],
        ["embedder, inverter", f"{c.get('embedder', '?')}, {c.get('vec2text_model', '?')}"],
        ["mode", c.get("mode", "?")],
        ["readings", f"levels {c.get('hyperband_levels', '?')}, proposals {c.get('hyperband_proposals', '?')}, gate"
                     f" {c.get('gap_gate', '?')}, stopping {c.get('vae_stopping', '?')}, noise {c.get('gp_noise', '?')}, process given"
                     f" {c.get('gp_input', '?')}"],
        ["seed of the run", str(run.get("seed", "?"))],
        ["git state", str(find_key(provenance, "git") or "unknown")],
        ["identity", identity_of(provenance)],
    ]
    if not quality.empty:
        q = quality.iloc[0]
        rows.insert(4, ["autoencoder", f"cosine {q['cosine_mean']:.3f} (sampled {q['sampled_mean']:.3f}), KL {q['kl_mean']:.1f} nats,"
                                       f" {q['active_units']} of {q['latent_dim']} units active, effective rank {q['effective_rank']:.1f}"])
    where = hosts(provenance)
    return rows + ([["ran on", where]] if where else [])


def swept(frame: pd.DataFrame) -> list[str]:
    """Columns of a sweep's fields."""
    return [column for column in frame.columns if "." in column]


def first_combination(frames: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], str]:
    """The rows of the first combination of a sweep, and its name; all rows, and "", without a sweep."""
    columns = swept(frames["arms"])
    if not columns:
        return frames, ""
    values = frames["arms"].iloc[0][columns]
    return {name: frame if frame.empty else frame[(frame[columns] == values).all(axis=1)].reset_index(drop=True)
            for name, frame in frames.items()}, ", ".join(f"{c} {v}" for c, v in values.items())


def combination(frame: pd.DataFrame) -> list[str]:
    """For each row the swept values, or "" without a sweep."""
    return [", ".join(f"{c} {row[c]}" for c in swept(frame)) for _, row in frame.iterrows()]


def interval(row: object) -> Number:
    return Number(f"{row.test_error:.3f} ({row.low:.3f} to {row.high:.3f})")


def verdict(comparisons: pd.DataFrame) -> str:
    """One sentence for each arm: whether its best is better than Hyperband's on untouched items."""
    out = []
    best = comparisons[comparisons["control"] == "hyperband_best"]
    for row, place in zip(best.itertuples(), combination(best), strict=True):
        said = "better" if row.high < 0 else "worse" if row.low > 0 else "not told apart from it"
        out.append(f"{place + ': ' if place else ''}{row.arm}: test error less that of Hyperband's best {row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f}): {said}."
                   f" Lower in {row.better} and higher in {row.worse} of {row.pairs} repetitions.")
    return "".join(f"<p>{html.escape(line)}</p>" for line in out)


def calls_sentence(arms: pd.DataFrame) -> str:
    own = arms[arms["arm"] != "hyperband_best"]
    if own.empty:
        return ""
    fields = swept(own)
    most = own.groupby(fields)["own_calls"].transform("max") if fields else own["own_calls"].max()
    short = own[own["own_calls"] < most]
    times = "equally often" if fields else f"{own['own_calls'].max()} times"
    if short.empty:
        return f" Every arm asked the model {times} behind Hyperband."
    return (f" Arms asked the model {times} behind Hyperband, but for "
            + ", ".join(f"{r.arm} {r.seed} ({r.own_calls}: {r.end})" for r in short.itertuples()) + ".")


COMPARISON_HEAD = ["", "arm", "control", "pairs", "lower", "higher", "test error less the control's (95 %)"]


def comparison_rows(comparisons: pd.DataFrame) -> list[list[object]]:
    return [[place, r.arm, r.control, Number(r.pairs), Number(r.better), Number(r.worse),
             Number(f"{r.difference:+.3f} ({r.low:+.3f} to {r.high:+.3f})")]
            for r, place in zip(comparisons.itertuples(), combination(comparisons), strict=True)]


ARM_HEAD = ["", "arm", "seed", "calls", "ended by", "validation error", "test error (95 %)", "gain", "p", "instruction"]


def arm_rows(arms: pd.DataFrame) -> list[list[object]]:
    return [[place, row.arm, Number(row.seed), Number(row.calls), getattr(row, "end", ""), number(row.validation_error), interval(row),
             Number(f"{row.gain:+.3f}"), number(row.p, 2), Text(row.text)]
            for row, place in zip(arms.itertuples(), combination(arms), strict=True)]


def finalist_rows(tested: pd.DataFrame) -> list[list[object]]:
    return [[", ".join(figures.sources(rows["source"])), Number(f"{rows['error'].iloc[0]:.3f} ({rows['low'].iloc[0]:.3f} to {rows['high'].iloc[0]:.3f})"),
             Text(text)] for text, rows in tested.groupby("text", sort=False)]


ROUND_HEAD = ["arm", "seed", "round", "instruction", "predicted", "actual", "gap align", "gap code", "on box", "calls"]


def round_rows(iterations: pd.DataFrame) -> list[list[object]]:
    return [[r.arm, Number(r.seed), Number(r.round), Text(r.text),
             Number("–" if pd.isna(r.predicted_mean) else f"{r.predicted_mean:.3f} ± {r.predicted_std:.3f}"), number(r.error),
             number(r.gap_align), number(r.gap_code), Number("–" if r.active_bounds < 0 else r.active_bounds), Number(r.calls)]
            for r in iterations.head(200).itertuples()]


def make_figures(results: h5py.File, frames: dict[str, pd.DataFrame], note: str, latents: bool) -> dict:
    iterations, arms = frames["iterations"], frames["arms"]
    start = arms[arms["arm"] == "hyperband_best"].iloc[0]
    quality = frames["vae_quality"].iloc[0]
    made = {
        "error_against_calls": (figures.error_against_calls(iterations, start, note), "Bands: from the lowest to the highest repetition; dots: proposals on all validation items."),
        "finalists": (figures.finalists(frames["finalists"], note), ""),
        "fidelity_ladder": (figures.fidelity_ladder(frames["hyperband"], note), "Filled: kept for the next fidelity."),
        "vae_training": (figures.vae_training(frames["vae"], quality, note), ""),
        "gp_calibration": (figures.gp_calibration(iterations, note), "Inside: within 95 % of the process and of the items' own noise."),
        # Tensors of a sweep lie one behind another.
        "latent_map": (figures.latent_map(array(results, "latents"), array(results, "proposals"), iterations, note) if latents else None,
                       "Rings: proposals with coordinates on the box."),
        "acquisition_trace": (figures.acquisition_trace(frames["acquisition"], iterations, note), ""),
    }
    return {name: (figure, caption) for name, (figure, caption) in made.items() if figure is not None}


def write_report(results: h5py.File, folder: Path) -> Path:
    """Writes the report of open results into `folder` and returns the path of the HTML file."""
    frames = frames_of(results)
    if frames["arms"].empty:
        raise tables.ResultsError(f"{results.filename}: lipo/arms holds no rows")
    provenance = tables.provenance(results)
    config = {**tables.config(results), "identity": identity_of(provenance)}
    note = note_of(config, frames)
    folder.mkdir(parents=True, exist_ok=True)
    body = ["<h1>The instruction that scores best</h1>",
            html_table(["", ""], [[key, Text(value)] for key, value in header_rows(config, provenance, frames)]),
            section("Result", verdict(frames["comparisons"]), html_table(ARM_HEAD, arm_rows(frames["arms"])), note_html(
                f"{note}. Validation errors are minima that the search chose, biased low; the test items were touched once. gain: test error of"
                " Hyperband's best less the arm's, p: exact McNemar test on the same items." + calls_sentence(frames["arms"]))),
            section("Arms beside their controls", html_table(COMPARISON_HEAD, comparison_rows(frames["comparisons"])), note_html(
                f"{note}. Repetitions are paired by their number; intervals by bootstrap over items, and over repetitions from three on.")),
            section("Beside them", html_table(["instruction of", "test error (95 %)", ""], finalist_rows(frames["finalists"])), note_html(note))]
    if not frames["iterations"].empty:
        body.append(section("Proposals", html_table(ROUND_HEAD, round_rows(frames["iterations"])), note_html(note)))
    body += quarantine_section(tables.quarantine(results))
    shown, of = first_combination(frames)
    if of:
        note += f" · {of} alone, of a sweep"
    body.append("<h2>Figures</h2>" + figures_html(make_figures(results, shown, note, latents=not of), folder))
    return write_page("lipo report", body, folder)


def print_results(results: h5py.File) -> None:
    for row in tables.table(results, "lipo/arms").itertuples():
        print(f"{row.arm:16s} {row.seed} calls {row.calls:6d} validation {row.validation_error:.3f} test {interval(row)} gain {row.gain:+.3f} p"
              f" {row.p:.2g}  {row.text}")
