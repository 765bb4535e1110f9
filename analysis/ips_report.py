"""The report of an ips run; analysis/report.py calls it."""

from __future__ import annotations

import difflib
import html
import json
from pathlib import Path

import libraries  # noqa: F401  (first: says which Python has them)
import h5py
import ips_figures as figures
import numpy as np
import pandas as pd
import tables
from page import (Mark, Number, Text, figures_html, find_key, hosts, html_table, identity_of, note_html, number,
                  quarantine_section, section, write_page)

TABLES = ("targets", "evaluations", "accepted", "summary", "diversity", "negative", "decisions", "rl_training")
VERDICTS = {"holds": "pass", "fails": "fail"}


def frames_of(results: h5py.File) -> dict[str, pd.DataFrame]:
    return {name: tables.table(results, f"ips/{name}") for name in TABLES}


def note_of(config: dict, frames: dict[str, pd.DataFrame]) -> str:
    model, run = config.get("ips", {}).get("model", {}), config.get("run", {})
    adapter = f" + {Path(model['adapter']).name}" if model.get("adapter") else ""
    return (f"config {config.get('identity', '?')[:12]} · {Path(model.get('dir') or '?').name}{adapter}"
            f" {model.get('dtype', '')} · {Path(config.get('ips', {}).get('data', {}).get('targets') or '?').name}"
            f" · seed {run.get('seed', '?')} · {len(frames['targets'])} targets, {len(frames['summary'])} searches")


def header_rows(config: dict, provenance: dict, frames: dict[str, pd.DataFrame]) -> list[list[object]]:
    c, run = config.get("ips", {}), config.get("run", {})
    model, search, fitness = c.get("model", {}), c.get("search", {}), c.get("fitness", {})
    targets = frames["targets"]
    weights = ", ".join(f"{name} {fitness.get(name, '?')}" for name in ("lcs", "edit", "ast", "exec", "nll"))
    rows = [
        ["model", f"{model.get('dir', '?')}, {model.get('dtype', '?')}"
                  + (f", adapter {model['adapter']}" if model.get("adapter") else "")],
        ["targets", f"{c.get('data', {}).get('targets', '?')}: {len(targets)}, {targets['tokens'].min()} to"
                    f" {targets['tokens'].max()} tokens; a prompt has at most |T| / {c.get('data', {}).get('most_ratio')}"],
        ["searches", f"{', '.join(search.get('methods', []))}; {search.get('seeds', '?')} seeds each, at most"
                     f" {search.get('calls', '?')} calls"],
        ["fitness", f"{weights}; alpha {fitness.get('alpha', '?')}, beta {fitness.get('beta', '?')}"],
        ["seed of the run", str(run.get("seed", "?"))],
        ["git state", str(find_key(provenance, "git") or "unknown")],
        ["identity", identity_of(provenance)],
    ]
    where = hosts(provenance)
    return rows + ([["ran on", where]] if where else [])


def decision_rows(decisions: pd.DataFrame) -> list[list[object]]:
    rows = []
    for row in decisions.itertuples():
        value = "–" if pd.isna(row.value) else f"{row.value:.3f} ({row.low:.3f} to {row.high:.3f})"
        rows.append([row.hypothesis, Text(row.statement), Number(value), Number(row.n), number(row.p),
                     number(row.threshold), Mark(VERDICTS.get(row.verdict, row.verdict))])
    return rows


METHOD_HEAD = ["method", "searches", "with an accepted prompt", "median calls to it", "mean best fitness",
               "mean best match", "mean |P| of the best", "mean calls"]


