"""The figures of a grpo report. Each function draws one figure from DataFrames, or gives None when there is nothing to
draw. `note` names config, model and seed, and stands in the picture."""

from __future__ import annotations

import libraries  # noqa: F401  (first: says which Python has them)
import numpy as np
import pandas as pd
from figures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, _finish, plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

ARM_COLOURS = {"vanilla": BLACK, "projected": BLUE, "projected_lora": VERMILION, "vanilla_lora": ORANGE,
               "projected_update": GREEN, "projected_moments": PURPLE, "projected_sgd": SKY, "random": ORANGE,
               "advantage": GREEN, "projected_reverse": VERMILION}
POOLS = ("teacher_pool", "base_pool")


def _colour(arm: str) -> str:
    return ARM_COLOURS.get(arm, GREY)


def _panels(count: int, width: float = 5.6, height: float = 3.6) -> tuple[Figure, list]:
    figure, axes = plt.subplots(1, count, figsize=(width * count, height), squeeze=False, layout="constrained")
    return figure, list(axes[0])


def trajectories(steps: pd.DataFrame, nulls: pd.DataFrame, measure: str, note: str) -> Figure | None:
    """A step's cosine in every arm, one panel for each pass, with the band of two deviations of the random null."""
    passes = list(dict.fromkeys(steps["pass"]))
    if not passes:
        return None
    figure, axes = _panels(len(passes))
    for axis, name in zip(axes, passes):
        part = steps[(steps["pass"] == name) & ~steps["skipped"]]
        for arm, rows in part.groupby("arm", sort=False):
            axis.plot(rows["step"], rows[measure], color=_colour(arm), marker="o", markersize=3, label=arm)
            random = nulls[(nulls["pass"] == name) & (nulls["arm"] == arm) & (nulls["kind"] == "random")]
            if random.empty:
                continue
            by_step = random.groupby("step")[measure]
            mean, deviation = by_step.mean(), by_step.std()
            axis.fill_between(mean.index, mean - 2 * deviation, mean + 2 * deviation, color=_colour(arm), alpha=0.12,
                              linewidth=0)
        axis.axhline(0, color=GREY, linewidth=0.8)
        axis.set_title(f"pass {name}", loc="left")
        axis.set_xlabel("step")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylabel(measure)
        axis.legend(fontsize=8)
    return _finish(figure, f"{measure} by step; bands: random directions, mean and two deviations", note)


def _bucket_name(pool: str, hacked: bool, passes: bool) -> str:
    return f"{pool.removesuffix('_pool')}\n{'hack' if hacked else 'no hack'}\n{'passes' if passes else 'fails'}"


def buckets(samples: pd.DataFrame, measure: str, note: str) -> Figure | None:
    """Every sample of the frozen pass by where it came from and what it did; empty buckets keep their place."""
    part = samples[samples["arm"].isin(["vanilla", "projected_lora"])]
    part = part[part["pass"] == ("frozen" if (part["pass"] == "frozen").any() else "trained")]
    arms = list(dict.fromkeys(part["arm"]))
    if part.empty:
        return None
    random = np.random.default_rng(0)
    figure, axes = _panels(len(arms), width=6.4)
    for axis, arm in zip(axes, arms):
        rows = part[part["arm"] == arm]
        names = []
        for place, (pool, hacked, passes) in enumerate((p, h, g) for p in POOLS for h in (True, False) for g in (False, True)):
            values = rows.loc[(rows["src_pool"] == pool) & (rows["hacked"] == hacked) & (rows["gt_pass"] == passes), measure]
            values = values.dropna()
            names.append(f"{_bucket_name(pool, hacked, passes)}\nn={len(values)}")
            colour = VERMILION if hacked else BLUE
            axis.plot(place + random.uniform(-0.2, 0.2, len(values)), values, ".", color=colour, alpha=0.5, markersize=5)
            if len(values):
                axis.plot([place - 0.3, place + 0.3], [values.mean()] * 2, color=BLACK, linewidth=2)
        axis.axhline(0, color=GREY, linewidth=0.8)
        axis.set_xticks(range(len(names)), names, fontsize=7)
        axis.set_ylabel(measure)
        axis.set_title(arm, loc="left")
    return _finish(figure, f"{measure} of each sample by pool, hack and pass; bars: means", note)


