"""The figures of a verifier report. Each function draws one figure from DataFrames, or gives None when there is nothing
to draw. `note` names config, models, data and seed, and stands in the picture."""

from __future__ import annotations

import libraries  # noqa: F401  (first: says which Python has them)
import numpy as np
import pandas as pd
from figures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, _figure, _finish, plt
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

ARM_COLOURS = {"ouroboros": BLUE, "generator": GREEN, "likelihood": SKY}
LOSS_STYLES = ["-", "--", ":", "-."]


def _families(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return sorted(set(zip(frame["arm"], frame["loss"])))


def energy_histograms(candidates: pd.DataFrame, note: str) -> Figure | None:
    """Energies of passing and failing test candidates under the chosen model."""
    test = candidates[candidates["split"] == "test"]
    if test.empty:
        return None
    figure, axis = _figure()
    low, high = float(test["energy"].min()), float(test["energy"].max())
    bins = np.linspace(min(0.0, low), max(1.0, high), 41)
    for passes, colour, name in ((True, BLUE, "pass"), (False, VERMILION, "fail")):
        energies = test.loc[(test["verdict"] == "PASS") == passes, "energy"]
        axis.hist(energies, bins, color=colour, alpha=0.55, label=f"{name} ({len(energies)})")
    axis.set_xlabel("energy of the chosen model (low: should pass)")
    axis.set_ylabel("test candidates")
    axis.legend()
    return _finish(figure, "Energies of passing and failing programs", note)


def reliability(candidates: pd.DataFrame, bins: int, note: str) -> Figure | None:
    """Share that passes against 1 - energy, in bins of equal width."""
    test = candidates[candidates["split"] == "test"]
    if test.empty or test["energy"].min() < 0 or test["energy"].max() > 1:
        return None
    confidence = 1 - test["energy"].to_numpy()
    passes = (test["verdict"] == "PASS").to_numpy()
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(6.0, 5.6), sharex=True, height_ratios=(3, 1),
                                          layout="constrained")
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="calibrated")
    error = 0.0
    for b in range(bins):
        inside = place == b
        if not inside.any():
            continue
        rate, mean = passes[inside].mean(), confidence[inside].mean()
        error += inside.sum() * abs(rate - mean) / len(test)
        upper.plot(mean, rate, "o", color=BLUE, markersize=6)
        lower.bar((b + 0.5) / bins, inside.sum(), width=0.9 / bins, color=SKY)
    upper.set_ylabel("share that passes")
    upper.set_ylim(-0.02, 1.02)
    upper.set_title(f"expected calibration error {error:.3f} over {len(test)} test candidates", loc="left")
    upper.legend(loc="upper left")
    lower.set_xlabel("1 − energy")
    lower.set_ylabel("candidates")
    return _finish(figure, "Reliability", note)


def pass_at_1(metrics: pd.DataFrame, subset: str, note: str) -> Figure | None:
    """Every selector with its 95 % interval, between random and oracle."""
    rows = metrics[(metrics["metric"] == "pass_at_1") & (metrics["subset"] == subset)]
    if rows.empty:
        return None
    random = rows[rows["selector"] == "random"].iloc[0]
    oracle = rows[rows["selector"] == "oracle"].iloc[0]
    shown = rows[~rows["selector"].isin(["random", "oracle"])].sort_values("value")
    names = [f"{r.selector} {r.arm} {r.loss}".strip() for r in shown.itertuples()]
    figure, axis = _figure(8.0, 1.4 + 0.34 * len(shown))
    colours = [VERMILION if r.selector == "prompt_blind" else ARM_COLOURS.get(r.arm, GREY) for r in shown.itertuples()]
    places = np.arange(len(shown))
    for place, row, colour in zip(places, shown.itertuples(), colours):
        axis.plot([row.low, row.high], [place, place], color=colour, linewidth=1.6)
        axis.plot(row.value, place, "o", color=colour, markersize=6)
    axis.axvspan(random.low, random.high, color=GREY, alpha=0.15, linewidth=0)
    axis.axvline(random.value, color=BLACK, linewidth=1, linestyle="--", label=f"random {random.value:.3f}")
    axis.axvline(oracle.value, color=PURPLE, linewidth=1, label=f"oracle {oracle.value:.3f}")
    axis.set_yticks(places, names)
    axis.set_xlabel("pass@1 (bootstrap over problems and training seeds, 95 %)")
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    axis.set_ylim(-0.7, len(shown) + 0.6)
    kind = "test problems" if subset == "all" else "test problems where the choice matters"
    return _finish(figure, f"What each selector picks: {random.problems} {kind}", note)


def training_curves(training: pd.DataFrame, note: str) -> Figure | None:
    """Loss and validation accuracy of every training; the dot is the step that is used."""
    if training.empty:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.0), layout="constrained")
    losses = sorted(set(training["loss"]))
    for (arm, loss, _seed), curve in training.groupby(["arm", "loss", "seed"]):
        colour, style = ARM_COLOURS.get(arm, ORANGE), LOSS_STYLES[losses.index(loss) % len(LOSS_STYLES)]
        label = f"{arm} {loss}" if _seed == 0 else None
        left.plot(curve["step"], curve["training_loss"].rolling(5, min_periods=1).mean(), color=colour, linestyle=style,
                  linewidth=1, alpha=0.8, label=label)
        measured = curve.dropna(subset=["validation_accuracy"])
        right.plot(measured["step"], measured["validation_accuracy"], color=colour, linestyle=style, linewidth=1.2)
        used = curve[curve["best"].astype(bool)]
        right.plot(used["step"], used["validation_accuracy"], "o", color=colour, markersize=5)
    right.axhline(0.5, color=GREY, linewidth=1, linestyle="--")
    left.set_xlabel("step")
    left.set_ylabel("training loss (mean of 5 steps)")
    left.legend()
    right.set_xlabel("step")
    right.set_ylabel("validation pairwise accuracy")
    return _finish(figure, "Training", note)


def length_bias(candidates: pd.DataFrame, note: str) -> Figure | None:
    """Energy against the length of the program, each less its problem's mean."""
    test = candidates[candidates["split"] == "test"]
    if test.empty:
        return None
    length = test["program"].str.encode("utf-8").str.len()
    groups = test["problem_id"]
    x = length - length.groupby(groups).transform("mean")
    y = test["energy"] - test["energy"].groupby(groups).transform("mean")
    figure, axis = _figure()
    for passes, colour, name in ((False, VERMILION, "fail"), (True, BLUE, "pass")):
        chosen = (test["verdict"] == "PASS") == passes
        axis.plot(x[chosen], y[chosen], ".", color=colour, alpha=0.35, markersize=4, label=name)
    correlation = float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else float("nan")
    reach = float(np.quantile(np.abs(x), 0.99)) or 1.0
    axis.set_xlim(-1.05 * reach, 1.05 * reach)
    axis.set_xlabel("bytes of the program, less the mean of its problem")
    axis.set_ylabel("energy, less the mean of its problem")
    axis.set_title(f"correlation within problems {correlation:+.2f}", loc="left")
    axis.legend()
    return _finish(figure, "Length bias", note)
