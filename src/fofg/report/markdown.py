"""Tables in Markdown."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Snakemake reads this module each time it starts; pandas takes long to load
    import pandas as pd

_MODELS = {"base": "base (before)", "stage1-rft": "stage1-rft (after)"}


def markdown(headings: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table with columns of even width."""
    cells = [headings, *rows]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(headings))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]) + "\n"


def stage1_accuracy(table: "pd.DataFrame") -> str:
    """Return Stage 1's accuracy in percent with its 95% interval: a column per model, a row per definitions and level."""
    models = table["model"].unique()
    cells = table.assign(cell=[_cell(row) for row in table.itertuples()]).set_index(["definitions", "level", "model"])["cell"]
    conditions = dict.fromkeys((row.definitions, row.level) for row in table.itertuples())
    rows = [[shown, str(level), *(cells.get((shown, level, model), "–") for model in models)] for shown, level in conditions]
    note = "Share of correct responses, 95% Wilson interval, n = problems.\n"
    if table["trained"].any():
        note += "In training: the same problem is also a training problem.\n"
    return f"{markdown(['definitions', 'level', *(_MODELS.get(model, model) for model in models)], rows)}\n{note}"


def _cell(row) -> str:
    responses = "" if row.samples == row.problems else f", {row.samples} responses"
    trained = f", {row.trained} in training" if row.trained else ""
    return f"{row.accuracy:.1%} ({row.low:.1%} to {row.high:.1%}; n = {row.problems}{trained}{responses})"
