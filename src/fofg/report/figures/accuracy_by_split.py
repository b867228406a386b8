"""Accuracy by level and model on several sets of problems: a panel each, points with 95% intervals, sampled responses."""

from pathlib import Path

from fofg.data.schemas import SPLIT_ACCURACY
from fofg.evaluation.seeds import over_seeds
from fofg.evaluation.tables import read
from fofg.report import labels
from fofg.report.figures import accuracy_by_level
from fofg.report.style import plt


def plot(accuracy: str | Path) -> plt.Figure:
    """Draw ``results/accuracy_by_split.parquet``; of RFT's iterations only the last is shown."""
    table = over_seeds(read(accuracy, SPLIT_ACCURACY), ["split", "decoding", "level"], "accuracy")
    return accuracy_by_level.draw(table, "split", labels.compared(table["model"]), "accuracy", "level")
