"""Accuracy on Countdown by number of integers and model, points with 95% intervals (paper §4.3, Fig. 4)."""

from pathlib import Path

import numpy as np
from matplotlib.ticker import AutoLocator, PercentFormatter

from fofg.data.schemas import ACCURACY
from fofg.evaluation.tables import read
from fofg.report.figures import accuracy_by_level
from fofg.report.labels import transfer_label
from fofg.report.paper import TRANSFER
from fofg.report.style import plt


def plot(accuracy: str | Path) -> plt.Figure:
    """Draw ``results/countdown_accuracy.parquet``."""
    figure = accuracy_by_level.plot(accuracy, transfer_label, "accuracy on Countdown", "integer", TRANSFER)
    points = [float(np.max(np.asarray(line.get_ydata()), initial=0.0)) for axes in figure.axes for line in axes.lines]
    highest = max([read(accuracy, ACCURACY)["high"].max(), *points])
    for axes in figure.axes:  # a few percent are usual here
        axes.set_xlabel("integers")
        axes.set_ylim(-0.03 * highest, 1.03 * highest)
        axes.yaxis.set_major_locator(AutoLocator())
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    return figure
