"""The figures of a dcm report. Each function draws one figure from DataFrames and returns it, or None when the
run holds nothing to draw. `note` names config, model, seed and number of units, and stands in the picture."""

from __future__ import annotations

import libraries  # noqa: F401  (first: says which Python has them)
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

# Okabe and Ito's palette, told apart with every kind of colour vision.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8A8A8A"

CLASSES = ["MONOTONE", "PLATEAU_THEN_DROP", "OSCILLATING", "DIVERGING", "FLAT", "DIVERGED"]
CLASS_COLOUR = dict(zip(CLASSES, [BLUE, GREEN, ORANGE, VERMILION, PURPLE, BLACK]))
LEAST = 1e-6  # nats/token; smaller losses are drawn here on logarithmic axes

plt.rcParams.update({
    "figure.dpi": 120, "font.size": 10, "axes.titlesize": 10.5, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#E4E4E4", "grid.linewidth": 0.6,
    "axes.axisbelow": True, "legend.frameon": False, "legend.fontsize": 9,
})


def _finish(figure: Figure, title: str, note: str) -> Figure:
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.01, ha="left")
    figure.supxlabel(note, fontsize=7.5, color="#555555", x=0.01, ha="left")
    return figure


def _figure(width: float = 7.6, height: float = 4.4) -> tuple[Figure, plt.Axes]:
    return plt.subplots(figsize=(width, height), layout="constrained")


def _clip(values: pd.Series) -> pd.Series:
    return values.clip(lower=LEAST)


def _plain_log(axis: matplotlib.axis.Axis) -> None:
    """Plain numbers at the decades, and at 2 and 5 between them where the axis spans less than two."""

    def minor(value: float, _: int) -> str:
        low, high = axis.get_view_interval()
        digit = value / 10.0 ** np.floor(np.log10(value) + 1e-9)
        return f"{value:g}" if high / low < 100 and round(digit, 6) in (2, 5) else ""

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(minor))


def loss_curves(curves: pd.DataFrame, pairs: pd.DataFrame, note: str) -> Figure | None:
    """Total loss of the chosen restart of each pair, one panel for each class of curve."""
    if curves.empty or pairs.empty:
        return None
    joint = curves[(curves["stage"] == "joint") & (curves["target"] == "both")]
    shown = [c for c in CLASSES if (pairs["curve_class"] == c).any()]
    if joint.empty or not shown:
        return None
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(max(6.4, 4.3 * columns), 0.9 + 2.7 * rows), sharex=True,
                                sharey=True, squeeze=False, layout="constrained")
    groups = dict(tuple(joint.groupby(["pair_index", "restart"])))
    for axis, name in zip(axes.flat, shown):
        chosen = pairs[pairs["curve_class"] == name]
        for pair in chosen.itertuples():
            curve = groups.get((pair.pair_index, pair.best_restart))
            if curve is None:
                continue
            total = _clip(curve["loss_q"] + curve["loss_a"])
            axis.plot(curve["step"], total, color=CLASS_COLOUR[name], linewidth=1.0,
                      alpha=max(0.25, min(0.9, 12 / len(chosen))))
        axis.set_title(f"{name} ({chosen['curve_health'].iloc[0]}): {len(chosen)} of {len(pairs)} pairs", loc="left")
        axis.set_yscale("log")
        _plain_log(axis.yaxis)
    for axis in axes.flat[len(shown):]:
        axis.set_visible(False)
    for index, axis in enumerate(axes.flat[:len(shown)]):
        if index + columns >= len(shown):
            axis.set_xlabel("step")
            axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("$L_Q + L_A$ (nats/token)")
    return _finish(figure, "Loss curves by class", note)


