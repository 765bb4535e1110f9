#!/usr/bin/env python3
"""Makes the report of a dcm, ips, verifier or grpo run: DIR/report/report.html (one file, pictures inside) and the pictures as PNG.

    .venv/bin/python analysis/report.py DIR

DIR holds results.h5 (or is that file). Exit codes: 0 done, 2 usage, 65 not a result of either, 74 cannot write.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import libraries  # noqa: E402, F401  (first: says which Python has them)
import figures  # noqa: E402  (chooses the Agg backend before pyplot)
import h5py
import ips_report
import lipo_report
import matplotlib.pyplot as plt
import pandas as pd
import tables
import grpo_report
import grpo_sweep_report
import verifier_report
from page import (Mark, Number, Text, Weak, figures_html, find_key, hosts, html_table, identity_of, note_html, number, percent,
                  quarantine_section, section, write_page)

EX_DATA, EX_IO = 65, 74

def rate(successes: int, count: int) -> Number:
    if count == 0:
        return Number("–")
    low, high = tables.wilson(successes, count)
    return Number(f"{successes} of {count} ({100 * low:.0f}–{100 * high:.0f} %)")


def header_rows(config: dict, provenance: dict, units: int) -> list[list[object]]:
    dcm, run = config.get("dcm", {}), config.get("run", {})
    model, data, schedule = (dcm.get(name, {}) for name in ("model", "data", "schedule"))
    rows = [
        ["model", f"{model.get('dir', '?')}, {model.get('dtype', '?')}"],
        ["data", f"{data.get('kind', '?')}, {data.get('path') or 'generated'}, {data.get('count', '?')} pairs,"
                 f" drawn with seed {data.get('seed', '?')}"],
        ["method", f"K {dcm.get('k', '?')}, init {dcm.get('init', '?')}, objective {dcm.get('objective', '?')},"
                   f" stop {dcm.get('stop', '?')}, restarts {dcm.get('restarts', '?')}"
                   f" ({dcm.get('restart_policy', '?')}), stages {', '.join(dcm.get('stages', []))}"],
        ["schedule", f"{schedule.get('kind', '?')}, learning rate {schedule.get('lr', '?')},"
                     f" {schedule.get('steps', '?')} steps"],
        ["seed of the run", str(run.get("seed", "?"))],
        ["units of work", str(units)],
        ["git state", str(find_key(provenance, "git") or "unknown")],
        ["program (SHA-256)", str(find_key(provenance, "binary") or "unknown")],
        ["identity", identity_of(provenance)],
    ]
    where = hosts(provenance)
    if where:
        rows.append(["ran on", where])
    if not dcm.get("text_encoder"):
        rows.append(["grade", "cosine clause off (no text encoder): pass = equal text or token F1 ≥ 0.8"])
    return rows


def note_of(config: dict, what: str, count: int) -> str:
    """The line under every figure: config, model, data, seed and what is behind it."""
    dcm, run = config.get("dcm", {}), config.get("run", {})
    model, data = dcm.get("model", {}), dcm.get("data", {})
    return (f"config {config.get('identity', '?')[:12]} · {Path(model.get('dir', '?')).name} {model.get('dtype', '')} ·"
            f" {data.get('kind', '?')} · K {dcm.get('k', '?')} · init {dcm.get('init', '?')} · seed"
            f" {run.get('seed', '?')} · {count} {what}")


# ---------------------------------------------------------------- tables of the report


def swept_pairs(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The pairs of the K sweep, with those of a K that stage joint computed already."""
    done, sweep, pairs = frames["sweep_pairs"], frames["sweep"], frames["pairs"]
    if sweep.empty or pairs.empty or done.empty:
        return done
    parts = [done]
    swept = done[done["stage"] == "ksweep"]
    for row in sweep[sweep["stage"] == "ksweep"].itertuples():
        if not ((swept["k"] == row.k) & (swept["init"] == row.init)).any():
            joint = pairs[(pairs["k"] == row.k) & (pairs["init"] == row.init) & pairs["pair_index"].isin(
                swept["pair_index"])]
            parts.append(joint.assign(stage="ksweep"))
    return pd.concat(parts, ignore_index=True)


