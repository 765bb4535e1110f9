"""The figures of an ips report. Each function draws one figure from DataFrames, or gives None when there is nothing to
draw. `note` names config, models, data and seed, and stands in the picture."""

from __future__ import annotations

import libraries  # noqa: F401  (first: says which Python has them)
import numpy as np
import pandas as pd
from figures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, _figure, _finish
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

BROWN = "#8c510a"
COLOURS = {"manual": BLACK, "propose": GREY, "random": ORANGE, "ga": BLUE, "swap": GREEN, "swap_free": PURPLE,
           "ppo": VERMILION, "reinforce": SKY, "dpo": BROWN}
UNREADABLE = {"swap_free"}  # never in one figure with readable prompts


def best_so_far(evaluations: pd.DataFrame) -> pd.DataFrame:
    """For each method: calls, and mean, least and largest over searches of the best fitness by then. A search that has
    ended keeps its last value."""
    rows = []
    for method, part in evaluations[evaluations["method"] != "manual"].groupby("method", sort=False):
        last = int(part["calls"].max())
        grid = np.arange(1, last + 1)
        curves = []
        for _, search in part.groupby(["target_id", "seed"], sort=False):
            best = search.groupby("calls")["fitness"].max().cummax()
            curves.append(best.reindex(grid).ffill().to_numpy())
        seeds = part.groupby(["target_id", "seed"], sort=False).ngroups
        by_seed: dict[int, list[np.ndarray]] = {}
        for (_, seed), curve in zip(part.groupby(["target_id", "seed"], sort=False).groups, curves):
            by_seed.setdefault(seed, []).append(curve)
        # A method's curve begins where each of its searches has tried a prompt.
        means = np.array([np.mean(group, axis=0) for group in by_seed.values()])
        for i, calls in enumerate(grid):
            column = means[:, i]
            if np.isfinite(column).all():
                rows.append((method, calls, column.mean(), column.min(), column.max(), seeds))
    return pd.DataFrame(rows, columns=["method", "calls", "mean", "least", "largest", "searches"])


def fitness_against_calls(evaluations: pd.DataFrame, note: str) -> Figure | None:
    curves = best_so_far(evaluations)
    if curves.empty:
        return None
    figure, axis = _figure()
    for method, part in curves.groupby("method", sort=False):
        colour = COLOURS.get(method, BLACK)
        axis.plot(part["calls"], part["mean"], color=colour, label=f"{method} ({part['searches'].iloc[0]} searches)",
                  linestyle="--" if method in UNREADABLE else "-")
        axis.fill_between(part["calls"], part["least"], part["largest"], color=colour, alpha=0.15, linewidth=0)
    axis.set_xlabel("calls executed by a search")
    axis.set_ylabel("best fitness, mean over targets (band: seeds)")
    axis.legend(fontsize=8)
    return _finish(figure, "Best fitness against calls", note)


def kaplan_meier(durations: np.ndarray, events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times and the share that has not succeeded by then; a search without success counts until its last call."""
    times, survival = [0.0], [1.0]
    for time in np.unique(durations[events]):
        at_risk = (durations >= time).sum()
        happened = ((durations == time) & events).sum()
        times.append(float(time))
        survival.append(survival[-1] * (1 - happened / at_risk))
    return np.array(times), np.array(survival)


def calls_to_success(summary: pd.DataFrame, note: str) -> Figure | None:
    if summary.empty:
        return None
    figure, axis = _figure()
    last = summary["calls_executed"].max()
    methods = summary["method"].unique()
    for number, (method, part) in enumerate(summary.groupby("method", sort=False)):
        events = ~part["censored"].to_numpy(dtype=bool)
        durations = np.where(events, part["calls_to_success"], part["calls_executed"]).astype(float)
        times, survival = kaplan_meier(durations, events)
        # Curves that stay at 0 a hair apart: they would hide each other.
        lift = 0 if events.any() else 0.004 * (number - len(methods) / 2)
        axis.step(np.append(times, last), np.append(1 - survival, 1 - survival[-1]) + lift, where="post",
                  color=COLOURS.get(method, BLACK), linestyle="--" if method in UNREADABLE else "-",
                  label=f"{method} ({events.sum()} of {len(part)})")
    axis.set_xlabel("calls executed by a search")
    axis.set_ylabel("share with an accepted prompt (Kaplan-Meier)")
    axis.set_ylim(-0.02, 1.02)
    axis.legend(fontsize=8)
    return _finish(figure, "Calls to the first accepted prompt", note)


def match_against_compression(evaluations: pd.DataFrame, targets: pd.DataFrame, unreadable: bool, token_bits: float,
                              note: str) -> Figure | None:
    """Each prompt by |T| / |P| and match; the line is the ratio beyond which counting forbids exact reproduction of the
    median target: |P| log2 V bits are fewer than the target has under the model without a prompt."""
    part = evaluations[evaluations["method"].isin(UNREADABLE) == unreadable]
    part = part[(part["prompt_tokens"] > 0) & part["match"].notna()]
    if part.empty or targets.empty:
        return None
    tokens = part["target_id"].map(targets.set_index("target_id")["tokens"])
    ratio = tokens / part["prompt_tokens"]
    figure, axis = _figure()
    for method, rows in part.groupby("method", sort=False):
        axis.plot(ratio[rows.index], rows["match"], ".", markersize=3, alpha=0.4, color=COLOURS.get(method, BLACK),
                  label=f"{method} ({len(rows)})")
    good = part[part["accepted"].astype(bool)]
    axis.plot(ratio[good.index], good["match"], "o", markersize=7, fillstyle="none", color=BLACK, linestyle="none",
              label=f"accepted ({len(good)})")
    limits = targets["tokens"] * token_bits / targets["bits"]
    axis.axvline(float(limits.median()), color=BLACK, linewidth=1, linestyle=":",
                 label="counting bound of the median target")
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("|T| / |P|, tokens")
    axis.set_ylabel("match S")
    axis.legend(fontsize=8)
    return _finish(figure, f"Match against compression, {'any token' if unreadable else 'readable prompts'}", note)


def principal_plane(vectors: np.ndarray) -> np.ndarray:
    """The first two principal components, each signed so that its largest loading is positive."""
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    return centred @ (axes * signs[:, None]).T


def prompt_plane(accepted: pd.DataFrame, embeddings: np.ndarray, note: str) -> Figure | None:
    if len(accepted) < 3 or len(embeddings) != len(accepted):
        return None
    plane = principal_plane(embeddings)
    figure, axis = _figure()
    places = accepted.reset_index(drop=True)
    markers = "osD^vP*X"
    for number, (target, rows) in enumerate(places.groupby("target_id", sort=False)):
        for method, part in rows.groupby("method", sort=False):
            axis.plot(plane[part.index, 0], plane[part.index, 1] if plane.shape[1] > 1 else 0 * part.index,
                      markers[number % len(markers)], color=COLOURS.get(method, BLACK), markersize=5, alpha=0.7)
        axis.plot([], [], markers[number % len(markers)], color=BLACK, fillstyle="none", label=target)
    for method in places["method"].unique():
        axis.plot([], [], "s", color=COLOURS.get(method, BLACK), label=method)
    axis.set_xlabel("first principal component")
    axis.set_ylabel("second")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return _finish(figure, "Embeddings of accepted prompts: shape for target, colour for method", note)
