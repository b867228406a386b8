"""Accuracy on Countdown by number of integers and model, points with 95% intervals (paper §4.3, Fig. 4)."""

from pathlib import Path

from fofg.report.figures import accuracy_by_level
from fofg.report.labels import transfer_label
from fofg.report.style import plt


def plot(accuracy: str | Path) -> plt.Figure:
    """Draw ``results/countdown_accuracy.parquet``."""
    return accuracy_by_level.plot(accuracy, transfer_label, "accuracy on Countdown", "integers")