def result_rows(frames: dict[str, pd.DataFrame]) -> list[list[object]]:
    """One row for each stage (and each combination of a sweep): the three rates side by side."""
    rows = []
    for name in ("single", "pairs", "sweep_pairs"):
        frame = swept_pairs(frames) if name == "sweep_pairs" else frames[name]
        if frame.empty:
            continue
        by = ["stage", *(["target"] if name == "single" else []), "k", "init", *tables.swept_columns(frame)]
        for key, part in frame.groupby(by, sort=True):
            named = dict(zip(by, key))
            missing = tables.in_quarantine(frames["quarantine"], named["stage"],
                                           {name: value for name, value in named.items() if name not in ("target", "init")})
            count = Text(f"{len(part)} of {len(part) + missing}, {missing} in quarantine") if missing else Number(len(part))
            stage = named.pop("stage") + (f" {named.pop('target')}" if "target" in named else "")
            k, init = named.pop("k"), named.pop("init")
            swept = "; ".join(f"{field} {value}" for field, value in named.items())
            losses = part["loss"] if name == "single" else part["loss_q"] + part["loss_a"]
            rows.append([stage, Number(k), init + (f"; {swept}" if swept else ""), count,
                         conv_cell(rate(int(part["conv"].sum()), len(part)), part),
                         *(rate(int(part[c].sum()), len(part)) for c in ("tight", "exact")),
                         number(losses.mean()), number(part["steps"].median(), 4)])
    return rows


def met_by_baseline(part: pd.DataFrame) -> int:
    """Rows for which a baseline alone meets the rule of conv; 0 in results that do not say."""
    return int(part["conv_by_baseline"].sum()) if "conv_by_baseline" in part else 0


def conv_cell(text: str, part: pd.DataFrame) -> Number:
    """A rate of conv, grey with the count where a baseline meets the rule too."""
    met = met_by_baseline(part)
    return Weak(f"{text}; a baseline: {met}") if met else Number(text)


RESULT_HEAD = ["stage", "K", "init", "units", "conv (Wilson 95 %)", "tight", "exact", "mean loss (nats/token)",
               "median steps"]


CONV = ("conv: the loss is below 0.3 R or below 2 F (unless configured otherwise), R being that behind random vectors"
        " and F that behind the text of the other target: a weak rule. Grey: for so many a baseline, random vectors or"
        " one random token, meets it without any optimisation, so that conv says nothing of them. tight: every token"
        " has p > 1/2. exact: greedy decoding gives the target, token for token.")


def gate_rows(gates: pd.DataFrame) -> list[list[object]]:
    rows = []
    for gate in gates.itertuples():
        asked = f" of the first {gate.pairs_asked}" if gate.pairs_asked else ""
        value = "–" if pd.isna(gate.value) else (
            f"{100 * gate.value:.0f} % ({100 * gate.value_low:.0f}–{100 * gate.value_high:.0f};"
            f" by article {100 * gate.article_low:.0f}–{100 * gate.article_high:.0f})")
        # Results of before there was a finding say what the gate is about.
        rows.append([gate.gate, Mark(gate.verdict.replace("_", " ")),
                     Text(getattr(gate, "finding", gate.predicate) or "–"), Text(value),
                     Number(f"{gate.pairs_used}{asked}"), Text(gate.action or "–"), Text(gate.taken or "–"),
                     Text(gate.detail or "")])
    return rows


def sample_rows(frames: dict[str, pd.DataFrame], spot_cases: int) -> list[list[object]]:
    """The converged pairs to read by hand, then those that were not reproduced, of the K sweep too."""
    pairs, sweep_pairs = frames["pairs"], frames["sweep_pairs"]
    converged = pairs[pairs["conv"].astype(bool)].sort_values("pair_index").head(spot_cases)
    parts = [converged]
    for frame in (pairs, sweep_pairs):
        if not frame.empty:
            failed = frame[~frame["exact"].astype(bool)].sort_values(["k", "pair_index"]).head(10)
            parts.append(failed[~failed.index.isin(converged.index)] if frame is pairs else failed)
    rows = []
    for part in parts:
        for pair in part.itertuples():
            for side, target, decoded, grade, loss in (
                    ("Q", pair.question, pair.decoded_q, pair.grade_q, pair.loss_q),
                    ("A", pair.answer, pair.decoded_a, pair.grade_a, pair.loss_a)):
                rows.append([pair.stage, Number(pair.k), Number(pair.pair_index), side, Text(target), Text(decoded),
                             Mark("yes" if target == decoded else "no"), Mark(grade), number(loss)])
    return rows


