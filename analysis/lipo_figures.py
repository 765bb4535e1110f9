"""The figures of a lipo report. Each function draws one figure from DataFrames and arrays, or gives None when there is
nothing to draw. `note` names config, models, data and seed, and stands in the picture."""

from __future__ import annotations

import textwrap

import libraries  # noqa: F401  (first: says which Python has them)
import numpy as np
import pandas as pd
from figures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, _figure, _finish, plt
from matplotlib.figure import Figure

COLOURS = {"hyperband": GREY, "random_latent": ORANGE, "plan_sign": VERMILION, "latent": BLUE}
SPARE = (GREEN, PURPLE, SKY, BLACK)
Z_95 = 1.959963984540054


def _legend_beside(axis: plt.Axes) -> None:
    """Where it hides no data."""
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def colour_of(arm: str, arms: list[str]) -> str:
    others = [a for a in arms if a not in COLOURS]
    return COLOURS.get(arm) or SPARE[others.index(arm) % len(SPARE)]


def error_against_calls(iterations: pd.DataFrame, start: pd.Series, note: str) -> Figure | None:
    """Lowest validation error so far against model calls, mean over repetitions, band from lowest to highest; a dot for each
    proposal's own error. Lines that lie on one another are of unequal width."""
    if iterations.empty:
        return None
    figure, axis = _figure(8.6)
    arms = list(dict.fromkeys(iterations["arm"]))
    axis.axhline(start["validation_error"], color=BLACK, linewidth=1, linestyle="--", label="Hyperband's best")
    for place, arm in enumerate(arms):
        part = iterations[iterations["arm"] == arm]
        calls = np.unique(np.concatenate([[start["calls"]], part["calls"].to_numpy()]))
        steps = []
        for _, own in part.groupby([c for c in ("seed", "run.seed") if c in part], sort=False):
            at = np.searchsorted(own["calls"].to_numpy(), calls, side="right") - 1
            steps.append(np.where(at < 0, start["validation_error"], own["best_error"].to_numpy()[np.maximum(at, 0)]))
        values = np.array(steps)
        times = f", {len(steps)} repetitions" if len(steps) > 1 else ""
        axis.step(calls, values.mean(0), where="post", color=colour_of(arm, arms), linewidth=1.4 + 1.3 * (len(arms) - 1 - place), label=arm + times)
        axis.fill_between(calls, values.min(0), values.max(0), step="post", color=colour_of(arm, arms), alpha=0.15)
        whole = part[part["asked_items"] == part["asked_items"].max()]
        axis.scatter(whole["calls"], whole["error"], s=9, color=colour_of(arm, arms), alpha=0.6)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("model calls, Hyperband's among them")
    axis.scatter([], [], s=9, color=GREY, label="a proposal's own error")
    axis.set_ylabel("lowest validation error so far")
    _legend_beside(axis)
    return _finish(figure, "Error against model calls", note)


def fidelity_ladder(hyperband: pd.DataFrame, note: str) -> Figure | None:
    """Errors of all candidates by fidelity; what is kept is filled."""
    if hyperband.empty:
        return None
    figure, axis = _figure()
    for kept, face in ((False, "none"), (True, BLUE)):
        part = hyperband[hyperband["kept"] == kept]
        axis.scatter(part["items"], part["error"], s=22, facecolor=face, edgecolor=BLUE, linewidth=0.8,
                     label="kept" if kept else "left out")
    for _, path in hyperband.groupby(["bracket", "instruction"]):
        axis.plot(path["items"], path["error"], color=GREY, linewidth=0.5, alpha=0.5, zorder=0)
    axis.set_xscale("log", base=2)
    axis.set_xticks(levels := sorted(set(hyperband["items"])), [str(level) for level in levels])
    axis.set_xlabel("items (fidelity)")
    axis.set_ylabel("error")
    axis.set_ylim(0, 1.04)
    _legend_beside(axis)
    return _finish(figure, "Hyperband: candidates by fidelity", note)


def vae_training(epochs: pd.DataFrame, quality: pd.Series, note: str) -> Figure | None:
    if epochs.empty:
        return None
    figure, axis = _figure(8.6)
    axis.plot(epochs["epoch"], epochs["reconstruction"], color=BLUE, label="training, z sampled")
    axis.plot(epochs["epoch"], epochs["held_out"], color=GREEN, label="held out, decode(mu)")
    axis.axvline(quality["best_epoch"], color=BLACK, linewidth=1, linestyle=":", label="kept")
    axis.set_xlabel("epoch")
    axis.set_ylabel("1 - cosine")
    axis.set_yscale("log")
    other = axis.twinx()
    other.plot(epochs["epoch"], epochs["kl"], color=ORANGE, linewidth=1)
    other.set_ylabel("KL, nats", color=ORANGE)
    axis.legend(loc="upper left", bbox_to_anchor=(1.12, 1.0), borderaxespad=0)
    return _finish(figure, f"Autoencoder: {quality['active_units']} of {quality['latent_dim']} units active, effective rank"
                           f" {quality['effective_rank']:.1f}", note)


