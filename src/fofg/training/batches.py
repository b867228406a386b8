"""Assign rows to optimizer steps, and cut a step into micro-batches of similar length."""

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal

import torch
from torch.nn.utils.rnn import pad_sequence

Batch = dict[str, torch.Tensor]


def sizes(rows: int, batch_size: int, last_batch: Literal["merge", "drop", "keep"]) -> list[int]:
    """Return the batch sizes of one epoch.

    A remainder smaller than ``batch_size`` is merged into the previous batch (or is the only batch), dropped, or kept as a smaller
    batch.
    """
    full, rest = divmod(rows, batch_size)
    result = [batch_size] * full
    if rest and last_batch == "merge" and full:
        result[-1] += rest
    elif rest and last_batch != "drop":
        result.append(rest)
    return result


def steps(rows: int, batch_size: int, epochs: int, seed: int, last_batch: Literal["merge", "drop", "keep"]) -> list[list[int]]:
    """Return the row numbers of every optimizer step. Each epoch is shuffled by the seed and its number."""
    ends = list(accumulate(sizes(rows, batch_size, last_batch), initial=0))
    result = []
    for epoch in range(epochs):
        order = list(range(rows))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        result += [order[start:end] for start, end in pairwise(ends)]
    return result


def micro_batches(
    rows: Sequence[Batch], size: int, device: torch.device, multiple: int = 1, max_width: int | None = None
) -> list[Batch]:
    """Cut rows into micro-batches of at most ``size`` rows of similar length, longest first, padded with 0 on the right.

    ``rows``: tensors [tokens], among them ``input_ids``, and scalars. The result gets an ``attention_mask`` (1: no padding). Widths
    are rounded up to a ``multiple``, but not beyond ``max_width``.
    """
    # Longest first, so that a batch that does not fit the GPU fails at once.
    ordered = sorted(rows, key=lambda row: -len(row["input_ids"]))
    result = []
    for start in range(0, len(ordered), size):
        part = [row | {"attention_mask": torch.ones_like(row["input_ids"])} for row in ordered[start : start + size]]
        longest = len(part[0]["input_ids"])
        width = max(longest, min(-(-longest // multiple) * multiple, max_width or longest + multiple))
        result.append({name: _stack([row[name] for row in part], width).to(device) for name in part[0]})
    return result


def _stack(tensors: list[torch.Tensor], width: int) -> torch.Tensor:
    if not tensors[0].ndim:
        return torch.stack(tensors)[:, None]
    padded = pad_sequence(tensors, batch_first=True)
    return torch.nn.functional.pad(padded, (0, width - padded.shape[1]))
