"""Tables in Markdown."""

from pathlib import Path

from fofg.data.files import write_text
from fofg.evaluation.accuracy import Accuracy

_MODELS = {"base": "base (before)", "stage1-rft": "stage1-rft (after)"}


def markdown(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with columns of even width."""
    cells = [headings, *rows]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(headings))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]) + "\n"


def accuracy_table(models: list[str], table: list[Accuracy]) -> str:
    """Accuracy in percent with its 95% interval: a column per model, a row for definitions and level."""
    cells = {(row.definitions, row.level, row.model): row for row in table}
    keys = list(dict.fromkeys((row.definitions, row.level) for row in sorted(table, key=lambda row: row.definitions != "visible")))
    rows = []
    for definitions, level in keys:
        of_models = [cells.get((definitions, level, model)) for model in models]
        rows.append([definitions, str(level), *(_cell(row) for row in of_models)])
    return markdown(["definitions", "level", *(_MODELS.get(model, model) for model in models)], rows)


def _cell(row: Accuracy | None) -> str:
    if row is None:
        return "–"
    responses = "" if row.samples == row.problems else f", {row.samples} responses"
    trained = f", {row.trained} in training" if row.trained else ""
    return f"{row.accuracy:.1%} ({row.low:.1%} to {row.high:.1%}; n = {row.problems}{trained}{responses})"


def write_accuracy_table(path: str | Path, models: list[str], table: list[Accuracy]) -> None:
    """Write the table with a line that explains it."""
    note = "Share of correct responses, 95% Wilson interval, n = problems.\n"
    if any(row.trained for row in table):
        note += "In training: the same expression and input are also a training problem.\n"
    write_text(path, f"{accuracy_table(models, table)}\n{note}")
