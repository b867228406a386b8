"""pass@k: the chance that at least one of k responses to a problem is correct (paper §4.4; Chen et al. 2021, equation 1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fofg.data.schemas import PASSK_COUNTS
from fofg.errors import UserError
from fofg.evaluation.accuracy import wilson
from fofg.evaluation.tables import in_order, read_all


def pass_at_k(samples: int, correct: int, ks: Sequence[int]) -> np.ndarray:
    """Return unbiased estimates 1 - C(n - c, k) / C(n, k) for ``correct`` (c) of ``samples`` (n) responses: [len(ks)], in [0, 1].

    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not 0 <= correct <= samples or not all(1 <= k <= samples for k in ks):
        raise ValueError(f"pass@k of {correct} correct among {samples} for k in {list(ks)}: 0 <= c <= n and 1 <= k <= n must hold")
    wrong = samples - correct
    # The ratio is the product of (n - c - i) / (n - i) over i < k. Its logarithms are added up: large binomials would overflow, and
    # one minus a ratio near 1 would lose the digits of a small estimate.
    factors = np.log1p(-correct / np.arange(samples, samples - min(max(ks, default=0), wrong), -1.0))
    log_ratio = np.concatenate([[0.0], np.cumsum(factors)])
    return np.array([correct / samples if k == 1 else 1.0 if k > wrong else -np.expm1(log_ratio[k]) for k in ks])


def powers_up_to(samples: int) -> list[int]:
    """Return 1, 2, 4, ... up to the number of samples, and that number."""
    return sorted({*(1 << exponent for exponent in range(samples.bit_length())), samples})


def curve(samples: Sequence[int], correct: Sequence[int]) -> pd.DataFrame:
    """Average pass@k over problems, for k up to the smallest number of samples.

    The interval is Wilson's, with problems as trials: estimates in [0, 1] vary at most as much as coin tosses of the same mean, so
    it is wide enough for every k, and does not vanish where all problems or none are solved.
    """
    ks = powers_up_to(min(samples))
    estimates = np.stack([pass_at_k(n, c, ks) for n, c in zip(samples, correct)])
    mean = np.maximum.accumulate(estimates.mean(axis=0))
    low, high = wilson(mean, len(estimates))
    counts = {"k": ks, "problems": len(estimates), "samples": sum(samples)}
    return pd.DataFrame({**counts, "pass_at_k": mean, "low": low, "high": high})


def summarize(models: Sequence[str], counts: Sequence[str | Path], seeds: Sequence[int] = ()) -> pd.DataFrame:
    """Return the table ``schemas.PASSK`` from a file of counts per model and seed: models in order, levels and k ascending.

    Raises UserError as ``tables.read_all``, and for a model without responses.
    """
    rows = read_all(models, counts, PASSK_COUNTS, seeds)
    rows = rows[rows["samples"] > 0]
    for model, seed, path in zip(models, seeds or [0] * len(models), counts):
        if not ((rows["model"] == model) & (rows["seed"] == seed)).any():
            raise UserError(f"{path}: no response in it; were all prompts skipped as too long?")
    levels = in_order(rows, keys := ["model", "seed"]).groupby([*keys, "level"], observed=True)
    curves = {key: curve(group["samples"].tolist(), group["correct"].tolist()) for key, group in levels}
    return pd.concat(curves, names=[*keys, "level"]).reset_index([*keys, "level"]).reset_index(drop=True)