def sweep_rows(sweep: pd.DataFrame, behind: pd.DataFrame) -> list[list[object]]:
    """`behind`: the rows of pairs, of all stages."""
    rows = []
    for row in sweep.sort_values(["stage", "k"]).itertuples():
        rates = [Number(f"{percent(getattr(row, c))} ({100 * getattr(row, c + '_low'):.0f}–"
                        f"{100 * getattr(row, c + '_high'):.0f})") for c in ("conv", "tight", "exact")]
        if not behind.empty:
            of_row = (behind["stage"] == row.stage) & (behind["k"] == row.k) & (behind["init"] == row.init)
            rates[0] = conv_cell(rates[0], behind[of_row])
        rows.append([row.stage, Number(row.k), row.init, Number(row.pairs), *rates, number(row.loss_q),
                     number(row.loss_a), number(row.steps_to_conv, 4), number(row.steps_to_tight, 4),
                     number(row.steps_to_exact, 4), number(row.seconds),
                     Mark("yes") if row.minimum_viable else ""])
    return rows


SWEEP_HEAD = ["stage", "K", "init", "pairs", "conv (Wilson 95 %)", "tight", "exact", "L_Q", "L_A", "steps to conv",
              "to tight", "to exact", "seconds a unit", "minimum viable"]


# ---------------------------------------------------------------- the report


def make_figures(frames: dict[str, pd.DataFrame], config: dict) -> dict[str, tuple[plt.Figure, str]]:
    """File name -> figure and caption."""
    pairs, sweep = frames["pairs"], frames["sweep"]
    note = note_of(config, "pairs", len(pairs))
    swept = int(sweep.loc[sweep["stage"] == "ksweep", "pairs"].max()) if not sweep.empty and (
        sweep["stage"] == "ksweep").any() else 0
    sweep_note = note_of({**config, "dcm": {**config.get("dcm", {}), "k": "as on the axis"}}, "pairs each", swept)
    several = figures.several_restarts(frames["restarts"])
    spread_pairs = several["pair_index"].nunique() if not several.empty else 0
    behind = swept_pairs(frames)
    weak = {int(k) for k, part in behind[behind["stage"] == "ksweep"].groupby("k") if met_by_baseline(part)} if (
        not behind.empty) else set()
    known = int(pairs["r_d"].notna().sum()) if not pairs.empty else 0
    made = {
        "loss_curves": (figures.loss_curves(frames["curves"], pairs, note),
                        "Total loss of the chosen restart of each pair. Classes by rules on the smoothed curve."),
        "rates_against_k": (figures.rates_against_k(sweep, weak, sweep_note),
                            "conv is a weak rule (grey where a baseline meets it), tight implies exact, exact is greedy"
                            " decoding equal to both targets. Points are shifted a little sideways so that bars do not hide each other."),
        "question_against_answer": (figures.question_against_answer(pairs, note),
                                    f"Losses below {figures.LEAST:g} are drawn there."),
        "restart_spread": (figures.restart_spread(frames["restarts"], note + f", {len(several)} restarts"),
                           f"The {spread_pairs} of {len(pairs)} pairs that had two or more restarts: a restart runs where"
                           " no earlier one reproduced both targets, unless all were asked for."),
        "steps_histogram": (figures.steps_histogram(pairs, note), ""),
        "against_baselines": (figures.against_baselines(pairs, note),
                              "Each dot is a pair; its height within a row has no meaning."),
        "gradient_conflict": (figures.gradient_conflict(pairs, config, note),
                              f"The {known} of {len(pairs)} pairs that took steps enough for r_d, the correlation of the changes"
                              " of the two losses over windows of steps; ten windows at least."),
    }
    return {name: (figure, caption) for name, (figure, caption) in made.items() if figure is not None}


def absent_figures(frames: dict[str, pd.DataFrame], made: dict) -> list[str]:
    """Why a figure that belongs to stage joint is not there."""
    out = []
    if not frames["restarts"].empty and not frames["pairs"].empty:
        if "restart_spread" not in made:
            out.append("No spread over restarts: no pair had two of them.")
        if "gradient_conflict" not in made:
            out.append("No figure of the conflict between question and answer: no pair took steps enough (ten windows)"
                       " for a correlation of the changes of its losses.")
    return out


