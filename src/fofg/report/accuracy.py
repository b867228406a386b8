"""Figure of accuracy before and after: a panel for visible and one for hidden definitions, a bar per model and level."""

from pathlib import Path

from fofg.config import Figures
from fofg.evaluation.accuracy import DEFINITIONS, Accuracy, read_csv
from fofg.report import names, style
from fofg.report.style import PALETTE, plt

_GREY = PALETTE[-1]


def plot(accuracy: str | Path, stem: str | Path, figures: Figures) -> None:
    """Draws the table of ``summarize_accuracy`` into ``stem.<format>``. Raises UserError if it is missing or damaged."""
    table = read_csv(accuracy)
    models = list(dict.fromkeys(row.model for row in table))
    levels = sorted({row.level for row in table})
    shown = [definitions for definitions in DEFINITIONS if any(row.definitions == definitions for row in table)]
    style.apply(figures)
    width = 1.2 + len(shown) * (1.0 + 0.75 * len(models) * len(levels))
    figure, panels = plt.subplots(1, len(shown), figsize=(max(5.5, width), 3.8), sharey=True, squeeze=False)
    for axes, definitions in zip(panels[0], shown):
        rows = [row for row in table if row.definitions == definitions]
        _panel(axes, rows, models, levels)
        axes.set_title(f"definitions {definitions}{_trained(rows)}", loc="left")
    panels[0][0].set_ylabel("accuracy")
    panels[0][-1].legend(*panels[0][0].get_legend_handles_labels(), frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    style.save(figure, stem, figures)


def _trained(rows: list[Accuracy]) -> str:
    """Say how many test problems are training problems, if any."""
    counts = {row.level: (row.trained, row.problems) for row in rows}
    trained, problems = map(sum, zip(*counts.values()))
    return f"\n{trained} of {problems} in training" if trained else ""


def _panel(axes: plt.Axes, rows: list[Accuracy], models: list[str], levels: list[int]) -> None:
    share = 0.8 / len(models)
    for number, (model, look) in enumerate(style.looks(models).items()):
        mine = [row for row in rows if row.model == model]
        places = [levels.index(row.level) + (number - (len(models) - 1) / 2) * share for row in mine]
        heights = [row.accuracy for row in mine]
        reach = [[row.accuracy - row.low for row in mine], [row.high - row.accuracy for row in mine]]
        axes.bar(places, heights, 0.9 * share, color=look.color, label=names.label(model))
        axes.errorbar(places, heights, reach, fmt="none", ecolor=_GREY, elinewidth=1.5, capsize=4)
        for place, row in zip(places, mine):
            axes.annotate(f"{row.accuracy:.0%}", (place, row.high), (0, 4), textcoords="offset points", ha="center")
    axes.set_xticks(range(len(levels)), [f"Level {level}" for level in levels])
    axes.set_xlim(-0.6, len(levels) - 0.4)
    axes.set_ylim(0, 1.12)
    style.percentages(axes.yaxis)
    axes.grid(axis="x", visible=False)
