"""One look for all figures: sizes, and one color, marker and line per model, legible in grey and for the color-blind."""

from collections.abc import Iterable
from itertools import cycle, product
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb

from fofg.config import Figures
from fofg.data.files import replacing
from fofg.report import names

#: Okabe and Ito's palette, ordered so that neighbors differ in lightness too.
PALETTE = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#56B4E9", "#009E73", "#CC79A7", "#999999")
#: Levels from light to dark, distinct in grey; a marker each besides.
LEVELS = ("#F0B429", "#E07B39", "#C2477F", "#7A3B9E", "#3B3B98", "#12355B", "#0B1F3A", "#000000")
LEVEL_MARKERS = "osD^vPX*"
#: So that markers stay apart where curves meet.
_EDGE = {"markeredgecolor": "white", "markeredgewidth": 0.6}
#: The same figure is the same file, whenever it is drawn.
_NO_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


class Look(NamedTuple):
    """How a model is drawn: ``line`` is a matplotlib line style."""

    color: str
    marker: str
    line: str | tuple

    def curve(self) -> dict:
        """Arguments of ``plot``."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.line, **_EDGE}


_DASHDOT, _LONG, _DOTS = (0, (5, 1.5, 1, 1.5)), (0, (9, 1.5)), (0, (1, 1.2))
_FIXED = {
    "base": Look(PALETTE[0], "o", _DOTS),
    "stage1-rft": Look(PALETTE[1], "s", "--"),
    "stage2-rl-level1": Look(PALETTE[2], "D", "-"),
    "stage2-rl-level2": Look(PALETTE[3], "v", _LONG),
    "stage2-rl-level1to2": Look(PALETTE[4], "X", "-"),
}
_RFT = Look(PALETTE[5], "^", _DASHDOT)
#: For models of the user's own: what no other model has.
_OTHERS = [
    Look(color, marker, line)
    for color, (marker, line) in zip(cycle((PALETTE[6], PALETTE[7], "#6B4C9A")), product("<>p*hd", (_LONG, "-", _DASHDOT, ":")))
]


def looks(models: Iterable[str]) -> dict[str, Look]:
    """Each model's look: fixed by its name alone, save that two of the user's models do not share one while there are others.

    RFT's iterations are one color, lighter the earlier.
    """
    models = list(dict.fromkeys(models))
    result = {model: _FIXED[model] for model in models if model in _FIXED}
    for model in names.iterations(models):
        result[model] = _RFT._replace(color=_lighter(_RFT.color, 0.6 ** (1 + names.iteration(model))))
    taken: set[int] = set()
    for model in sorted(set(models) - result.keys()):
        place = crc32(model.encode()) % len(_OTHERS)
        while place in taken and len(taken) < len(_OTHERS):
            place = (place + 1) % len(_OTHERS)
        taken.add(place)
        result[model] = _OTHERS[place]
    return {model: result[model] for model in models}


def _lighter(color: str, share: float) -> str:
    """A color mixed with so much white."""
    return to_hex([part + (1 - part) * share for part in to_rgb(color)])


def level_curve(level: int) -> dict:
    """Arguments of ``plot`` for a curve of one level; levels beyond the last look like it."""
    place = min(level, len(LEVELS)) - 1
    return {"color": LEVELS[place], "marker": LEVEL_MARKERS[place], **_EDGE}


def percentages(axis: Axis) -> None:
    """Ticks of a share in [0, 1]."""
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])


def apply(figures: Figures) -> None:
    """Sets matplotlib's defaults from the configuration."""
    plt.rcParams.update(
        {
            "font.size": figures.font_size,
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


def size(width: float, height: float) -> tuple[float, float]:
    """A figure's size in inches at 10 points, grown or shrunk with the font, so that everything keeps its place."""
    scale = plt.rcParams["font.size"] / 10
    return width * scale, height * scale


def legend_below(figure: plt.Figure, handles: dict[str, Artist]) -> None:
    """A legend under all panels, label -> handle, with as many columns as the figure's width has room for."""
    columns = int(figure.get_figwidth() / size(1.9, 0)[0])
    shape = {"loc": "outside lower center", "ncols": max(1, min(len(handles), columns)), "frameon": False}
    figure.legend(handles.values(), handles.keys(), **shape)


def save(figure: plt.Figure, stem: str | Path, figures: Figures) -> None:
    """Writes ``stem.<format>`` in every configured format, each file whole, and closes the figure."""
    for extension in figures.formats:
        with replacing(f"{stem}.{extension}") as temporary:
            metadata = _NO_DATE.get(extension)
            figure.savefig(temporary, format=extension, metadata=metadata)
    plt.close(figure)
