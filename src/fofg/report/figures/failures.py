"""Why responses are wrong: shares of each class, stacked, a panel per level and a bar per model (paper §4.5)."""

from itertools import cycle
from pathlib import Path

import pandas as pd
from matplotlib.patches import Patch

from fofg.data.schemas import FAILURE_SHARES
from fofg.evaluation.accuracy import wilson
from fofg.evaluation.failures import mean_shares
from fofg.evaluation.tables import read
from fofg.report import labels, style
from fofg.report.style import PALETTE, plt

#: Face color and hatch of the classes in the table's order, success first: neighbors differ in lightness, hatches in grayscale.
LOOKS = (
    (PALETTE[5], ""),
    (PALETTE[6], "xxx"),
    (PALETTE[4], "\\\\\\"),
    ("#F7E7A1", "..."),
    (PALETTE[1], "///"),
    ("#D9D9D9", ""),
    ("#FFFFFF", "---"),
)
#: Narrower parts have no room for their number.
_READABLE = 0.075


def plot(failures: str | Path) -> plt.Figure:
    """Draw ``results/failures.parquet``, models and classes in the table's order."""
    table = mean_shares(read(failures, FAILURE_SHARES))
    models, levels = list(table["model"].unique()), sorted(table["level"].unique())
    looks = dict(zip(table["failure"].unique(), cycle(LOOKS)))
    size = style.size(max(7.2, 2.0 + 2.6 * len(levels)), 1.7 + 0.42 * len(models))
    figure, panels = plt.subplots(1, len(levels), figsize=size, sharey=True, squeeze=False)
    for axes, level in zip(panels[0], levels):
        _panel(axes, table[table["level"] == level], models, looks)
        axes.set_title(f"Level {level}", loc="left")
    panels[0][0].set_yticks(range(len(models)), [labels.label(model) for model in models])
    panels[0][0].invert_yaxis()
    figure.set_layout_engine("constrained", wspace=0.05)
    figure.supxlabel(f"share of sampled responses\n{_size(table)}", fontsize=plt.rcParams["font.size"])
    occurring = set(table.loc[table["responses"] > 0, "failure"])
    patches = [
        Patch(facecolor=color, hatch=hatch, edgecolor="black", linewidth=0.6, label=name.replace("_", " "))
        for name, (color, hatch) in looks.items()
        if name in occurring
    ]
    figure.legend(handles=patches, loc="outside upper center", ncols=4 if len(levels) < 3 else 7, frameon=False, handleheight=1.2)
    return figure


def _size(table: pd.DataFrame) -> str:
    """Return the responses per bar, and how wide the interval of a share is; wider where several responses share a problem."""
    counts = table.groupby(["model", "level"])["responses"].sum()
    low, high = wilson(0.5, counts.min())
    number = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,}–{counts.max():,}"
    return f"{number} responses per bar; a share of 50% has a 95% interval of at least ±{50 * (high - low):.0f} points"


def _panel(axes: plt.Axes, rows: pd.DataFrame, models: list[str], looks: dict[str, tuple[str, str]]) -> None:
    shares = rows.pivot_table(index="model", columns="failure", values="share", observed=True).reindex(models).fillna(0.0)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    starts = [0.0] * len(models)
    for name, (color, hatch) in looks.items():
        widths = shares[name].tolist()
        axes.barh(range(len(models)), widths, 0.74, starts, color=color, hatch=hatch, edgecolor="black", linewidth=0.6)
        for y, (start, width) in enumerate(zip(starts, widths)):
            if width >= _READABLE:
                text = axes.text(start + width / 2, y, f"{100 * width:.0f}", ha="center", va="center", fontsize="small")
                text.set_bbox(box)
        starts = [start + width for start, width in zip(starts, widths)]
    axes.set_xlim(0, 1)
    style.percentages(axes.xaxis)
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
