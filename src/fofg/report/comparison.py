"""Figure of the main comparison: accuracy on held-out functions by level and model, a panel a decoding (paper §4.1, §4.2)."""

from pathlib import Path

from fofg.config import Figures
from fofg.data.schemas import ACCURACY
from fofg.report import names, style
from fofg.report.reading import table
from fofg.report.style import Look, plt

DECODINGS = ("sampled", "greedy")
#: Width that the models of a level share; neighboring levels are 1 apart.
_SPREAD = 0.62


def plot(accuracy: str | Path, stem: str | Path, figures: Figures) -> None:
    """Draws the table of ``summarize_evaluation`` into ``stem.<format>``. Raises UserError if it is missing or damaged."""
    rows = table(accuracy, ACCURACY)
    style.apply(figures)
    style.save(draw(rows), stem, figures)


def draw(rows: list[dict]) -> plt.Figure:
    """Points with 95% intervals, side by side within a level. Of RFT's iterations only the last is shown."""
    labels = names.compared(row["model"] for row in rows)
    levels = sorted({row["level"] for row in rows})
    shown = [decoding for decoding in DECODINGS if any(row["decoding"] == decoding for row in rows)]
    width = max(4.6, 1.2 + 0.62 * len(levels))
    figure, panels = plt.subplots(1, len(shown), figsize=style.size(width * len(shown), 4.4), sharey=True, squeeze=False)
    for axes, decoding in zip(panels[0], shown):
        mine = [row for row in rows if row["decoding"] == decoding and row["model"] in labels]
        _panel(axes, mine, labels, levels)
        axes.set_title(_title(decoding, mine), loc="left")
    panels[0][0].set_ylabel("accuracy on held-out functions")
    handles = {handle.get_label(): handle for axes in panels[0] for handle in axes.get_legend_handles_labels()[0]}
    style.legend_below(figure, {label: handles[label] for label in labels.values() if label in handles})
    return figure


def _title(decoding: str, rows: list[dict]) -> str:
    """How many problems per level and responses per problem stand behind a panel."""
    problems = {row["problems"] for row in rows}
    samples = max(round(row["samples"] / row["problems"]) for row in rows)
    count = f"{min(problems)}" if len(problems) == 1 else f"{min(problems)}–{max(problems)}"
    how = f"{decoding} (avg@{samples})" if decoding == "sampled" else decoding
    return f"{how}, {count} problems per level"


def _panel(axes: plt.Axes, rows: list[dict], labels: dict[str, str], levels: list[int]) -> None:
    step = _SPREAD / max(1, len(labels) - 1)
    for number, (model, look) in enumerate(style.looks(labels).items()):
        mine = sorted((row for row in rows if row["model"] == model), key=lambda row: row["level"])
        if mine:
            _curve(axes, mine, levels, number * step - _SPREAD / 2, look, labels[model])
    for place in range(0, len(levels), 2):
        axes.axvspan(place - 0.5, place + 0.5, color="black", alpha=0.04, linewidth=0)
    axes.set_xticks(range(len(levels)), [str(level) for level in levels])
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set_xlabel("level")
    axes.set_ylim(-0.03, 1.03)
    style.percentages(axes.yaxis)
    axes.grid(axis="x", visible=False)


def _curve(axes: plt.Axes, rows: list[dict], levels: list[int], shift: float, look: Look, label: str) -> None:
    places = [levels.index(row["level"]) + shift for row in rows]
    heights = [row["accuracy"] for row in rows]
    reach = [[row["accuracy"] - row["low"] for row in rows], [row["high"] - row["accuracy"] for row in rows]]
    axes.errorbar(places, heights, reach, fmt="none", ecolor=look.color, elinewidth=1.3, alpha=0.75)
    axes.plot(places, heights, **look.curve(), linewidth=1.1, markersize=7, label=label, zorder=3)
