"""The variance between seeds, and tables averaged over seeds.

A few seeds say little about their own variance, so it is pooled over the models of a level, here and in
``fofg.evaluation.comparisons``: models are taken to vary alike. Student's t has the degrees of freedom of that estimate.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fofg.evaluation.tables import in_order

#: 97.5% quantiles of Student's t distribution with 1, 2, ... degrees of freedom; that of the last holds for more, on the safe side.
T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
#: Normal deviates, and the logarithm of the chance of more than that.
_DEVIATES = np.linspace(-9.0, 37.0, 4601)
_LOG_TAILS = np.log([math.erfc(deviate / math.sqrt(2)) / 2 for deviate in _DEVIATES])
#: Values of Student's t to sum over, dense in the middle, on a scale on which they are evenly spaced.
_SCALE = np.linspace(-12.0, 12.0, 1201)


def degrees_of_freedom(models: int, seeds: int) -> int:
    """Return the degrees of freedom of a variance between seeds, pooled over models.

    The models of a seed share its Stage 1, to which those of one model are lost.
    """
    return max(models - 1, 1) * (seeds - 1)


def two_sided(deviation: np.ndarray, normal: np.ndarray, student: np.ndarray, freedom: int) -> np.ndarray:
    """Return the chance that the sum of two errors is at least ``deviation`` from 0: p-values of all.

    ``normal``, ``student``: standard errors, > 0 and >= 0, of a normal error and of one of Student's t with ``freedom`` degrees.
    """
    values = np.sinh(_SCALE)
    weights = np.cosh(_SCALE) * (1 + values**2 / freedom) ** (-(freedom + 1) / 2)
    above = (np.abs(deviation)[:, None] - student[:, None] * values) / normal[:, None]
    tails = np.exp(np.interp(above, _DEVIATES, _LOG_TAILS))
    return np.minimum(1.0, 2 * tails @ (weights / weights.sum()))


def over_seeds(table: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
    """Return one row per model and ``keys``, with the mean of ``value`` (a share) over seeds, and their number as ``seeds``.

    ``low`` and ``high`` join two errors in quadrature: the reach of the interval over problems, which all seeds share, and that of
    Student's 95% interval of the mean over seeds, whose variance is pooled over models at the same ``keys``. A model that never
    differs between seeds is one that they share, without that error. With one seed, the row is as it was. Counts other than
    problems are summed.
    """
    keys = ["model", *keys]
    texts = [key for key in keys if not pd.api.types.is_numeric_dtype(table[key])]
    groups = in_order(table, texts).groupby(keys, observed=True)
    sums = {name: "sum" for name in ("samples", "correct", "answered", "truncated") if name in table}
    others = {name: "first" for name in ("problems", "trained") if name in table}
    means = groups.agg({**sums, **others, value: "mean", "low": "mean", "high": "mean"})
    seeds, variances = groups["seed"].nunique(), groups[value].var().fillna(0.0)
    varies = (variances > 0).groupby("model", observed=True).transform("any")
    pooled = variances[varies].groupby(keys[1:], observed=True).transform("mean").reindex(variances.index, fill_value=0.0)
    models = varies.astype(int).groupby(keys[1:], observed=True).transform("sum")
    freedom = [degrees_of_freedom(number, count) if count > 1 else 1 for number, count in zip(models, seeds)]
    error = [T975[min(degrees, len(T975)) - 1] for degrees in freedom] * np.sqrt(pooled / seeds)
    several, mean = seeds > 1, means[value]
    for end, sign in (("low", -1), ("high", 1)):
        reach = np.hypot(means[end] - mean, error)
        means[end] = means[end].where(~several, (mean + sign * reach).clip(0.0, 1.0))
    return means.assign(seeds=seeds).reset_index().astype(dict.fromkeys(texts, str))
