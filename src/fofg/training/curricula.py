"""Curricula: which problem each draw of a phase takes, a function of seed, phase and draw number alone."""

import random
from collections.abc import Iterator
from typing import NamedTuple


class Draw(NamedTuple):
    """Draw ``number`` (from 0) of a phase: a row of one source."""

    number: int
    source: str
    row: int


def draws(mixture: dict[str, float], sizes: dict[str, int], seed: int, phase: int, skip: int = 0) -> Iterator[Draw]:
    """Yield a phase's endless stream of draws, starting with number ``skip``.

    Each draw takes the source that is furthest behind its share of the weights, so that after any number of draws every source
    has its share to within one draw for each other source. Within a source, rows come in shuffled epochs. ``mixture``: source ->
    weight; ``sizes``: source -> rows.
    """
    names = sorted(mixture)
    shares = {name: mixture[name] / sum(mixture[other] for other in names) for name in names}
    rows = {name: _epochs(sizes[name], f"{seed}/{phase}/{name}") for name in names}
    counts = dict.fromkeys(names, 0)
    number = 0
    while True:
        # No random choice between sources: the mixture holds in every step, not just on average.
        source = max(names, key=lambda name: shares[name] * (number + 1) - counts[name])
        counts[source] += 1
        row = next(rows[source])
        if number >= skip:
            yield Draw(number, source, row)
        number += 1


def _epochs(rows: int, seed: str) -> Iterator[int]:
    """Yield the row numbers 0 ... rows - 1 in endless epochs, each shuffled."""
    epoch = 0
    while True:
        order = list(range(rows))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        yield from order
        epoch += 1


def phase_of(step: int, lengths: list[int]) -> int:
    """Return the phase (from 1) of a step (from 1); ``lengths``: steps of each phase."""
    for phase, length in enumerate(lengths, 1):
        if step <= length:
            return phase
        step -= length
    raise IndexError(f"step {step} is beyond the last phase")
