"""pass@k by level: a panel per level, a curve per model, bands of 95% (paper §4.4)."""

from pathlib import Path

import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from fofg.data.schemas import PASSK
from fofg.evaluation.seeds import over_seeds
from fofg.evaluation.tables import read
from fofg.report import labels, notes, style
from fofg.report.style import plt


def plot(passk: str | Path) -> plt.Figure:
    """Draw ``results/passk.parquet`` over k, on a logarithmic axis of base 2."""
    table, folded = notes.fold(over_seeds(read(passk, PASSK), ["level", "k"], "pass_at_k"), "pass_at_k")
    models, levels = table["model"].unique(), sorted(table["level"].unique())
    figure, panels = style.panels(len(levels), 3.3, 2.7)
    for number, (axes, level) in enumerate(zip(panels.flat, levels)):
        rows = table[table["level"] == level]
        _panel(axes, rows, models)
        axes.set_title(f"Level {level}\n{notes.size(rows)}", loc="left")
        lowest = number + panels.shape[1] >= len(levels)
        axes.tick_params(labelbottom=lowest)
        if lowest:
            axes.set_xlabel("k (responses)")
    for axes in panels[:, 0]:
        axes.set_ylabel("pass@k")
    style.legend_below(figure, style.handles([panels[0][0]]), f"Bands: 95% intervals. {folded}")
    return figure


def _panel(axes: plt.Axes, rows: pd.DataFrame, models: list[str]) -> None:
    for model, look in style.looks(models).items():
        curve = rows[rows["model"] == model].sort_values("k")
        axes.fill_between(curve["k"], curve["low"], curve["high"], color=look.color, alpha=0.1, linewidth=0)
        for end in ("low", "high"):
            axes.plot(curve["k"], curve[end], color=look.color, alpha=0.35, linewidth=0.7)
        axes.plot(curve["k"], curve["pass_at_k"], **look.curve(), linewidth=1.5, markersize=6, label=labels.label(model))
    axes.set_xscale("log", base=2)
    largest = rows["k"].max()
    axes.set_xlim(0.85, max(2, largest) * 1.18)
    axes.xaxis.set_major_locator(LogLocator(base=4 if largest > 32 else 2))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.set_ylim(-0.03, 1.03)
    style.percentages(axes.yaxis)
