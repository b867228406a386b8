"""Compare models on the same problems: differences in accuracy with 95% intervals, and p-values corrected for their number."""

from collections.abc import Sequence
from itertools import combinations
from math import ceil, log2
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd

from fofg.data.schemas import HELD_OUT_VERDICTS
from fofg.errors import UserError
from fofg.evaluation.seeds import degrees_of_freedom, two_sided
from fofg.evaluation.tables import read

#: Draws of the bootstrap, those made at once, and the seed of its generator.
DRAWS, CHUNK, SEED = 20_000, 1_000, 0
#: Two models differ if the corrected p-value is below this; an evaluation resolves what it then finds with this probability.
SIGNIFICANT, POWER = 0.05, 0.8


class Difference(NamedTuple):
    """A difference between two mean accuracies, its 95% interval and standard error, and the p-value of no difference.

    ``detectable``: the difference that a test finds with probability POWER.
    """

    difference: float
    low: float
    high: float
    error: float
    p: float
    detectable: float


def compare(
    differences: np.ndarray, samples: int = 1, varying: Sequence[int] | None = None, comparisons: int = 1
) -> list[Difference]:
    """Compare all pairs of some models by the differences of their correct responses: [pairs, seeds, problems], of ``samples``.

    The interval is that of a bootstrap over problems. Two are added, one that each model solves alone, or it would vanish where
    both solve the same ones. A few seeds can't be drawn from: with several, the bootstrap's means are spread by Student's t with
    the variance between seeds, pooled over the pairs. With one seed, the p-value is exact: signs of the problems' differences are
    flipped, which is McNemar's test for one response per problem. With several, it is that of a normal error over problems and
    Student's over seeds.

    ``varying``: how many models of each pair were trained with each seed (default: both). A model that all seeds share says
    nothing about the variance between seeds. ``comparisons``: all tests, for whose number p-values will be corrected.
    """
    pairs, seeds, _ = differences.shape
    draws = _bootstrap(differences.mean(axis=1) / samples)
    over_problems, over_seeds, freedom = draws.std(axis=1), np.zeros(pairs), 1
    varied = np.full(pairs, 2) if varying is None else np.asarray(varying)
    if seeds > 1 and varied.any():
        pooled = varied == varied.max()
        variance = (differences[pooled].mean(axis=2) / samples).var(axis=1, ddof=1).mean()
        models = (1 + round((1 + 8 * int(pooled.sum())) ** 0.5)) // 2 if varied.max() == 2 else 2
        freedom = degrees_of_freedom(models, seeds)
        over_seeds = np.where(varied > 0, np.sqrt(variance / seeds), 0)
        draws += over_seeds[:, None] * np.random.default_rng(SEED + 1).standard_t(freedom, DRAWS)
    values = differences.mean(axis=(1, 2)) / samples
    ends = np.quantile(draws, [0.025, 0.975], axis=1)
    errors = (ends[1] - ends[0]) / (2 * NormalDist().inv_cdf(0.975))
    if seeds == 1:
        p = [sign_flip(counts[0]) for counts in differences]
        resolved = detectable(errors, over_seeds, freedom, comparisons, responses=differences.shape[2] * samples)
    else:
        p = list(two_sided(values, over_problems, over_seeds, freedom))
        resolved = detectable(over_problems, over_seeds, freedom, comparisons)
    low, high = np.clip(np.minimum(ends[0], values), -1, 1), np.clip(np.maximum(ends[1], values), -1, 1)
    return list(map(Difference, values, low, high, errors, p, resolved))


