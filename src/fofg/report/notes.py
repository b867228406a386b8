"""What a figure says about itself: how many problems, which interval, what it leaves out, and the paper's points."""

from collections.abc import Iterable

import pandas as pd

from fofg.report.labels import iterations
from fofg.report.paper import Published, shares

#: Below this share of the highest value a marker lies on the axis.
_ZERO = 0.02


def size(rows: pd.DataFrame) -> str:
    """Return the numbers behind the points of a panel: problems per level, responses per problem, seeds; only what is above one."""
    low, high = rows["problems"].min(), rows["problems"].max()
    responses, seeds = round((rows["samples"] / rows["problems"] / rows["seeds"]).max()), rows["seeds"].max()
    parts = [f"{low if low == high else f'{low}–{high}'} problem{'s' if high > 1 else ''}"]
    parts += [f"{responses} responses"] if responses > 1 else []
    parts += [f"{seeds} seeds"] if seeds > 1 else []
    return " × ".join(parts)


def fold(table: pd.DataFrame, value: str = "accuracy", name: str = "level") -> tuple[pd.DataFrame, str]:
    """Leave out the highest levels, where every model's share is next to zero.

    Return the rest, and a sentence on what is left out, empty if nothing is; ``name``: what a level is called.
    """
    best = table.groupby("level")[value].max()
    highest = best.index[best >= max(_ZERO * best.max(), 1e-9)].max()
    folded = best[best.index > highest]
    if folded.empty:
        return table, ""
    first, last = folded.index.min(), folded.index.max()
    which = f"{name.capitalize()}s {first}–{last}" if first < last else f"{name.capitalize()} {first}"
    above = f"above {folded.max():.1%}" if folded.max() else "solves a problem there"
    return table[table["level"] <= highest], f"{which} left out: no model {above}."


def published(rows: Iterable[Published], models: Iterable[str]) -> dict[str, dict[int, float]]:
    """Return model -> level -> the paper's share; RFT's are those of the last iteration among ``models``. Bounds are no points."""
    models = list(models)
    last_rft = iterations(models)[-1:]
    result = {}
    for row in rows:
        model = last_rft[0] if last_rft and row.model == "stage2-rft" else row.model
        if model in models and (points := shares(row)):
            result[model] = points
    return result