def rates_against_k(sweep: pd.DataFrame, weak: set[int], note: str) -> Figure | None:
    """Conv, tight and exact rate of each K with Wilson's 95 % intervals. `weak`: the K where a baseline alone meets
    the rule of conv for some pair; their conv is grey."""
    if sweep.empty:
        return None
    rows = sweep[sweep["stage"] == "ksweep"].sort_values("k")
    if rows.empty:
        return None
    figure, axis = _figure()
    octaves = max(1.0, np.log2(rows["k"].max() / rows["k"].min()))
    for side, (name, colour, marker) in enumerate((("conv", ORANGE, "s"), ("tight", BLUE, "^"), ("exact", GREEN, "o"))):
        k, rate = rows["k"] * 2 ** (0.018 * octaves * (side - 1)), rows[name]
        errors = np.clip(np.array([rate - rows[f"{name}_low"], rows[f"{name}_high"] - rate]), 0, None)
        grey = rows["k"].isin(weak) if name == "conv" else pd.Series(False, index=rows.index)
        axis.plot(k, rate, color=GREY if grey.all() else colour, linewidth=1.3)
        for part, part_colour, label in ((~grey, colour, name), (grey, GREY, "conv that a\nbaseline meets")):
            if part.any():
                axis.errorbar(k[part], rate[part], yerr=errors[:, part], color=part_colour, marker=marker, markersize=6,
                              capsize=3, linestyle="", elinewidth=1.0, label=label)
    axis.set_xscale("log", base=2)
    axis.set_xticks(rows["k"].unique())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.minorticks_off()
    axis.set_ylim(-0.04, 1.04)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.set_xlabel("K (content vectors)")
    counts = sorted(set(rows["pairs"]))
    behind = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    axis.set_ylabel(f"rate over {behind} pairs\n(bars: Wilson 95 %)")
    viable = rows[rows["minimum_viable"].astype(bool)]["k"]
    if len(viable):
        axis.axvline(viable.iloc[0], color=GREY, linestyle=":", linewidth=1.5,
                     label=f"minimum viable K = {viable.iloc[0]}")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _finish(figure, "Rates against K", note)


def question_against_answer(pairs: pd.DataFrame, note: str) -> Figure | None:
    """Loss of the question against loss of the answer, with the random baselines for scale."""
    if pairs.empty:
        return None
    figure, axis = _figure(7.6, 5.0)
    axis.scatter(_clip(pairs["random_q"]), _clip(pairs["random_a"]), s=22, marker="x", color=GREY, linewidth=1.0,
                 label=f"random baseline R ({len(pairs)})")
    for label, mask, colour, marker in (
            ("exact", pairs["exact"], GREEN, "o"),
            ("converged, not exact", ~pairs["exact"] & (pairs["conv"] | pairs["tight"]), ORANGE, "s"),
            ("not converged", ~pairs["exact"] & ~pairs["conv"] & ~pairs["tight"], VERMILION, "^")):
        part = pairs[mask.astype(bool)]
        if len(part):
            axis.scatter(_clip(part["loss_q"]), _clip(part["loss_a"]), s=34, marker=marker, color=colour,
                         edgecolor="white", linewidth=0.5, label=f"{label} ({len(part)})")
    axis.set_xscale("log")
    axis.set_yscale("log")
    low = max(LEAST / 2, min(axis.get_xlim()[0], axis.get_ylim()[0]))
    high = max(axis.get_xlim()[1], axis.get_ylim()[1])
    axis.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle="--", label="$L_Q = L_A$", zorder=0)
    axis.set_xlim(low, high)
    axis.set_ylim(low, high)
    axis.set_xlabel("$L_Q$, question (nats/token)")
    axis.set_ylabel("$L_A$, answer (nats/token)")
    _plain_log(axis.xaxis)
    _plain_log(axis.yaxis)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _finish(figure, "Question loss against answer loss", note)


def several_restarts(restarts: pd.DataFrame) -> pd.DataFrame:
    """The restarts of stage joint of the pairs that had two or more: only those have a spread."""
    if restarts.empty:
        return restarts
    joint = restarts[restarts["stage"] == "joint"]
    unit = ["pair_index", *(column for column in joint.columns if "." in column)]  # with what a job swept
    return joint[joint.groupby(unit)["restart"].transform("size") > 1]


def restart_spread(restarts: pd.DataFrame, note: str) -> Figure | None:
    """Final total loss of every restart of each pair that had several."""
    joint = several_restarts(restarts)
    if joint.empty:
        return None
    total = _clip(joint["loss_q"] + joint["loss_a"])
    figure, axis = _figure()
    spans = total.groupby(joint["pair_index"]).agg(["min", "max"])
    axis.vlines(spans.index, spans["min"], spans["max"], color="#C8C8C8", linewidth=1.2, zorder=1)
    chosen = joint["chosen"].astype(bool)
    for label, mask, colour, marker, size in (("other restarts", ~chosen, ORANGE, "o", 20),
                                              ("chosen restart", chosen, BLUE, "D", 26)):
        if mask.any():
            axis.scatter(joint.loc[mask, "pair_index"], total[mask], s=size, marker=marker, color=colour,
                         edgecolor="white", linewidth=0.4, zorder=2, label=f"{label} ({mask.sum()})")
    axis.set_yscale("log")
    _plain_log(axis.yaxis)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16))
    axis.set_xlabel("pair (index in the seeded draw)")
    axis.set_ylabel("final $L_Q + L_A$ (nats/token)")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _finish(figure, "Spread over restarts", note)


