"""Split the selected examples into rft_data/train.parquet and rft_data/test.parquet."""

import numpy as np

from fofg.errors import UserError


def hold_back(groups: np.ndarray, test_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose the examples of the test split, so that no problem is in both splits.

    ``groups`` [examples]: the problem of each kept response, in file order. Returns two masks [examples]: exactly ``test_rows``
    examples of the test split, and those in neither split because their problem is held back. Problems are drawn by ``seed``, one
    example of each as long as that takes at most half the problems.
    Raises UserError if ``test_rows`` examples for the test split leave none of another problem for training.
    """
    in_test = np.zeros(len(groups), dtype=bool)
    if test_rows == 0:
        return in_test, in_test.copy()
    problems, counts = np.unique(groups, return_counts=True)
    order = np.random.default_rng((seed, 0)).permutation(len(problems))
    enough = _enough(counts[order], test_rows)
    if enough >= len(order):  # the draw would leave nothing to train on: take the problems with the most examples instead
        order = order[np.argsort(-counts[order], kind="stable")]
        enough = _enough(counts[order], test_rows)
    if enough >= len(order):
        raise UserError(
            f"test_rows: {test_rows} examples to hold back and one of another problem to train on need more than the "
            f"{len(groups)} kept responses of {len(problems)} problems; lower test_rows, or roll out more problems or samples"
        )
    chosen = order[: max(enough, min(test_rows, len(order) // 2))]
    quota = dict(zip(problems[chosen].tolist(), _spread(counts[chosen], test_rows).tolist()))
    of_test_problem = np.isin(groups, problems[chosen])
    for i in np.flatnonzero(of_test_problem).tolist():
        problem = int(groups[i])
        in_test[i] = quota[problem] > 0
        quota[problem] -= 1
    return in_test, of_test_problem & ~in_test


def max_held_back(groups: np.ndarray) -> int:
    """Return the largest ``test_rows`` that ``hold_back`` accepts: all examples except those of the rarest problem."""
    _, counts = np.unique(groups, return_counts=True)
    return len(groups) - int(counts.min(initial=len(groups)))


def _enough(counts: np.ndarray, rows: int) -> int:
    """Return the number of leading problems whose examples add up to ``rows``; len(counts) + 1 if none do."""
    return int(np.searchsorted(np.cumsum(counts), rows)) + 1


def _spread(counts: np.ndarray, rows: int) -> np.ndarray:
    """Distribute ``rows`` over the problems as evenly as their numbers of examples, ``counts``, allow."""
    quotas = np.zeros_like(counts)
    while (missing := rows - int(quotas.sum())) > 0:
        open_problems = np.flatnonzero(quotas < counts)[:missing]
        quotas[open_problems] += 1
    return quotas
