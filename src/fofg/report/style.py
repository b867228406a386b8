"""One look for all figures: sizes, and one colour a model, legible in grey and for the colour-blind."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from fofg.config import Figures
from fofg.files import replacing

#: Okabe and Ito's palette, ordered so that neighbours differ in lightness too.
PALETTE = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#56B4E9", "#009E73", "#CC79A7", "#999999")
#: Model -> place in PALETTE; the same in every figure.
MODELS = {"base": 0, "stage1-rft": 1, "stage2-rl-level1": 2, "stage2-rl-level2": 3, "stage2-rl-level1to2": 4, "stage2-rft": 5}


def apply(figures: Figures) -> None:
    """Sets matplotlib's defaults from the configuration."""
    plt.rcParams.update(
        {
            "font.size": figures.font_size,
            "savefig.dpi": figures.dpi,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "figure.constrained_layout.use": True,
            "svg.hashsalt": "fofg",
        }
    )


def save(figure: plt.Figure, stem: str | Path, figures: Figures) -> None:
    """Writes ``stem.<format>`` in every configured format, each file whole, and closes the figure."""
    for extension in figures.formats:
        with replacing(f"{stem}.{extension}") as temporary:
            metadata = {"Date": None} if extension == "svg" else None
            figure.savefig(temporary, format=extension, metadata=metadata)
    plt.close(figure)
