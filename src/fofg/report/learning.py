"""Figure of learning: each reinforcement learning run by step, and RFT by iteration (paper §4.1, §4.2)."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from fofg.config import Figures
from fofg.data.schemas import ACCURACY
from fofg.report import names, style
from fofg.report.reading import Record, named_files, read_run, table
from fofg.report.style import PALETTE, plt

#: Metrics of each level are named so, the level's number behind.
TRAINING, VALIDATION = "accuracy_level", "validation_accuracy_level"
Runs = dict[str, list[Record]]


def plot(rl: list[str], accuracy: str | Path, stem: str | Path, figures: Figures) -> None:
    """Draws ``MODEL=metrics.jsonl`` entries and the table of ``summarize_evaluation`` into ``stem.<format>``.

    Raises UserError if a file is missing, damaged, or not of a reinforcement learning run.
    """
    runs = {model: read_run(path) for model, path in named_files("--rl", rl).items()}
    rows = table(accuracy, ACCURACY)
    style.apply(figures)
    style.save(draw(runs, rows), stem, figures)


def draw(runs: Runs, accuracy: list[dict]) -> plt.Figure:
    """A column a run, training problems above, held-out ones below; beside them RFT at the same levels from Stage 1 on."""
    columns = len(runs) + 1
    figure, panels = plt.subplots(2, columns, figsize=style.size(max(6.4, 1.0 + 2.75 * columns), 5.6), squeeze=False)
    for (model, records), (top, bottom) in zip(runs.items(), panels.T):
        top.set_title(names.label(model), loc="left")
        _training(top, records)
        _validation(bottom, records)
        bottom.sharex(top)
        bottom.set_xlabel("step")
    _same_height(panels[0][:-1])
    panels[0][0].set_ylabel("reward, accuracy\n(training problems)")
    panels[1][0].set_ylabel("accuracy\n(validation problems)")
    validated = {level for records in runs.values() for level, _ in _levels(records, VALIDATION)}
    _iterations(panels[1][-1], [row for row in accuracy if not validated or row["level"] in validated])
    panels[0][-1].axis("off")
    _legend(panels)
    return figure


def _training(axes: plt.Axes, records: list[Record]) -> None:
    steps = [record for record in records if "reward" in record]
    axes.plot(*_columns(steps, "reward"), color=PALETTE[7], linestyle="--", linewidth=1.5, label="mean reward")
    axes.plot(*_columns(steps, "accuracy"), color=PALETTE[0], linewidth=1.8, label="accuracy")
    levels = list(_levels(steps, TRAINING))
    for level, name in levels if len(levels) > 1 else []:
        mine = [record for record in steps if name in record]
        axes.plot(*_columns(mine, name), **_level_curve(level), linewidth=1, label=f"Level {level}")
    for before, after in pairwise(steps):
        if before.get("phase") != after.get("phase"):
            axes.axvline((before["step"] + after["step"]) / 2, color=PALETTE[7], linewidth=1, linestyle=":")
    axes.set_xlim(0, max(record["step"] for record in records) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelbottom=False)


def _validation(axes: plt.Axes, records: list[Record]) -> None:
    levels = list(_levels(records, VALIDATION))
    for level, name in levels:
        mine = [record for record in records if name in record]
        axes.plot(*_columns(mine, name), **_level_curve(level), linewidth=1.4, label=f"Level {level}", clip_on=False)
    if not levels:
        axes.text(0.5, 0.5, "no validation\nin this run", transform=axes.transAxes, ha="center", va="center")
    _share(axes)


def _iterations(axes: plt.Axes, accuracy: list[dict]) -> None:
    """Accuracy by iteration and level; of sampled responses where there are any."""
    decoding = "sampled" if any(row["decoding"] == "sampled" for row in accuracy) else "greedy"
    rows = [row | {"place": _place(row["model"])} for row in accuracy if row["decoding"] == decoding]
    rows = sorted((row for row in rows if row["place"] is not None), key=lambda row: row["place"])
    levels = sorted({row["level"] for row in rows})
    for number, level in enumerate(levels):
        mine = [row for row in rows if row["level"] == level]
        places = [row["place"] + 0.07 * (number - (len(levels) - 1) / 2) for row in mine]
        heights = [row["accuracy"] for row in mine]
        reach = [[row["accuracy"] - row["low"] for row in mine], [row["high"] - row["accuracy"] for row in mine]]
        curve = _level_curve(level)
        axes.errorbar(places, heights, reach, fmt="none", ecolor=curve["color"], elinewidth=1, alpha=0.7)
        axes.plot(places, heights, **curve, linewidth=1.4, label=f"Level {level}")
    axes.set_title("RFT (0: Stage 1), evaluation", loc="left", fontsize="medium")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("iteration")
    _share(axes)


def _place(model: str) -> int | None:
    """Where a model stands among RFT's iterations: Stage 1 at 0, iteration 1 at 1; None elsewhere."""
    number = names.iteration(model)
    return number + 1 if number is not None else {"stage1-rft": 0}.get(model)


def _legend(panels) -> None:
    handles = {handle.get_label(): handle for axes in panels.flat for handle in axes.get_legend_handles_labels()[0]}
    panels[0][-1].legend(handles.values(), handles, loc="center", frameon=False)


def _levels(records: list[Record], prefix: str) -> Iterator[tuple[int, str]]:
    """Levels that a family of metrics has, ascending, with the metric's name."""
    found = {name for record in records for name in record if re.fullmatch(rf"{prefix}\d+", name)}
    yield from sorted((int(name.removeprefix(prefix)), name) for name in found)


def _level_curve(level: int) -> dict:
    return style.level_curve(level) | {"markersize": 6}


def _columns(records: list[Record], name: str) -> tuple[list[int], list[float]]:
    return [record["step"] for record in records], [record[name] for record in records]


def _share(axes: plt.Axes) -> None:
    axes.set_ylim(-0.03, 1.03)
    style.percentages(axes.yaxis)


def _same_height(panels) -> None:
    """The reward's lowest end for all, the top being 1."""
    low = min(axes.dataLim.y0 for axes in panels)
    for axes in panels:
        axes.set_ylim(min(0.0, low) - 0.03, 1.03)
