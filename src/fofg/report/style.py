"""One style for all figures: sizes, and one color, marker and line per model, legible in grayscale and for the color-blind."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple
from zlib import crc32

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb

from fofg.config import Figures
from fofg.data.files import replacing
from fofg.report import labels

#: Okabe and Ito's palette, ordered so that neighbors differ in lightness too.
PALETTE = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#56B4E9", "#009E73", "#CC79A7", "#999999")
#: Levels from light to dark, distinct in grayscale; each also has its own marker.
LEVELS = ("#F0B429", "#E07B39", "#C2477F", "#7A3B9E", "#3B3B98", "#12355B", "#0B1F3A", "#000000")
LEVEL_MARKERS = "osD^vPX*"
#: Keeps markers apart where curves meet.
_EDGE = {"markeredgecolor": "white", "markeredgewidth": 0.6}
#: The same figure is the same file, whenever it is drawn.
_NO_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


_published = True


class Look(NamedTuple):
    """How a model is drawn: ``line`` is a matplotlib line style."""

    color: str
    marker: str
    line: str | tuple

    def curve(self) -> dict:
        """Return arguments of ``plot``."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.line, **_EDGE}


_DASHDOT, _LONG, _DOTS = (0, (5, 1.5, 1, 1.5)), (0, (9, 1.5)), (0, (1, 1.2))
_FIXED = {
    "base": Look(PALETTE[0], "o", _DOTS),
    "stage1-rft": Look(PALETTE[1], "s", "--"),
    "stage2-rl-level1": Look(PALETTE[2], "D", "-"),
    "stage2-rl-level2": Look(PALETTE[3], "v", _LONG),
    "stage2-rl-level1to2": Look(PALETTE[4], "X", "-"),
}
_FIXED |= {
    "multi-base": Look(PALETTE[5], "o", "--"),
    "multi-base-rl-level1": Look(PALETTE[6], "P", "-"),
    "multi-base-rl-level1to2": Look(PALETTE[3], "s", _DASHDOT),
}
_RFT = Look(PALETTE[5], "^", _DASHDOT)
_LINES: tuple[str | tuple, ...] = (_LONG, "-", _DASHDOT, ":")
#: For the user's own models: what no other model has.
_OTHERS = [
    Look(color, marker, line)
    for color, (marker, line) in zip(cycle((PALETTE[6], PALETTE[7], "#6B4C9A")), product("<>p*hd", _LINES))
]


def looks(models: Iterable[str]) -> dict[str, Look]:
    """Return each model's look. It depends on the name alone, except where two of the user's own models would share one.

    RFT's iterations share one color; earlier ones are lighter.
    """
    models = list(dict.fromkeys(models))
    result = {model: _FIXED[model] for model in models if model in _FIXED}
    for model in labels.iterations(models):
        result[model] = _RFT._replace(color=_lighter(_RFT.color, 0.6 ** (1 + labels.iteration(model))))
    used: set[int] = set()
    for model in sorted(set(models) - result.keys()):
        index = crc32(model.encode()) % len(_OTHERS)
        while index in used and len(used) < len(_OTHERS):
            index = (index + 1) % len(_OTHERS)
        used.add(index)
        result[model] = _OTHERS[index]
    return {model: result[model] for model in models}


def _lighter(color: str, white: float) -> str:
    red, green, blue = (part + (1 - part) * white for part in to_rgb(color))
    return to_hex((red, green, blue))


def level_curve(level: int) -> dict:
    """Return arguments of ``plot`` for the curve of a level; levels beyond the last look like it."""
    index = min(level, len(LEVELS)) - 1
    return {"color": LEVELS[index], "marker": LEVEL_MARKERS[index], **_EDGE}


def errorbars(axes: plt.Axes, x: Sequence[float], rows: pd.DataFrame, **options) -> None:
    """Draw the 95% intervals of accuracies at positions ``x``."""
    reach = [rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]]
    axes.errorbar(x, rows["accuracy"], np.array(reach), fmt="none", **options)


def percentages(axis: Axis) -> None:
    """Set the ticks of a share in [0, 1]."""
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])


def panels(count: int, width: float, height: float) -> tuple[plt.Figure, np.ndarray]:
    """Return a figure of panels with the same axes, ``width`` by ``height`` inches each at 10 points, in columns that fit a page.

    The last cells of its array may be empty.
    """
    columns = 2 if count == 4 else min(3, count)
    rows = -(-count // columns)
    inches = size(max(4.6, width * columns), 1 + height * rows)
    figure, cells = plt.subplots(rows, columns, figsize=inches, sharex=True, sharey=True, squeeze=False)
    for axes in cells.flat[count:]:
        axes.set_visible(False)
    return figure, cells


def apply(figures: Figures) -> None:
    """Set matplotlib's defaults from the configuration, and whether figures have the paper's points."""
    global _published
    _published = figures.published
    plt.rcParams.update(
        {
            "font.size": figures.font_size,
            "axes.titlesize": "medium",
            "legend.title_fontsize": "small",
            "savefig.dpi": figures.dpi,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.alpha": 0.3,
            "hatch.linewidth": 0.6,
            "figure.constrained_layout.use": True,
            "svg.hashsalt": "fofg",
        }
    )


def shows_published() -> bool:
    """Return whether figures have the paper's points."""
    return _published


def size(width: float, height: float) -> tuple[float, float]:
    """Scale a figure's size in inches, given at 10 points, with the font, so that everything keeps its position."""
    scale = plt.rcParams["font.size"] / 10
    return width * scale, height * scale


def handles(panels: Iterable[plt.Axes]) -> dict[str, Artist]:
    """Return label -> handle of everything that has a label in some panels."""
    return {str(handle.get_label()): handle for axes in panels for handle in axes.get_legend_handles_labels()[0]}


def legend_below(figure: plt.Figure, entries: Mapping[str, Artist], note: str = "") -> None:
    """Draw a note and a legend under all panels, label -> handle, with as many columns as fit the figure's width."""
    columns = int(figure.get_figwidth() / size(max(1.9, 0.6 + 0.075 * max(map(len, entries), default=0)), 0)[0])
    ncols = max(1, min(len(entries), columns))
    width = int(figure.get_figwidth() / size(0.075, 0)[0])
    note = "\n".join(wrap(note, width))
    figure.legend([*entries.values()], [*entries], title=note, loc="outside lower center", ncols=ncols, frameon=False)


def save(figure: plt.Figure, stem: str | Path, figures: Figures) -> None:
    """Write ``stem.<format>`` in every configured format, each file whole, and close the figure."""
    for extension in figures.formats:
        with replacing(f"{stem}.{extension}") as temporary:
            figure.savefig(temporary, format=extension, metadata=_NO_DATE.get(extension))
    plt.close(figure)
