"""Pools of functions for the problems of each stage (paper §3.1, §4; App. A)."""

from random import Random
from typing import Literal

from fofg.config import Problems
from fofg.tasks.strings.functions import DECLARED, FUNCTIONS

_PAPER = tuple(FUNCTIONS)[:25]
_TRAINING = (1, 3, 4, 5, 9, 11, 13, 15, 17, 19, 20, 22, 23)
#: The published split of Stage 2. Three functions of each side equal one of the other.
PUBLISHED = {
    "train": tuple(name for number, name in enumerate(_PAPER) if number in _TRAINING),
    "test": tuple(name for number, name in enumerate(_PAPER) if number not in _TRAINING),
}


def pool(settings: Problems, stage: int, split: str) -> tuple[str, ...]:
    """Return the functions of a split (readable names, by number): all in Stage 1, those of its side in Stage 2."""
    if stage == 1:
        return _PAPER if settings.sampler == "paper" else tuple(FUNCTIONS)
    if settings.pools:
        chosen = getattr(settings.pools, split)
        return tuple(name for name in FUNCTIONS if name in chosen)
    if settings.sampler == "paper":
        return PUBLISHED[split]
    return tuple(name for name, declared in DECLARED.items() if declared.pool == split)


def pairs(pool: tuple[str, ...], seed: int, kind: Literal["seen", "new"]) -> frozenset[tuple[str, str]]:
    """Return the pairs (inner, outer) of functions that training composes, or the quarter that it leaves out.

    Each function has equally many new pairs as the inner and as the outer one; a function with itself is a seen pair.
    """
    generator = Random(f"{seed} pairs")
    order = generator.sample(pool, len(pool))
    left_out = generator.sample(range(1, len(pool)), len(pool) // 4)
    new = {(inner, order[(index + shift) % len(order)]) for index, inner in enumerate(order) for shift in left_out}
    return frozenset(new if kind == "new" else {(inner, outer) for inner in pool for outer in pool} - new)
