"""Accuracy before and after Stage 1: a panel for visible and one for hidden definitions, a bar per model and level."""

from pathlib import Path

import pandas as pd

from fofg.errors import UserError
from fofg.evaluation.seeds import over_seeds
from fofg.report import labels, notes, style
from fofg.report.style import PALETTE, plt


def plot(accuracy: str | Path) -> plt.Figure:
    """Draw ``results/stage1_accuracy.csv``."""
    table = over_seeds(_read(accuracy), ["definitions", "level"], "accuracy")
    models, levels, shown = table["model"].unique(), sorted(table["level"].unique()), table["definitions"].unique()
    width = 1.2 + len(shown) * (1.0 + 0.75 * len(models) * len(levels))
    figure, panels = plt.subplots(1, len(shown), figsize=(max(5.5, width), 3.8), sharey=True, squeeze=False)
    for axes, definitions in zip(panels[0], shown):
        rows = table[table["definitions"] == definitions]
        _panel(axes, rows, models, levels)
        axes.set_title(f"definitions {definitions}\n{notes.size(rows)}{_trained(rows)}", loc="left")
    panels[0][0].set_ylabel("accuracy")
    legend = {"title": "bars: 95% intervals", "loc": "upper left", "bbox_to_anchor": (1, 1), "frameon": False}
    panels[0][-1].legend(*panels[0][0].get_legend_handles_labels(), **legend)
    return figure


def _read(path: str | Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
        columns = ["model", "definitions", "level", "accuracy", "low", "high", "problems", "samples", "trained", "seed"]
        if table[columns].dropna().empty:
            raise ValueError("no row in it")
        return table.astype({"level": int, "accuracy": float, "low": float, "high": float, "problems": int, "trained": int})
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: no table of accuracies ({error}); remove it and run again") from None


def _trained(rows: pd.DataFrame) -> str:
    """Return a note on the test problems that are also training problems, if any."""
    levels = rows.drop_duplicates("level")
    trained, problems = levels["trained"].sum(), levels["problems"].sum()
    return f"\n{trained} of {problems} in training" if trained else ""


def _panel(axes: plt.Axes, rows: pd.DataFrame, models: list[str], levels: list[int]) -> None:
    width = 0.8 / len(models)
    for number, (model, look) in enumerate(style.looks(models).items()):
        bars = rows[rows["model"] == model]
        x = [levels.index(level) + (number - (len(models) - 1) / 2) * width for level in bars["level"]]
        axes.bar(x, bars["accuracy"], 0.9 * width, color=look.color, label=labels.label(model))
        style.errorbars(axes, x, bars, ecolor=PALETTE[-1], elinewidth=1.5, capsize=4)
        for position, bar in zip(x, bars.itertuples()):
            axes.annotate(f"{bar.accuracy:.0%}", (position, bar.high), (0, 4), textcoords="offset points", ha="center")
    axes.set_xticks(range(len(levels)), [f"Level {level}" for level in levels])
    axes.set_xlim(-0.6, len(levels) - 0.4)
    axes.set_ylim(0, 1.12)
    style.percentages(axes.yaxis)
    axes.grid(axis="x", visible=False)
