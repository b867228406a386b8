"""Which examples make up each optimizer step, and how a step is cut to fit the memory."""

import random

Tensors = dict  # name -> tensor [rows, tokens]


def steps(rows: int, batch_size: int, epochs: int, seed: int) -> list[list[int]]:
    """Row numbers of every optimizer step: each epoch in an order of its own, its last step holding what is left."""
    result = []
    for epoch in range(epochs):
        order = list(range(rows))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        result += [order[start : start + batch_size] for start in range(0, rows, batch_size)]
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
