"""Accuracy on held-out functions by rollouts: a panel per level, RL while it trains, RFT by iteration (paper §4.1, §4.2)."""

import json
from itertools import accumulate
from pathlib import Path

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fofg.data.schemas import ACCURACY
from fofg.errors import UserError
from fofg.evaluation.seeds import over_seeds
from fofg.evaluation.tables import read
from fofg.names import STAGE1
from fofg.report import labels, notes, style
from fofg.report.metrics import last_rollouts, validations
from fofg.report.style import plt

#: What RFT's iterations and the Stage-1 model that they start from are called here.
_RFT = "RFT, by iteration"


def plot(accuracy: str | Path, *files: str | Path) -> plt.Figure:
    """Draw ``results/accuracy.parquet``, the ``selection.json`` of RFT's iterations in order, and the ``metrics.jsonl`` of RL runs.

    Curves are accuracies on validation problems while a run trains; the points are the evaluation's: of Stage 1, from which all
    start, of RFT's iterations, and of each RL run's final model.
    """
    selections, metrics = ([path for path in files if Path(path).suffix == end] for end in (".json", ".jsonl"))
    curves = validations(metrics)
    drawn = dict(zip(labels.iterations_of(len(selections)), accumulate(map(_rollouts, selections))))
    points = _evaluated(accuracy, {STAGE1: 0.0, **drawn, **last_rollouts(metrics)}, set(curves["level"]))
    together, folded = notes.fold(pd.concat([curves, points]))
    levels = sorted(together["level"].unique())
    figure, panels = style.panels(len(levels), 3.1, 3.0)
    for axes, level in zip(panels.flat, levels):
        of_level = [table[table["level"] == level] for table in (curves, points)]
        _panel(axes, *of_level)
        axes.set_title(f"Level {level}", loc="left")
        axes.set_xlabel("rollouts")
    panels[0][0].set_ylabel("accuracy on held-out functions")
    style.legend_below(figure, _legend(curves, points), f"{_sizes(curves, points)} {folded}")
    return figure


def _rollouts(selection: str | Path) -> int:
    try:
        return int(json.loads(Path(selection).read_text(encoding="utf-8"))["responses"]["total"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{selection}: not a report of a selection ({error}); remove it and run again") from None


def _evaluated(accuracy: str | Path, rollouts: dict[str, float], validated: set[int]) -> pd.DataFrame:
    """Return the accuracies of models by level, of sampled responses where there are any, with a column ``rollouts``."""
    table = over_seeds(read(accuracy, ACCURACY), ["decoding", "level"], "accuracy")
    decoding = "sampled" if "sampled" in set(table["decoding"]) else "greedy"
    rows = table[table["model"].isin(rollouts) & (table["decoding"] == decoding)]
    rows = rows[rows["level"].isin(validated)] if validated else rows
    return rows.assign(rollouts=rows["model"].map(rollouts))


def _panel(axes: plt.Axes, curves: pd.DataFrame, points: pd.DataFrame) -> None:
    for model, look in _looks(curves, points).items():
        steps, evaluated = curves[curves["model"] == model], points[points["model"] == model]
        if len(steps):
            axes.plot(steps["rollouts"], steps["accuracy"], color=look.color, linestyle=look.line, linewidth=1.3)
            axes.fill_between(steps["rollouts"], steps["low"], steps["high"], color=look.color, alpha=0.08, linewidth=0)
        style.errorbars(axes, evaluated["rollouts"], evaluated, ecolor=look.color, elinewidth=1.3, alpha=0.75)
        axes.plot(evaluated["rollouts"], evaluated["accuracy"], **(look.curve() | {"linestyle": "none"}), markersize=7, zorder=3)
    rft = points[points["model"].isin([STAGE1, *labels.iterations(points["model"].unique())])].sort_values("rollouts")
    if len(rft) > 1:
        look = style.looks(rft["model"])[rft["model"].iloc[-1]]
        axes.plot(rft["rollouts"], rft["accuracy"], color=look.color, linestyle=look.line, linewidth=1.3)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count / 1000:g}k" if count >= 1000 else f"{count:g}"))
    axes.set_ylim(-0.03, 1.03)
    style.percentages(axes.yaxis)


def _looks(curves: pd.DataFrame, points: pd.DataFrame) -> dict[str, style.Look]:
    return style.looks([*points["model"].unique(), *curves["model"].unique()])


def _legend(curves: pd.DataFrame, points: pd.DataFrame) -> dict[str, Line2D]:
    """Return an entry per curriculum, one for Stage 1, and one for all iterations of RFT."""
    looks = _looks(curves, points)
    iterations = labels.iterations(looks)
    names = {model: labels.label(model) for model in looks if model not in iterations} | dict.fromkeys(iterations[-1:], _RFT)
    lines = {model: look.curve() | ({"linestyle": "none"} if model == STAGE1 else {}) for model, look in looks.items()}
    return {name: Line2D([], [], **lines[model], markersize=7, linewidth=1.3) for model, name in names.items()}


def _sizes(curves: pd.DataFrame, points: pd.DataFrame) -> str:
    """Return what curves and points are, and from how many problems."""
    measured = f"Curves: validation while RL trains, {notes.size(curves)} per level. " if len(curves) else ""
    return f"{measured}Points: the evaluation, {notes.size(points)} per level. 95% intervals."
