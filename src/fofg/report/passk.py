"""Figure of pass@k by level: a panel per level, a curve per model, bands of 95% (paper §4.4)."""

from pathlib import Path

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from fofg.config import Figures
from fofg.data.schemas import PASSK
from fofg.report import names, style
from fofg.report.reading import table
from fofg.report.style import plt


def plot(passk: str | Path, stem: str | Path, figures: Figures) -> None:
    """Draws the table of ``summarize_passk`` into ``stem.<format>``. Raises UserError if it is missing or damaged."""
    rows = table(passk, PASSK)
    style.apply(figures)
    style.save(draw(rows), stem, figures)


def draw(rows: list[dict]) -> plt.Figure:
    """pass@k over k, on a logarithmic axis of base 2."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    levels = sorted({row["level"] for row in rows})
    columns = min(3, len(levels))
    lines = -(-len(levels) // columns)
    size = style.size(max(4.6, 3.4 * columns), 0.9 + 2.7 * lines)
    figure, panels = plt.subplots(lines, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axes, level in zip(panels.flat, levels):
        mine = [row for row in rows if row["level"] == level]
        _panel(axes, mine, models)
        axes.set_title(f"Level {level} ({max(row['problems'] for row in mine)} problems)", loc="left")
    for axes in panels.flat[len(levels) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("pass@k")
    for number, axes in enumerate(panels.flat[: len(levels)]):
        axes.tick_params(labelbottom=number + columns >= len(levels))
        if number + columns >= len(levels):
            axes.set_xlabel("k (responses)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    style.legend_below(figure, dict(zip(labels, handles)))
    return figure


def _panel(axes: plt.Axes, rows: list[dict], models: list[str]) -> None:
    for model, look in style.looks(models).items():
        mine = sorted((row for row in rows if row["model"] == model), key=lambda row: row["k"])
        counts = [row["k"] for row in mine]
        low, high = [row["low"] for row in mine], [row["high"] for row in mine]
        axes.fill_between(counts, low, high, color=look.color, alpha=0.1, linewidth=0)
        for end in (low, high):
            axes.plot(counts, end, color=look.color, alpha=0.35, linewidth=0.7)
        axes.plot(counts, [row["pass_at_k"] for row in mine], **look.curve(), linewidth=1.5, markersize=6, label=names.label(model))
    axes.set_xscale("log", base=2)
    most = max((row["k"] for row in rows), default=1)
    axes.set_xlim(0.85, max(2, most) * 1.18)
    axes.xaxis.set_major_locator(LogLocator(base=4 if most > 32 else 2))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.set_ylim(-0.03, 1.03)
    style.percentages(axes.yaxis)