def write_report(results: h5py.File, folder: Path) -> Path:
    """Writes the report of open results into `folder` and returns the path of the HTML file."""
    frames = {name: getattr(tables, name)(results) for name in (
        "pairs", "sweep_pairs", "single", "restarts", "curves", "gates", "sweep", "units", "quarantine")}
    if all(frames[name].empty for name in ("pairs", "single", "sweep_pairs")):
        raise tables.ResultsError(f"{results.filename}: found no rows in dcm/pairs, dcm/single or dcm/sweep_pairs,"
                                  " expected the results of method dcm")
    provenance = tables.provenance(results)
    config = {**tables.config(results), "identity": identity_of(provenance)}
    units = len(frames["units"]) or sum(len(frames[name]) for name in ("pairs", "single", "sweep_pairs"))
    folder.mkdir(parents=True, exist_ok=True)

    body = ["<h1>Joint question-answer soft prompts</h1>",
            html_table(["", ""], [[key, Text(value)] for key, value in header_rows(config, provenance, units)])]
    note = note_of(config, "units", units)
    body.append(section("Result", html_table(RESULT_HEAD, result_rows(frames)), note_html(
        f"{note}. In stages joint, ksweep and paraphrase the loss is that of question and answer together. {CONV}")))
    if not frames["gates"].empty:
        body.append(section("Gates", html_table(
            ["gate", "verdict", "what holds", "value (Wilson 95 %)", "pairs", "to be done", "the run did", "detail"],
            gate_rows(frames["gates"])), note_html(
            f"{note}. Gates are thresholds of the method, set in the job: G1 to G3 stop a run that does not converge where"
            " they are enforced, G4 and G5 warn, G6, the levels of the table and spot say how good it is. no evidence: the"
            " gate would pass, and so would a baseline without any optimisation.")))
    if not frames["pairs"].empty:
        spot = int(config.get("dcm", {}).get("gates", {}).get("spot_cases", 5))
        rows = sample_rows(frames, spot)
        body.append(section("Decoded samples beside their targets", html_table(
            ["stage", "K", "pair", "", "target", "decoded", "equal", "grade", "loss (nats/token)"], rows), note_html(
            f"{note_of(config, 'pairs', len(frames['pairs']))}. The first {spot} converged pairs by index, to be read"
            " by hand, then up to 10 of each stage that were not reproduced exactly.")))
    if not frames["sweep"].empty:
        behind = pd.concat([frames["pairs"], swept_pairs(frames)], ignore_index=True)
        body.append(section("K sweep", html_table(SWEEP_HEAD, sweep_rows(frames["sweep"], behind)),
                            note_html(note)))
    body += quarantine_section(frames["quarantine"])
    body.append("<h2>Figures</h2>")
    made = make_figures(frames, config)
    body.append(figures_html(made, folder))
    for left_out in absent_figures(frames, made):
        body.append(note_html(left_out))
    return write_page("dcm report", body, folder)


def print_results(results: h5py.File) -> None:
    frames = {name: getattr(tables, name)(results) for name in ("pairs", "sweep_pairs", "single", "sweep", "quarantine")}
    rows = [[str(value) for value in row] for row in [RESULT_HEAD, *result_rows(frames)]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(RESULT_HEAD))]
    for row in rows:
        print("  ".join(value.ljust(width) for value, width in zip(row, widths)).rstrip())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path, help="folder of a run, or a results file")
    parser.add_argument("--out", type=Path, help="folder of the report (default DIR/report)")
    options = parser.parse_args(arguments)
    folder = options.out or (options.dir if options.dir.is_dir() else options.dir.parent) / "report"
    try:
        with tables.open_results(options.dir) as results:
            if "verifier/metrics" in results:
                report = verifier_report.write_report(results, folder)
                verifier_report.print_results(results)
            elif "ips/targets" in results:
                report = ips_report.write_report(results, folder)
                ips_report.print_results(results)
            elif "grpo/steps" in results:
                report = grpo_report.write_report(results, folder)
                grpo_report.print_results(results)
            elif "grpo/sweep_steps" in results:
                report = grpo_sweep_report.write_report(results, folder)
                grpo_sweep_report.print_results(results)
            elif "lipo/arms" in results:
                report = lipo_report.write_report(results, folder)
                lipo_report.print_results(results)
            else:
                report = write_report(results, folder)
                print_results(results)
    except tables.ResultsError as error:
        print(f"report: {error}", file=sys.stderr)
        return EX_DATA
    except OSError as error:
        print(f"report: {folder}: cannot write the report ({error})", file=sys.stderr)
        return EX_IO
    print(f"report: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