def gp_calibration(iterations: pd.DataFrame, note: str) -> Figure | None:
    """Predicted against actual error of every evaluated proposal, bars of 95 %, and how many of them hold."""
    part = iterations[iterations["predicted_mean"].notna() & (iterations["wrong"] >= 0)]
    if part.empty:
        return None
    figure, axis = _figure(8.6, 5.0)
    arms = list(dict.fromkeys(part["arm"]))
    top = max(part["error"].max(), part["predicted_mean"].max()) * 1.05 + 0.01
    axis.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle="--")
    for arm in arms:
        own = part[part["arm"] == arm]
        # Latent uncertainty and the noise of a share of so many items.
        noise = own["error"] * (1 - own["error"]) / own["asked_items"]
        half = Z_95 * np.sqrt(own["predicted_std"] ** 2 + noise)
        inside = (np.abs(own["error"] - own["predicted_mean"]) <= half).mean()
        axis.errorbar(own["predicted_mean"], own["error"], xerr=Z_95 * own["predicted_std"], fmt="o", markersize=4,
                      linewidth=0.6, color=colour_of(arm, arms), label=f"{arm}: {100 * inside:.0f} % of {len(own)} inside")
    axis.set_xlabel("predicted error, 95 % of the process")
    axis.set_ylabel("actual error")
    _legend_beside(axis)
    return _finish(figure, "Calibration of the process", note)


def latent_map(latents: np.ndarray, proposals: np.ndarray, iterations: pd.DataFrame, note: str) -> Figure | None:
    """Pool and proposals on the two main axes of the pool's latents; proposals on the box are rings."""
    if len(latents) < 3 or len(proposals) != len(iterations):
        return None
    centre = latents.mean(0)
    axes = np.linalg.svd(latents - centre, full_matrices=False)[2][:2]
    figure, axis = _figure(9.2, 5.2)
    pool = (latents - centre) @ axes.T
    axis.scatter(pool[:, 0], pool[:, 1], s=8, color=GREY, alpha=0.5, label=f"pool ({len(pool)})")
    arms = list(dict.fromkeys(iterations["arm"]))
    for arm in arms:
        chosen = ((iterations["arm"] == arm) & ~np.isnan(proposals).any(1)).to_numpy()
        if not chosen.any():
            continue
        points = (proposals[chosen] - centre) @ axes.T
        bounds = iterations.loc[chosen, "active_bounds"].to_numpy()
        axis.scatter(points[:, 0], points[:, 1], s=30, facecolor=["none" if b > 0 else colour_of(arm, arms) for b in bounds],
                     edgecolor=colour_of(arm, arms))
        known = bounds[bounds >= 0]
        on_box = f": {known.mean():.1f} coordinates on the box" if len(known) else ""
        axis.scatter([], [], s=30, color=colour_of(arm, arms), label=arm + on_box)
    axis.set_xlabel("first main axis of mu")
    axis.set_ylabel("second")
    _legend_beside(axis)
    return _finish(figure, "Latent space", note)


def acquisition_trace(acquisition: pd.DataFrame, iterations: pd.DataFrame, note: str) -> Figure | None:
    """Log expected improvement by round: where the starts ended (dots) and what was proposed (line)."""
    if acquisition.empty:
        return None
    figure, axis = _figure(8.6)
    arms = list(dict.fromkeys(iterations["arm"]))
    for arm, part in acquisition.groupby("arm", sort=False):
        axis.scatter(part["round"], part["final_value"], s=6, alpha=0.35, color=colour_of(arm, arms))
        own = iterations[(iterations["arm"] == arm) & iterations["acquisition"].notna()]
        mean = own.groupby("round")["acquisition"].mean()
        axis.plot(mean.index, mean.to_numpy(), color=colour_of(arm, arms), marker="o", markersize=4, label=f"{arm}, proposed")
    axis.scatter([], [], s=6, color=GREY, label="ends of the starts")
    axis.set_xlabel("round")
    axis.set_ylabel("log expected improvement")
    _legend_beside(axis)
    return _finish(figure, "Acquisition", note)


def finalists(tested: pd.DataFrame, note: str) -> Figure | None:
    """Test errors with Wilson's intervals, a line for each text with all that ended with it."""
    if tested.empty:
        return None
    texts = tested.groupby("text", sort=False)
    figure, axis = _figure(9.6, 1.1 + 0.45 * len(texts))
    labels = []
    for place, (text, rows) in enumerate(texts):
        row = rows.iloc[0]
        fixed = rows["source"].isin(["baseline", "first_look", "hyperband_best"]).any()
        axis.errorbar(row["error"], place, xerr=[[row["error"] - row["low"]], [row["high"] - row["error"]]], fmt="o",
                      color=BLACK if fixed else BLUE)
        labels.append(textwrap.fill(", ".join(sources(rows["source"])), 60) + "\n" + _short(text))
    axis.set_yticks(range(len(labels)), labels, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlim(left=-0.02)
    axis.set_xlabel(f"error on {tested['items'].max()} untouched items, 95 %")
    return _finish(figure, "On untouched items", note)


def sources(names: pd.Series) -> list[str]:
    """"latent 0", "latent 1" as "latent (2)"; what has no repetition by itself."""
    counts = names.str.replace(r" \d+$", "", regex=True).value_counts(sort=False)
    return [f"{name} ({count})" if count > 1 else name for name, count in counts.items()]
