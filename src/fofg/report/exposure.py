"""Figure of exposure: calls of each function in each dataset, a column per file, so that unevenness is seen at a glance."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from fofg.config import Figures
from fofg.errors import UserError
from fofg.report import style
from fofg.report.names import function_number
from fofg.report.style import plt

#: Shades: from never to so many times the mean of the file's functions.
_SHADES, _MOST = "Blues", 2.0


class Column(NamedTuple):
    """One problem file. ``calls``: label of a function -> its calls, in order of the functions' numbers."""

    dataset: str
    split: str
    problems: int
    calls: dict[str, int]


def plot(datasets: list[str], stem: str | Path, figures: Figures) -> None:
    """Draws the descriptions of ``describe_datasets`` into ``stem.<format>``.

    Raises UserError if a file is missing or no description.
    """
    columns = [column for path in datasets for column in read(path)]
    style.apply(figures)
    style.save(draw(columns), stem, figures)


def read(path: str | Path) -> list[Column]:
    """The splits of a described dataset. Raises UserError if the file is missing or no description of one."""
    try:
        described = json.loads(Path(path).read_text(encoding="utf-8"))
        columns = []
        for split, summary in described["splits"].items():
            exposure = sorted(summary["exposure"].items(), key=lambda item: function_number(item[1]["public_name"]))
            calls = {f"{name}  {item['public_name']}": int(item["calls"]) for name, item in exposure}
            columns.append(Column(described["dataset"], split, int(summary["rows"]), calls))
        if not all(column.calls for column in columns) or not columns:
            raise ValueError("no function in it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a description of a dataset ({error}); make it again") from None
    return columns


def draw(columns: list[Column]) -> plt.Figure:
    """Training files to the left, evaluation files to the right; functions that occur in the same files stand together."""
    columns = sorted(columns, key=lambda column: column.split != "train")
    functions = dict.fromkeys(name for column in columns for name in column.calls)
    functions = sorted(functions, key=lambda name: [not column.calls.get(name) for column in columns])
    counts = np.array([[column.calls.get(name, 0) for column in columns] for name in functions])
    means = counts.sum(0) / np.maximum(1, (counts > 0).sum(0))
    figure, axes = plt.subplots(figsize=style.size(3.4 + 0.82 * len(columns), 1.9 + 0.26 * len(functions)))
    shades = counts / np.maximum(means, 1e-9)
    axes.imshow(np.ma.masked_equal(shades, 0), cmap=_SHADES, vmin=0, vmax=_MOST, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shades[row, column] > 0.62 * _MOST else "black"
            axes.text(column, row, _short(count), ha="center", va="center", fontsize="x-small", color=color)
    _headings(axes, columns, counts)
    axes.set_yticks(range(len(functions)), functions, fontsize="small")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(ScalarMappable(Normalize(0, _MOST), _SHADES), ax=axes, extend="max", shrink=0.5, pad=0.01, aspect=30)
    bar.set_label("calls, as a multiple of the mean\nof the functions that occur")
    bar.outline.set_visible(False)
    return figure


def _headings(axes: plt.Axes, columns: list[Column], counts: np.ndarray) -> None:
    """Names above the columns; below them how uneven each is."""
    names = [f"{column.dataset}\n{column.split}, {column.problems:,}" for column in columns]
    axes.set_xticks(range(len(columns)), names, rotation=40, ha="left", rotation_mode="anchor", fontsize="small")
    axes.xaxis.tick_top()
    for place, calls in enumerate(counts.T):
        present = calls[calls > 0]
        axes.text(place, len(counts) - 0.35, f"{present.max() / present.min():.1f}×", ha="center", va="top", fontsize="small")
    axes.text(-0.6, len(counts) - 0.35, "most over least", ha="right", va="top", fontsize="small", style="italic")
    parted = sum(column.split == "train" for column in columns)
    if 0 < parted < len(columns):
        axes.axvline(parted - 0.5, color="black", linewidth=1)


def _short(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"
