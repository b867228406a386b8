"""Which models differ, in Markdown: a table of all pairs, and what this size of evaluation can tell apart."""

import pandas as pd

from fofg.evaluation.comparisons import POWER, SIGNIFICANT
from fofg.report.labels import compared
from fofg.report.markdown import markdown

_HEAD = """# Comparisons

Models on the same problems, sampled responses. The difference is the first model's accuracy less the second's, in percentage
points, with a 95% bootstrap interval {over}. p: {test},
then corrected for all {comparisons} comparisons (Holm).
"""


def page(table: pd.DataFrame) -> str:
    """Return all comparisons (schemas.COMPARISONS), a table per level."""
    names = _names(table)
    seeds = table["seeds"].max()
    over = "over problems, wider by what seeds differ" if seeds > 1 else "over problems"
    test = (
        "of a normal error over problems and Student's over seeds"
        if seeds > 1
        else "exact, by flipping signs (McNemar's test if there is one response per problem)"
    )
    parts = [_HEAD.format(over=over, test=test, comparisons=len(table)), resolution(table)]
    for level, rows in table.groupby("level"):
        lines = [
            [
                f"{names[row.model]} – {names[row.other]}",
                f"{row.accuracy:.1%} – {row.other_accuracy:.1%}",
                f"{_points(row)} ({100 * row.low:+.1f} to {100 * row.high:+.1f})",
                p_value(row.p),
                p_value(row.p_holm),
                verdict(row),
            ]
            for row in rows.itertuples()
        ]
        headings = ["models", "accuracy", "difference", "p", "p, corrected", "verdict"]
        parts.append(f"## Level {level}, {rows['problems'].iloc[0]} problems\n\n{markdown(headings, lines)}")
    return "\n".join(parts)


def matrix(table: pd.DataFrame) -> str:
    """Return one row per pair of models and one column per level; differences that the corrected test finds are bold."""
    names, levels = _names(table), sorted(table["level"].unique())
    lines = []
    for (model, other), rows in table.groupby(["model", "other"], sort=False):
        cells = {row.level: f"{_points(row)} ({p_value(row.p_holm)})" for row in rows.itertuples()}
        bold = set(rows.loc[rows["p_holm"] < SIGNIFICANT, "level"])
        shown = [f"**{cells[level]}**" if level in bold else cells.get(level, "–") for level in levels]
        lines.append([f"{names[model]} – {names[other]}", *shown])
    return markdown(["models", *(f"Level {level}" for level in levels)], lines)


def resolution(table: pd.DataFrame) -> str:
    """Return a sentence on which difference an evaluation of this size finds."""
    worst = table.groupby("level")["detectable"].max()
    row = table.iloc[0]
    responses = "one response" if row["samples"] == 1 else f"{row['samples']} responses"
    seeds = "one seed" if row["seeds"] == 1 else f"{row['seeds']} seeds"
    size = f"{row['problems']} problems per level, {responses} to each, {seeds}"
    points = ", ".join(f"{100 * value:.0f} at Level {level}" for level, value in worst.items())
    return f"What this size ({size}) finds with a probability of {POWER:.0%}, after correction: differences of {points} (points).\n"


def verdict(row) -> str:
    """Say whether a comparison (a row of schemas.COMPARISONS) found a difference."""
    if row.p_holm >= SIGNIFICANT:
        return "can't be told apart"
    return "the first is better" if row.difference > 0 else "the second is better"


def p_value(p: float) -> str:
    """Format a p-value: 0.12, 0.003, < 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def _points(row) -> str:
    return f"{100 * row.difference:+.1f}"


def _names(table: pd.DataFrame) -> dict[str, str]:
    return compared([*table["other"], *table["model"]])
