"""Accuracy by level with 95% intervals (paper §4: avg@n with n samples per problem)."""

from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np
import pandas as pd

from fofg.data.schemas import HELD_OUT_VERDICTS, VERDICTS
from fofg.evaluation.tables import in_order, read, read_all

#: Quantile of the normal distribution for a two-sided 95% interval.
Z95 = 1.959963984540054


def wilson(share, trials, z: float = Z95) -> tuple:
    """Return Wilson's score interval (1927) for shares in [0, 1] observed in ``trials`` > 0 independent trials."""
    center = share + z * z / (2 * trials)
    reach = z * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # Rounding may put an end on the wrong side of the share.
    low, high = np.minimum(share, (center - reach) / scale), np.maximum(share, (center + reach) / scale)
    return np.maximum(0.0, low), np.minimum(1.0, high)


def summarize(verdicts: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Average verdicts by ``keys``, ordered as they first appear, and by level.

    Columns: problems and samples (responses); of the samples, how many are correct, answered and truncated; accuracy, low and high
    (95% interval). Responses to one problem are not independent, so the trials of the interval are problems.
    """
    outcomes = {name: (name, "sum") for name in ("correct", "answered", "truncated")}
    groups = in_order(verdicts, keys).groupby([*keys, "level"], observed=True)
    table = groups.agg(problems=("index", "nunique"), samples=("index", "size"), **outcomes)
    table["accuracy"] = table["correct"] / table["samples"]
    table["low"], table["high"] = wilson(table["accuracy"], table["problems"])
    return table.reset_index()


def summarize_evaluation(models: Sequence[str], verdicts: Sequence[str | Path], seeds: Sequence[int] = ()) -> pd.DataFrame:
    """Return the table ``schemas.ACCURACY`` from a file of verdicts per model and seed. Raises UserError as ``tables.read_all``."""
    return summarize(read_all(models, verdicts, HELD_OUT_VERDICTS, seeds), ["model", "seed", "decoding"])


def summarize_splits(
    splits: Sequence[str], models: Sequence[str], verdicts: Sequence[str | Path], seeds: Sequence[int] = ()
) -> pd.DataFrame:
    """Return the table ``schemas.SPLIT_ACCURACY`` from a file of verdicts per split, model and seed.

    Raises UserError as ``read_all``.
    """
    count = len(models)
    tables = [
        read_all(models, verdicts[number * count : (number + 1) * count], HELD_OUT_VERDICTS, seeds).assign(split=split)
        for number, split in enumerate(splits)
    ]
    rows = pd.concat(tables, ignore_index=True)
    return summarize(rows[rows["decoding"] == "sampled"], ["split", "model", "seed", "decoding"])


def summarize_stage1(verdicts: dict[tuple[str, int, str], str | Path], trained: Set[int]) -> pd.DataFrame:
    """Return the table of Stage 1 from (model, seed, definitions visible or hidden) -> file of verdicts.

    ``trained``: indexes of problems that are also training problems; the column of that name counts them. Raises UserError as
    ``tables.read``.
    """
    tables = [
        read(path, VERDICTS).assign(model=model, seed=seed, definitions=shown) for (model, seed, shown), path in verdicts.items()
    ]
    rows, keys = pd.concat(tables, ignore_index=True), ["model", "seed", "definitions"]
    again = rows[rows["index"].isin(trained)].groupby([*keys, "level"])["index"].nunique().rename("trained")
    return summarize(rows, keys).join(again, on=[*keys, "level"]).fillna({"trained": 0}).astype({"trained": int})
