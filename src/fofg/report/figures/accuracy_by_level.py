"""Accuracy on held-out functions by level and model: a panel per decoding, points with 95% intervals (paper §4.1, §4.2)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from fofg.data.schemas import ACCURACY
from fofg.evaluation.seeds import over_seeds
from fofg.evaluation.tables import read
from fofg.report import labels, notes, paper, style
from fofg.report.paper import Published
from fofg.report.style import plt

#: Width that the models of a level share; neighboring levels are 1 apart.
_SPREAD = 0.62
_HOLLOW: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "none", "markersize": 8}


def plot(
    accuracy: str | Path,
    label: Callable[[str], str] | None = None,
    measured: str = "accuracy on held-out functions",
    level: str = "level",
    published: Sequence[Published] = paper.ACCURACY,
) -> plt.Figure:
    """Draw ``results/accuracy.parquet``. Of RFT's iterations only the last is shown, unless ``label`` says what models are called.

    ``measured``, ``level``: titles of the axes; ``published``: the paper's points, drawn where responses are sampled.
    """
    table = over_seeds(read(accuracy, ACCURACY), ["decoding", "level"], "accuracy")
    shown = {model: label(model) for model in table["model"].unique()} if label else labels.compared(table["model"])
    return draw(table, "decoding", shown, measured, level, published)


def draw(
    table: pd.DataFrame,
    column: str,
    shown: dict[str, str],
    measured: str,
    level: str,
    published: Sequence[Published] = (),
) -> plt.Figure:
    """Draw a panel of accuracy by level per value of ``column``; ``shown``: label of each model."""
    table, folded = notes.fold(table[table["model"].isin(shown)], name=level)
    levels, values = sorted(table["level"].unique()), table[column].unique()
    points = notes.published(published if style.shows_published() else (), shown)
    size = style.size(max(4.6, 1.2 + 0.62 * len(levels)) * len(values), 4.6)
    figure, panels = plt.subplots(1, len(values), figsize=size, sharey=True, squeeze=False)
    for axes, value in zip(panels[0], values):
        rows = table[table[column] == value]
        panel(axes, rows, shown, levels, points if value == "sampled" else {})
        axes.set_title(f"{value}: {notes.size(rows)}", loc="left")
        axes.set_xlabel(level)
    panels[0][0].set_ylabel(measured)
    handles = style.handles(panels[0])
    entries = {label: handles[label] for label in shown.values() if label in handles}
    if points and "sampled" in values:
        entries[paper.PAPER] = Line2D([], [], marker="o", markeredgecolor="black", **_HOLLOW)
    style.legend_below(figure, entries, f"Problems per level; bars are 95% intervals. {folded}")
    return figure


def panel(
    axes: plt.Axes, rows: pd.DataFrame, shown: dict[str, str], levels: list[int], points: dict[str, dict[int, float]]
) -> None:
    """Draw accuracy by level with 95% intervals, a curve per model of ``shown``, and hollow points: model -> level -> share."""
    step = _SPREAD / max(1, len(shown) - 1)
    for number, (model, look) in enumerate(style.looks(shown).items()):
        curve = rows[rows["model"] == model].sort_values("level")
        if curve.empty:
            continue
        offset = number * step - _SPREAD / 2
        x = [levels.index(level) + offset for level in curve["level"]]
        style.errorbars(axes, x, curve, ecolor=look.color, elinewidth=1.3, alpha=0.75)
        axes.plot(x, curve["accuracy"], **look.curve(), linewidth=1.1, markersize=7, label=shown[model], zorder=3)
        theirs = {levels.index(level) + offset: share for level, share in points.get(model, {}).items() if level in levels}
        if theirs:
            axes.plot([*theirs], [*theirs.values()], marker=look.marker, markeredgecolor=look.color, zorder=4, **_HOLLOW)
    for index in range(0, len(levels), 2):
        axes.axvspan(index - 0.5, index + 0.5, color="black", alpha=0.04, linewidth=0)
    axes.set_xticks(range(len(levels)), [str(level) for level in levels])
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set_ylim(-0.03, 1.03)
    style.percentages(axes.yaxis)
    axes.grid(axis="x", visible=False)