def fired_by_type(types: pd.DataFrame, note: str) -> Figure | None:
    """Share of modules that fired, and their cosine, by type of module."""
    part = types[types["arm"].isin(["vanilla", "projected_lora"])]
    if part.empty:
        return None
    part = part[part["pass"] == part["pass"].iloc[-1]]
    figure, axes = _panels(2)
    for axis, measure in zip(axes, ("frac_fired", "cos_in")):
        table = part.groupby(["type", "arm"], sort=False)[measure].mean().unstack()
        width = 0.8 / len(table.columns)
        for i, arm in enumerate(table.columns):
            axis.bar(np.arange(len(table)) + i * width, table[arm], width, color=_colour(arm), label=arm)
        axis.set_xticks(np.arange(len(table)) + 0.4 - width / 2, [t.removesuffix("_proj") for t in table.index], fontsize=8)
        axis.set_ylabel(f"{measure}, mean over steps")
        axis.legend(fontsize=8)
    return _finish(figure, "Modules by type", note)


def leak(steps: pd.DataFrame, nulls: pd.DataFrame, note: str) -> Figure | None:
    """What the optimiser's update carries along the directions, though the gradient was projected."""
    part = steps[(steps["pass"] == "trained") & steps["leak"].notna()]
    if part.empty:
        return None
    figure, axes = _panels(1, width=7)
    for arm, rows in part.groupby("arm", sort=False):
        axes[0].plot(rows["step"], rows["leak"], color=_colour(arm), marker="o", markersize=3, label=arm)
    random = nulls[(nulls["pass"] == "trained") & (nulls["arm"] == "vanilla") & (nulls["kind"] == "random")]
    if not random.empty:
        mean, deviation = random["cos_in"].mean(), random.groupby("draw")["cos_in"].mean().std()
        axes[0].axhspan(mean - 2 * deviation, mean + 2 * deviation, color=GREY, alpha=0.25, label="random directions")
    axes[0].set_xlabel("step")
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel("|relu(V(-D))| / |D|")
    axes[0].legend(fontsize=8)
    return _finish(figure, "Leak of the update D along the hack directions", note)


def sweep_curves(steps: pd.DataFrame, measures: tuple[str, ...], note: str, nulls: tuple[str, ...] = ()) -> Figure | None:
    """Each measure by step: a thin line for each seed, the arm's mean over seeds thick; `nulls`: columns drawn dotted beside."""
    if steps[list(measures)].isna().all().all():
        return None
    figure, axes = _panels(len(measures))
    for place, (axis, measure) in enumerate(zip(axes, measures)):
        for arm, rows in steps.groupby("arm", sort=False):
            by_seed = rows.pivot(index="step", columns="seed", values=measure)
            axis.plot(by_seed.index, by_seed, color=_colour(arm), alpha=0.35, linewidth=0.9)
            axis.plot(by_seed.index, by_seed.mean(axis=1), color=_colour(arm), linewidth=2.2, label=arm)
            if nulls:
                random = rows.groupby("step")[nulls[place]].mean()
                axis.plot(random.index, random, color=_colour(arm), linewidth=1.2, linestyle=":")
        if steps[measure].min() < 0:
            axis.axhline(0, color=GREY, linewidth=0.8)
        else:
            axis.set_ylim(bottom=0)
        axis.set_xlabel("update")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylabel({"hack_of_attempts": "P(strict hack | attempt)", "tokens": "tokens of a completion",
                         "kl": "K3, nats a token"}.get(measure, measure))
        axis.legend(fontsize=8)
    return _finish(figure, f"{' and '.join(measures)} by update; thin: seeds, thick: mean" + ("; dotted: random" if nulls else ""), note)


def sweep_differences(runs: pd.DataFrame, note: str) -> Figure | None:
    """Matched differences from the first arm, one dot for each seed, bars at the mean."""
    first = runs["arm"].iloc[0]
    arms = [arm for arm in dict.fromkeys(runs["arm"]) if arm != first]
    if not arms:
        return None
    figure, axes = _panels(2)
    for axis, measure in zip(axes, ("strict_hack", "gt_pass")):
        rates = runs.pivot(index="seed", columns="arm", values=measure)
        for place, arm in enumerate(arms):
            values = (rates[arm] - rates[first]).dropna()
            axis.plot([place] * len(values), values, "o", color=_colour(arm), markersize=6, alpha=0.7)
            if len(values):
                axis.plot([place - 0.25, place + 0.25], [values.mean()] * 2, color=BLACK, linewidth=2)
        axis.axhline(0, color=GREY, linewidth=0.8)
        axis.set_xlim(-0.6, len(arms) - 0.4)
        axis.set_xticks(range(len(arms)), arms, fontsize=8)
        axis.set_ylabel(f"{measure} less {first}'s")
    return _finish(figure, f"Last five steps against {first}, seed by seed; bars: means", note)
