"""Which examples make up each optimizer step, and how a step is cut to fit the memory."""

import random
from itertools import accumulate, pairwise
from typing import Literal

Tensors = dict  # name -> tensor [rows, tokens]


def sizes(rows: int, batch_size: int, last_batch: Literal["merge", "drop", "keep"]) -> list[int]:
    """Return the batch sizes of one epoch.

    A remainder smaller than ``batch_size`` is merged into the batch before it (or is the only batch), dropped, or kept as a batch
    of its own.
    """
    full, rest = divmod(rows, batch_size)
    result = [batch_size] * full
    if rest and last_batch == "merge" and full:
        result[-1] += rest
    elif rest and last_batch != "drop":
        result.append(rest)
    return result


def steps(rows: int, batch_size: int, epochs: int, seed: int, last_batch: Literal["merge", "drop", "keep"]) -> list[list[int]]:
    """Return the row numbers of every optimizer step. Each epoch has an order of its own."""
    ends = list(accumulate(sizes(rows, batch_size, last_batch), initial=0))
    result = []
    for epoch in range(epochs):
        order = list(range(rows))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        result += [order[start:end] for start, end in pairwise(ends)]
    return result


def by_length(batch: Tensors, size: int, multiple: int = 1) -> list[Tensors]:
    """A padded batch in parts of at most ``size`` rows of like length, longest first, each as wide as its longest row.

    ``batch``: tensors [rows, tokens] padded on the right, among them ``attention_mask``. ``multiple``: widths are rounded up to
    multiples of it, as far as the batch is wide.
    """
    lengths = batch["attention_mask"].sum(dim=1)
    order = lengths.argsort(descending=True, stable=True)
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    widths = [-(-int(lengths[part[0]]) // multiple) * multiple for part in parts]
    return [{name: tensor[part, :width] for name, tensor in batch.items()} for part, width in zip(parts, widths)]
