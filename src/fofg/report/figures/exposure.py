"""How often each function is called in each dataset: one column per file, which shows imbalance at a glance."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from fofg.errors import UserError
from fofg.report import labels, style
from fofg.report.style import plt

#: Shades run from no call to this multiple of the mean of the file's functions.
_SHADES, _MAX_SHADE = "Blues", 2.0


def plot(*descriptions: str | Path) -> plt.Figure:
    """Draw the ``dataset.json`` of each dataset.

    Training files are on the left, evaluation files on the right; functions that occur in the same files are grouped.
    """
    files = sorted((file for path in descriptions for file in _read(path)), key=lambda file: file.name[1] != "train")
    calls = pd.concat(files, axis=1, sort=False).fillna(0).astype(int)
    calls = calls.loc[sorted(calls.index, key=lambda function: [count == 0 for count in calls.loc[function]])]
    figure, axes = plt.subplots(figsize=style.size(3.4 + 0.82 * len(files), 1.9 + 0.26 * len(calls)))
    counts = calls.to_numpy()
    shades = counts / np.maximum(counts.sum(0) / np.maximum(1, (counts > 0).sum(0)), 1e-9)
    axes.imshow(np.ma.masked_equal(shades, 0), cmap=_SHADES, vmin=0, vmax=_MAX_SHADE, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shades[row, column] > 0.62 * _MAX_SHADE else "black"
            text = f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"
            axes.text(column, row, text, ha="center", va="center", fontsize="x-small", color=color)
    _headings(axes, calls)
    axes.set_yticks(range(len(calls)), calls.index, fontsize="small")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    shading = ScalarMappable(Normalize(0, _MAX_SHADE), _SHADES)
    bar = figure.colorbar(shading, ax=axes, extend="max", shrink=0.5, pad=0.01, aspect=30)
    bar.set_label("calls, as a multiple of the mean\nof the functions that occur")
    bar.outline.set_visible(False)
    return figure


def _read(path: str | Path) -> list[pd.Series]:
    """Read the splits of a described dataset: calls by function, named (dataset, split, problems)."""
    try:
        description = json.loads(Path(path).read_text(encoding="utf-8"))
        splits = []
        for split, summary in description["splits"].items():
            calls = {f"{name}  {item['public_name']}": int(item["calls"]) for name, item in labels.by_number(summary["exposure"])}
            splits.append(pd.Series(calls, name=(description["dataset"], split, int(summary["rows"]))))
        if not splits or any(calls.empty for calls in splits):
            raise ValueError("no function in it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a description of a dataset ({error}); remove it and run again") from None
    return splits


def _headings(axes: plt.Axes, calls: pd.DataFrame) -> None:
    """Write each file's name above its column, and how uneven it is below."""
    names = [f"{dataset}\n{split}, {problems:,}" for dataset, split, problems in calls]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="left", rotation_mode="anchor", fontsize="small")
    axes.xaxis.tick_top()
    below, text = len(calls) - 0.35, {"va": "top", "fontsize": "small"}
    for column, counts in enumerate(calls.to_numpy().T):
        occurring = counts[counts > 0]
        axes.text(column, below, f"{occurring.max() / occurring.min():.1f}×", text, ha="center")
    axes.text(-0.6, below, "most over least", text, ha="right", style="italic")
    training = sum(split == "train" for _, split, _ in calls)
    if 0 < training < len(names):
        axes.axvline(training - 0.5, color="black", linewidth=1)