def method_rows(summary: pd.DataFrame) -> list[list[object]]:
    """Failures count as more calls than any success: a median that falls on one is "not reached"."""
    rows = []
    for method, part in summary.groupby("method", sort=False):
        found = ~part["censored"].astype(bool)
        low, high = tables.wilson(int(found.sum()), len(part))
        calls = np.sort(np.where(found, part["calls_to_success"], np.inf))
        median = calls[(len(calls) - 1) // 2]
        rows.append([method, Number(len(part)), Number(f"{found.sum()} ({100 * low:.0f}–{100 * high:.0f} %)"),
                     Mark("not reached") if np.isinf(median) else Number(int(median)), number(part["best_fitness"].mean()),
                     number(part["best_match"].mean()), number(part["best_tokens"].mean()),
                     number(part["calls_executed"].mean())])
    return rows


def target_rows(frames: dict[str, pd.DataFrame], token_bits: float) -> list[list[object]]:
    rows = []
    for row in frames["targets"].itertuples():
        accepted = frames["accepted"]
        own = accepted[(accepted["target_id"] == row.target_id) & accepted["accepted"].astype(bool)]
        shortest = own["prompt_tokens"].min() if len(own) else float("nan")
        rows.append([row.target_id, row.language, row.license, Number(row.tokens), Number(row.most_tokens),
                     Mark(row.verdict), number(row.best_manual), number(row.noise_ceiling), Number(row.probes),
                     number(row.bits), Number(8 * row.gzip_bytes), number(row.bits / token_bits), number(shortest),
                     Number(own["prompt"].nunique())])
    return rows


TARGET_HEAD = ["target", "language", "licence", "|T|", "L_max", "Stage 1", "best S by hand", "S of noise", "probes",
               "bits of T", "bits of gzip", "least |P| by counting", "shortest accepted |P|", "accepted prompts"]


def marked(expected: str, found: str) -> str:
    """The found text as HTML, what differs from the expected one marked."""
    parts = []
    matcher = difflib.SequenceMatcher(None, expected, found, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        text = html.escape(found[c:d])
        if kind == "equal":
            parts.append(text)
        else:
            parts.append(f'<mark title="{html.escape(expected[a:b], quote=True)}">{text or "∅"}</mark>')
    return "".join(parts)


def gallery(frames: dict[str, pd.DataFrame], completions: pd.DataFrame) -> str:
    """For each target its shortest accepted prompt, or the best that no rule accepted: T, P and M(P) side by side."""
    accepted, evaluations = frames["accepted"], frames["evaluations"]
    parts = ['<div class="wide"><table><tr><th>T</th><th>P</th><th>M(P), differences marked</th></tr>']
    texts = completions.drop_duplicates(["target_id", "prompt"]).set_index(["target_id", "prompt"])["completion"]
    for row in frames["targets"].itertuples():
        own = accepted[(accepted["target_id"] == row.target_id) & accepted["accepted"].astype(bool)
                       & (accepted["method"] != "manual")].sort_values(["prompt_tokens", "prompt"])
        if own.empty:
            own = evaluations[evaluations["target_id"] == row.target_id].sort_values("fitness", ascending=False)
        if own.empty:
            continue
        best = own.iloc[0]
        words = f"{best['prompt']}\n\n{best['method']}, {best['prompt_tokens']} tokens, {best['level'] or 'no match'}"
        answer = texts.get((row.target_id, best["prompt"]), "")
        parts.append(f'<tr><td class="text">{html.escape(row.code.strip())}</td><td class="text">{html.escape(words)}'
                     f'</td><td class="text">{marked(row.code.strip(), answer.strip())}</td></tr>')
    return "".join(parts) + "</table></div>"


def negative_rows(negative: pd.DataFrame) -> list[list[object]]:
    rows = []
    for test, part in negative.groupby("test", sort=False):
        accepted = int(part["accepted"].sum())
        low, high = tables.wilson(accepted, len(part))
        rows.append([test, Number(len(part)), Number(f"{accepted} ({100 * low:.1f}–{100 * high:.1f} %)"),
                     Number(int((~part["as_expected"].astype(bool)).sum())), number(part["match"].max())])
    return rows


def diversity_rows(diversity: pd.DataFrame) -> list[list[object]]:
    return [[row.target_id, row.method, Number(row.prompts), number(row.self_bleu_2), number(row.self_bleu_4),
             number(row.distance_mean), number(row.distance_min), number(row.paraphrase_90), Number(row.clusters),
             number(row.silhouette), Mark("yes" if row.diverse else "no")] for row in diversity.itertuples()]


def token_bits_of(accepted: pd.DataFrame) -> float:
    """log2 V, as the run computed it; without an accepted prompt that of 50,000 tokens."""
    part = accepted[accepted["prompt_tokens"] > 0]
    return float((part["prompt_bits"] / part["prompt_tokens"]).iloc[0]) if len(part) else float(np.log2(50_000))


QUALITY_HEAD = ["arm", "pairs", "tokens", "seeds", "rules kept", "tests passed", "held-out loss", "training loss",
                "memorised, held out", "memorised, trained"]


def quality_section(folder: Path, note: str) -> list[str]:
    """What scripts/ips/compare_datasets.py wrote beside the results, if it did."""
    file = folder / "quality" / "quality.json"
    if not file.is_file():
        return []
    found = json.loads(file.read_text(encoding="utf-8"))
    arms = [[arm["arm"], *(Number(arm[key]) for key in QUALITY_HEAD[1:4]), *(number(arm.get(key)) for key in QUALITY_HEAD[4:])]
            for arm in found["arms"]]
    rows = decision_rows(pd.DataFrame(found["decisions"]).assign(p=float("nan")))
    return [section("Data sets of instructions (H4)", html_table(QUALITY_HEAD, arms) + html_table(
        ["", "asked", "value (95 %)", "n", "p", "threshold", "verdict"], rows), note_html(
        f"{note}. {found['model']} with an adapter for each arm and seed, equal steps of equally many tokens; {found['items']} held-out"
        f" items, {found['rules']} instructions with rules; paired bootstrap over these, seeds averaged. H4 by the rules kept:"
        f" {found['H4']}."))]


def make_figures(results: h5py.File, frames: dict[str, pd.DataFrame], note: str) -> dict:
    evaluations, targets = frames["evaluations"], frames["targets"]
    bits = token_bits_of(frames["accepted"])
    embeddings = results["ips/prompt_embeddings"][:] if "ips/prompt_embeddings" in results else np.zeros((0, 0))
    bound = "Left of the dotted line the prompt could tell the median target apart by counting; right of it it could not."
    made = {
        "fitness_against_calls": (figures.fitness_against_calls(evaluations, note),
                                  "Bands: least and largest seed. Dashed: prompts of any token, which nobody can read."),
        "calls_to_success": (figures.calls_to_success(frames["summary"], note),
                             "A search that ended without an accepted prompt is censored at its last call."),
        "match_against_compression": (
            figures.match_against_compression(evaluations, targets, False, bits, note), bound),
        "match_against_compression_any_token": (
            figures.match_against_compression(evaluations, targets, True, bits, note), bound),
        "accepted_prompts": (figures.prompt_plane(frames["accepted"], embeddings, note),
                             "Principal components of the prompts' embeddings; a mark for each target."),
    }
    return {name: (figure, caption) for name, (figure, caption) in made.items() if figure is not None}


def write_report(results: h5py.File, folder: Path) -> Path:
    """Writes the report of open results into `folder` and returns the path of the HTML file."""
    frames = frames_of(results)
    if frames["targets"].empty:
        raise tables.ResultsError(f"{results.filename}: ips/targets holds no rows")
    provenance = tables.provenance(results)
    config = {**tables.config(results), "identity": identity_of(provenance)}
    note = note_of(config, frames)
    folder.mkdir(parents=True, exist_ok=True)
    bits = token_bits_of(frames["accepted"])
    body = ["<h1>Inverse prompt search</h1>",
            html_table(["", ""], [[key, Text(value)] for key, value in header_rows(config, provenance, frames)]),
            section("Decisions", html_table(["", "asked", "value (95 %)", "n", "p", "threshold", "verdict"],
                                            decision_rows(frames["decisions"])), note_html(
                f"{note}. H1 and H3: Wilson; H2: differences of paired searches, bootstrap over targets; p: exact McNemar."
                " The model's own proposals, the simplest control, come first.")),
            section("Methods at equal calls", html_table(METHOD_HEAD, method_rows(frames["summary"])), note_html(
                f"{note}. A call is an answer with its loss, a gradient or a proposal; what a search had evaluated before"
                " costs it nothing. swap_free writes any token: nobody reads its prompts.")),
            section("Targets", html_table(TARGET_HEAD, target_rows(frames, bits)), note_html(
                f"{note}. Bits of T: under the model without a prompt. A prompt of n tokens tells at most n log2 V bits;"
                " by counting, a prompt that any target of as many bits might need has at least so many tokens.")),
            section("Negative tests", html_table(["test", "prompts", "accepted (Wilson 95 %)", "not as they must be",
                                                  "largest S"], negative_rows(frames["negative"])), note_html(note)),
            section("Gallery", gallery(frames, tables.table(results, "ips/completions")), note_html(
                f"{note}. The shortest accepted prompt that a search found, else the prompt with the largest fitness."))]
    if not frames["diversity"].empty:
        body.append(section("Diversity", html_table(
            ["target", "method", "n", "self-BLEU-2", "self-BLEU-4", "mean distance", "least", "of paraphrases (90 %)",
             "clusters", "silhouette", "two kinds"], diversity_rows(frames["diversity"])), note_html(
            f"{note}. self-BLEU grows with n: compare at equal n alone. Below ten prompts a silhouette is doubtful.")))
    body += quality_section(Path(results.filename).parent, note)
    body += quarantine_section(tables.quarantine(results))
    body.append("<h2>Figures</h2>" + figures_html(make_figures(results, frames, note), folder))
    return write_page("ips report", body, folder)


def print_results(results: h5py.File) -> None:
    for row in tables.table(results, "ips/decisions").itertuples():
        print(f"{row.hypothesis:5s} {row.statement:60s} {row.value:7.3f} [{row.low:.3f}, {row.high:.3f}] n {row.n:4d}"
              f"  {row.verdict}")
