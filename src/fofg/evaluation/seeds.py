"""Average a table of results over seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fofg.evaluation.tables import in_order

#: 97.5% quantiles of Student's t distribution with 1, 2, ... degrees of freedom; that of the last holds for more, on the safe side.
T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def over_seeds(table: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
    """Return one row per model and ``keys``, with the mean of ``value`` (a share) over seeds, and their number as ``seeds``.

    ``low`` and ``high`` join two errors in quadrature: the reach of the interval over problems, which all seeds share, and that of
    Student's 95% interval of the mean over seeds. With one seed, the row is as it was. Counts other than problems are summed.
    """
    keys = ["model", *keys]
    texts = [key for key in keys if not pd.api.types.is_numeric_dtype(table[key])]
    groups = in_order(table, texts).groupby(keys, observed=True)
    sums = {name: "sum" for name in ("samples", "correct", "answered", "truncated") if name in table}
    others = {name: "first" for name in ("problems", "trained") if name in table}
    means = groups.agg({**sums, **others, value: "mean", "low": "mean", "high": "mean"})
    seeds, deviation = groups["seed"].nunique(), groups[value].std().fillna(0.0)
    quantiles = [T975[min(count - 1, len(T975)) - 1] if count > 1 else 0.0 for count in seeds]
    error = quantiles * deviation / np.sqrt(seeds)
    several, mean = seeds > 1, means[value]
    for end, sign in (("low", -1), ("high", 1)):
        reach = np.hypot(means[end] - mean, error)
        means[end] = means[end].where(~several, (mean + sign * reach).clip(0.0, 1.0))
    return means.assign(seeds=seeds).reset_index().astype(dict.fromkeys(texts, str))
