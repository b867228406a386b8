"""Each reinforcement learning run by step, and RFT by iteration (paper §4.1, §4.2)."""

import re
from itertools import pairwise
from pathlib import Path

import pandas as pd
from matplotlib.ticker import MaxNLocator

from fofg.data.schemas import ACCURACY
from fofg.evaluation.seeds import over_seeds
from fofg.evaluation.tables import read
from fofg.report import labels, style
from fofg.report.metrics import curve, mean_rl
from fofg.report.style import PALETTE, plt

#: Metrics of a level: this and the level's number.
TRAINING, VALIDATION = "accuracy_level", "validation_accuracy_level"


def plot(accuracy: str | Path, *metrics: str | Path) -> plt.Figure:
    """Draw ``results/accuracy.parquet`` and the ``metrics.jsonl`` in each model's folder.

    A column per run, training problems above, held-out ones below; beside them RFT at the same levels, from Stage 1 on.
    """
    table = over_seeds(read(accuracy, ACCURACY), ["decoding", "level"], "accuracy")
    runs = mean_rl(metrics)
    columns = len(runs) + 1
    figure, panels = plt.subplots(2, columns, figsize=style.size(max(6.4, 1.0 + 2.75 * columns), 5.6), squeeze=False)
    for (model, steps), (top, bottom) in zip(runs.items(), panels.T):
        top.set_title(labels.label(model), loc="left")
        _training(top, steps)
        _validation(bottom, steps)
        bottom.sharex(top)
        bottom.set_xlabel("step")
    # The reward may be negative: the same lowest end for all.
    lowest = min([0.0, *(axes.dataLim.y0 for axes in panels[0][:-1])])
    for axes in panels[0][:-1]:
        axes.set_ylim(lowest - 0.03, 1.03)
    panels[0][0].set_ylabel("reward, accuracy\n(training problems)")
    panels[1][0].set_ylabel("accuracy\n(validation problems)")
    validated = {level for steps in runs.values() for level in _levels(steps, VALIDATION)}
    _iterations(panels[1][-1], table[table["level"].isin(validated)] if validated else table)
    panels[0][-1].axis("off")
    handles = style.handles(panels.flat)
    panels[0][-1].legend(handles.values(), handles, loc="center", frameon=False)
    return figure


def _levels(steps: pd.DataFrame, prefix: str) -> list[int]:
    """Return the levels that a family of metrics has, ascending."""
    return sorted(int(name.removeprefix(prefix)) for name in steps if re.fullmatch(rf"{prefix}\d+", name))


def _training(axes: plt.Axes, steps: pd.DataFrame) -> None:
    axes.plot(*curve(steps, "reward"), color=PALETTE[7], linestyle="--", linewidth=1.5, label="mean reward")
    axes.plot(*curve(steps, "accuracy"), color=PALETTE[0], linewidth=1.8, label="accuracy")
    _band(axes, steps, "accuracy", PALETTE[0])
    levels = _levels(steps, TRAINING)
    for level in levels if len(levels) > 1 else []:
        axes.plot(*curve(steps, f"{TRAINING}{level}"), **_level_curve(level), linewidth=1, label=f"Level {level}")
    trained = steps[steps["reward"].notna()]
    if "phase" in trained:
        for (before, phase), (after, next_phase) in pairwise(zip(trained["step"], trained["phase"])):
            if phase != next_phase:
                axes.axvline((before + after) / 2, color=PALETTE[7], linewidth=1, linestyle=":")
    axes.set_xlim(0, steps["step"].max() + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelbottom=False)


def _band(axes: plt.Axes, steps: pd.DataFrame, name: str, color: str) -> None:
    """Draw the range over seeds, if there are several."""
    if f"{name}_low" in steps:
        rows = steps[steps[name].notna()]
        axes.fill_between(rows["step"], rows[f"{name}_low"], rows[f"{name}_high"], color=color, alpha=0.15, linewidth=0)


def _validation(axes: plt.Axes, steps: pd.DataFrame) -> None:
    levels = _levels(steps, VALIDATION)
    for level in levels:
        line = _level_curve(level) | {"linewidth": 1.4, "label": f"Level {level}", "clip_on": False}
        axes.plot(*curve(steps, f"{VALIDATION}{level}"), **line)
        _band(axes, steps, f"{VALIDATION}{level}", line["color"])
    if not levels:
        axes.text(0.5, 0.5, "no validation\nin this run", transform=axes.transAxes, ha="center", va="center")
    _share(axes)


def _iterations(axes: plt.Axes, table: pd.DataFrame) -> None:
    """Draw accuracy by iteration and level, Stage 1 at 0; of sampled responses where there are any."""
    iterations = {"stage1-rft": 0} | {model: labels.iteration(model) + 1 for model in labels.iterations(table["model"].unique())}
    decoding = "sampled" if "sampled" in set(table["decoding"]) else "greedy"
    rows = table[table["model"].isin(iterations) & (table["decoding"] == decoding)]
    rows = rows.assign(iteration=rows["model"].map(iterations)).sort_values("iteration")
    levels = sorted(rows["level"].unique())
    for number, level in enumerate(levels):
        line, points = _level_curve(level), rows[rows["level"] == level]
        x = points["iteration"] + 0.07 * (number - (len(levels) - 1) / 2)
        style.errorbars(axes, x, points, ecolor=line["color"], elinewidth=1, alpha=0.7)
        axes.plot(x, points["accuracy"], **line, linewidth=1.4, label=f"Level {level}")
    axes.set_title("RFT (0: Stage 1), evaluation", loc="left", fontsize="medium")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("iteration")
    _share(axes)


def _level_curve(level: int) -> dict:
    return style.level_curve(level) | {"markersize": 6}


def _share(axes: plt.Axes) -> None:
    axes.set_ylim(-0.03, 1.03)
    style.percentages(axes.yaxis)