def steps_histogram(pairs: pd.DataFrame, note: str) -> Figure | None:
    """Steps of the chosen restart of each pair."""
    if pairs.empty:
        return None
    figure, axis = _figure()
    exact = pairs["exact"].astype(bool)
    steps = pairs["steps"].to_numpy()
    low, high = int(steps.min()), int(steps.max())
    width = -(-(high - low + 1) // 24)  # whole steps, so that no bar holds more step numbers than another
    bins = np.arange(low, high + width + 1, width) - 0.5
    parts = [(steps[mask], colour, f"{name} ({mask.sum()})") for name, mask, colour in (
        ("exact", exact, GREEN), ("not exact", ~exact, VERMILION)) if mask.any()]
    axis.hist([part for part, _, _ in parts], bins=bins, stacked=True, color=[colour for _, colour, _ in parts],
              edgecolor="white", linewidth=0.5, label=[label for _, _, label in parts])
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if high - low < 6:  # whole steps on the axis, and bars that are bars
        axis.set_xlim(low - 3.5, high + 3.5)
    axis.axvline(np.median(steps), color=BLACK, linestyle=":", linewidth=1.3, label=f"median {np.median(steps):g}")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel(f"steps of the chosen restart (bars {width} wide)" if width > 1 else "steps of the chosen restart")
    axis.set_ylabel("pairs")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _finish(figure, "Steps taken", note)


def against_baselines(pairs: pd.DataFrame, note: str) -> Figure | None:
    """Losses of the solutions beside those without optimisation, for question and answer."""
    if pairs.empty:
        return None
    kinds = (("random", "R: random vectors", GREY), ("single", "S: one random token", PURPLE),
             ("full", "F: text of the\nother target", SKY), ("loss", "solution", GREEN))
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 4.0), sharey=True, sharex=True, layout="constrained")
    for axis, side, title in zip(axes, "qa", ("question", "answer")):
        for place, (kind, _, colour) in enumerate(kinds):
            values = _clip(pairs[f"{kind}_{side}"].dropna())
            if values.empty:
                continue
            # A fixed spread instead of a random one: the same run gives the same picture.
            offset = (np.arange(len(values)) % 9 - 4) * 0.045
            axis.scatter(values, place + offset, s=14, color=colour, alpha=0.75, linewidth=0)
            axis.plot([values.median()] * 2, [place - 0.32, place + 0.32], color=BLACK, linewidth=1.6)
        axis.set_title(f"{title}, {len(pairs)} pairs (black: median)", loc="left")
        axis.set_xscale("log")
        _plain_log(axis.xaxis)
        axis.set_xlabel("loss (nats/token)")
    axes[0].set_yticks(range(len(kinds)), [label for _, label, _ in kinds])
    axes[0].set_ylim(len(kinds) - 0.5, -0.5)
    return _finish(figure, "Solutions against baselines", note)


def gradient_conflict(pairs: pd.DataFrame, config: dict, note: str) -> Figure | None:
    """How far the gradients of question and answer oppose each other, and gate G4's corner."""
    if pairs.empty or pairs["r_d"].notna().sum() == 0:
        return None  # every run was too short for a correlation
    gates = config.get("dcm", {}).get("gates", {})
    limit_r, limit_negative = gates.get("g4_correlation", -0.3), gates.get("g4_negative", 0.5)
    figure, axis = _figure(7.6, 4.4)
    axis.axhspan(limit_negative, 1.04, xmax=(limit_r + 1.04) / 2.08, color=VERMILION, alpha=0.12, linewidth=0,
                 label="anti-correlate")
    known = pairs[pairs["r_d"].notna()]
    conflict = known["conflict"].astype(bool)
    for label, mask, colour, marker in (("pair", ~conflict, BLUE, "o"), ("pair in conflict", conflict, VERMILION, "^")):
        if mask.any():
            axis.scatter(known.loc[mask, "r_d"], known.loc[mask, "kappa_negative"], s=30, color=colour, marker=marker,
                         edgecolor="white", linewidth=0.5, label=f"{label} ({mask.sum()})")
    axis.set_xlim(-1.04, 1.04)
    axis.set_ylim(-0.04, 1.04)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.set_xlabel("$r_d$: correlation of the changes of $L_Q$ and $L_A$")
    axis.set_ylabel(r"steps with $\kappa < 0$")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _finish(figure, "Conflict between question and answer", note)