def _bootstrap(differences: np.ndarray) -> np.ndarray:
    """Return means of ``differences`` [pairs, problems] over drawn problems: [pairs, DRAWS]."""
    generator = np.random.default_rng(SEED)
    differences = np.concatenate([differences, np.broadcast_to([1.0, -1.0], (len(differences), 2))], axis=1)
    problems = differences.shape[1]
    chances = np.full(problems, 1 / problems)
    counts = (generator.multinomial(problems, chances, size=CHUNK) for _ in range(DRAWS // CHUNK))
    return np.concatenate([differences @ (drawn / problems).T for drawn in counts], axis=1)


def sign_flip(differences: np.ndarray) -> float:
    """Return the exact two-sided p-value of whole-number differences [problems] under random signs (Fisher 1935, §21).

    It is the chance that the sum is at least as far from 0 as observed.
    """
    sizes = np.abs(differences[differences != 0]).astype(int)
    total = int(sizes.sum())
    chances = np.zeros(2 * total + 1)  # of each sum from -total to total
    chances[total] = 1.0
    for size in sizes:
        up, down = np.zeros_like(chances), np.zeros_like(chances)
        up[size:], down[:-size] = chances[:-size], chances[size:]
        chances = (up + down) / 2
    return min(1.0, float(chances[np.abs(np.arange(-total, total + 1)) >= abs(int(differences.sum()))].sum()))


def holm(p: Sequence[float]) -> np.ndarray:
    """Correct p-values for their number (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, float)[order] * (len(order) - np.arange(len(order)))
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


def detectable(normal: np.ndarray, student: np.ndarray, freedom: int, comparisons: int, responses: int | None = None) -> np.ndarray:
    """Return the differences that tests find with probability POWER, corrected for the number of ``comparisons``.

    Errors as for ``two_sided``. ``responses``: those of an exact test, which needs a minimum number of unequal ones, so smaller
    differences are never significant.
    """
    level = SIGNIFICANT / comparisons
    low, high = np.zeros_like(normal), np.full_like(normal, 2.0)  # around the smallest significant difference
    for _ in range(30):
        middle = (low + high) / 2
        significant = two_sided(middle, normal, student, freedom) < level
        low, high = np.where(significant, low, middle), np.where(significant, middle, high)
    minimum = ceil(log2(2 / level)) / responses if responses else 0.0
    return np.clip(high + NormalDist().inv_cdf(POWER) * np.hypot(normal, student), minimum, 1.0)


def summarize(models: Sequence[str], verdicts: Sequence[str | Path]) -> pd.DataFrame:
    """Return the table ``schemas.COMPARISONS``: every pair of models at every level, later ones less earlier ones.

    ``verdicts``: a file per model or, model by model, a file for each seed. Responses are those sampled. Raises UserError if a file
    is missing or damaged, or if problems have different numbers of responses, or no problem has them from all models.
    """
    seeds = len(verdicts) // len(models)
    shared = {
        model for number, model in enumerate(models) if seeds > 1 and verdicts[number * seeds] == verdicts[number * seeds + 1]
    }
    files = {model: verdicts[number * seeds : (number + 1) * seeds] for number, model in enumerate(models)}
    counts = {model: [solved(path) for path in paths] for model, paths in files.items()}
    samples = _samples(verdicts, [table for tables in counts.values() for table in tables])
    columns = {(model, seed): table["correct"] for model, tables in counts.items() for seed, table in enumerate(tables)}
    # Problems that all models answered: a prompt may have been too long for some.
    rows = pd.concat(columns, axis=1).dropna()
    if rows.empty:
        raise UserError(f"{verdicts[0]}: no problem that all models answered; were prompts skipped as too long?")
    table, pairs, levels = [], list(combinations(models, 2)), rows.groupby(level="level")
    for level, group in levels:
        correct = {model: group[model].to_numpy().T for model in models}
        differences = np.stack([correct[model] - correct[other] for other, model in pairs])
        varying = [sum(model not in shared for model in pair) for pair in pairs]
        for (other, model), difference in zip(pairs, compare(differences, samples, varying, len(pairs) * len(levels))):
            accuracies = {"accuracy": correct[model].mean() / samples, "other_accuracy": correct[other].mean() / samples}
            sizes = {"seeds": seeds, "problems": len(group), "samples": samples}
            table.append({"level": level, "model": model, "other": other, **sizes, **accuracies, **difference._asdict()})
    result = pd.DataFrame(table)
    result["p_holm"] = holm(result["p"])
    return result


def solved(path: str | Path) -> pd.DataFrame:
    """Return the numbers of sampled and of correct responses by level and problem."""
    rows = read(path, HELD_OUT_VERDICTS)
    groups = rows[rows["decoding"] == "sampled"].groupby(["level", "index"])["correct"]
    return groups.agg(samples="size", correct="sum")


def _samples(paths: Sequence[str | Path], tables: Sequence[pd.DataFrame]) -> int:
    """Return how many responses every problem has. Raises UserError if that differs."""
    expected = {number for table in tables[:1] for number in table["samples"]}
    for path, table in zip(paths, tables):
        if len(numbers := {*expected, *table["samples"]}) > 1:
            several = " and ".join(map(str, sorted(numbers)))
            raise UserError(f"{path}: {several} responses per problem here and in {paths[0]}; evaluate with the same settings")
    return int(max((table["samples"].max() for table in tables if len(table)), default=1))
