"""Decide which problem comes next in a phase of a curriculum: a function of seed, phase and number of the draw."""

import random
from collections.abc import Iterator
from typing import NamedTuple


class Draw(NamedTuple):
    """The row of a source that draw ``number`` (from 0) of a phase takes."""

    number: int
    source: str
    row: int


def draws(mixture: dict[str, float], sizes: dict[str, int], seed: int, phase: int, skip: int = 0) -> Iterator[Draw]:
    """Yield the endless stream of a phase, from draw number ``skip`` on.

    Each draw goes to the source that is furthest behind its share of the weights, so that after any number of draws every source
    has its share to within one draw for each other source. Within a source, rows come in shuffled epochs. ``mixture``: source ->
    weight; ``sizes``: source -> rows.
    """
    names = sorted(mixture)
    shares = {name: mixture[name] / sum(mixture[other] for other in names) for name in names}
    rows = {name: _epochs(sizes[name], f"{seed}/{phase}/{name}") for name in names}
    taken = dict.fromkeys(names, 0)
    number = 0
    while True:
        source = max(names, key=lambda name: shares[name] * (number + 1) - taken[name])
        taken[source] += 1
        row = next(rows[source])
        if number >= skip:
            yield Draw(number, source, row)
        number += 1


def _epochs(rows: int, seed: str) -> Iterator[int]:
    """Yield the row numbers 0 ... rows - 1 again and again, each time in another order."""
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
