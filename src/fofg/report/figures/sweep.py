"""Accuracy by level at every point of a sweep: a panel per point, with 95% intervals."""

from math import ceil
from pathlib import Path

import pandas as pd

from fofg.evaluation.seeds import over_seeds
from fofg.evaluation.sweep import COLUMNS
from fofg.report import labels, notes, style
from fofg.report.figures.accuracy_by_level import panel
from fofg.report.style import plt

#: Panels side by side, unless the last swept key has more values.
_COLUMNS = 3


def plot(csv: str | Path) -> plt.Figure:
    """Draw ``results/sweep.csv``, averaged over seeds; a row of panels per value of all swept keys but the last, if it has several.

    Of RFT's iterations only the last is shown.
    """
    swept = [column for column in pd.read_csv(csv, nrows=0) if column not in COLUMNS]
    table = pd.read_csv(csv, dtype=dict.fromkeys(swept, str), keep_default_na=False)
    titles = [*swept, *(["dataset"] if table["dataset"].nunique() > 1 else [])]
    table["panel"] = ["\n".join(_line(key, value) for key, value in zip(titles, row)) for row in table[titles].to_numpy()]
    rows = over_seeds(table, ["panel", "level"], "accuracy")
    columns = table[titles[-1]].nunique() if len(titles) > 1 else min(_COLUMNS, table["panel"].nunique())
    return _draw(rows, labels.compared(rows["model"]), columns, len(titles))


def _draw(table: pd.DataFrame, shown: dict[str, str], columns: int, lines: int) -> plt.Figure:
    """Draw the panels, ``columns`` in a row, whose titles have ``lines`` lines."""
    table, folded = notes.fold(table[table["model"].isin(shown)])
    levels, values = sorted(table["level"].unique()), list(table["panel"].unique())
    height = ceil(len(values) / columns)
    size = style.size(max(6.4, columns * max(2.6, 0.7 + 0.4 * len(levels))), 1.4 + height * (2.3 + 0.2 * lines))
    figure, panels = plt.subplots(height, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axes, value in zip(panels.flat, values):
        panel(axes, table[table["panel"] == value], shown, levels, {})
        axes.set_title(value, loc="left", fontsize="medium")
        axes.set_xlabel("level")
    for axes in panels.flat[len(values) :]:
        axes.remove()
    for axes in panels[:, 0]:
        axes.set_ylabel("accuracy")
    handles = style.handles(panels.flat[: len(values)])
    entries = {label: handles[label] for label in shown.values() if label in handles}
    style.legend_below(figure, entries, f"{notes.size(table)} per level; bars are 95% intervals. {folded}")
    return figure


def _line(key: str, value: str) -> str:
    """Return a line of a panel's title; a key is named by its last parts, with its stage."""
    parts = key.split(".")
    return value if key == "dataset" else f"{' '.join(parts if len(parts) < 3 else (parts[0], *parts[-2:]))}: {value}"
