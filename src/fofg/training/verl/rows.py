"""Rows that verl's trainers read: conversations as tokens, and problems in the order in which a curriculum draws them."""

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fofg.data.files import in_batches, write_parquet
from fofg.data.schemas import PROBLEMS
from fofg.training.conversations import IGNORED, Encoded

#: A conversation: its tokens, and the weight of each in the loss, 0 where it is not learned.
TOKENS = pa.schema([("input_ids", pa.list_(pa.int32())), ("weights", pa.list_(pa.float32()))])
_CHUNK = 1000


class Tokens:
    """verl's dataset of a TOKENS file; a row: int64 ``input_ids``, ``position_ids``, and ``loss_mask``, float32 weights.

    verl creates it (``data.custom_cls``) with arguments of its own, of which only the path is needed.
    """

    def __init__(self, parquet_files: str, *args, **kwargs):
        table = pq.read_table(parquet_files, schema=TOKENS)
        self.rows = {name: table.column(name).combine_chunks() for name in TOKENS.names}

    def __len__(self) -> int:
        return len(self.rows["input_ids"])

    def __getitem__(self, row: int) -> dict:
        import torch  # a file of tokens is written without it

        ids, weights = (np.asarray(self.rows[name][row].values) for name in TOKENS.names)
        return {
            "input_ids": torch.tensor(ids, dtype=torch.int64),
            "position_ids": torch.arange(len(ids)),
            "loss_mask": torch.tensor(weights),
        }


def write_tokens(path: Path, examples: Encoded, seed: int, loss_agg_mode: str) -> None:
    """Write conversations, shuffled by ``seed``. verl shuffles again in each epoch, but the same way in every run."""
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)
    write_parquet(path, TOKENS, in_batches((_row(examples, row, loss_agg_mode) for row in order), _CHUNK))


def write_tests(path: Path, examples: Encoded, batch_size: int, loss_agg_mode: str) -> None:
    """Write test conversations, repeated until they fill whole batches: verl drops a remainder."""
    rows = -(-len(examples) // batch_size) * batch_size
    repeated = (_row(examples, row % len(examples), loss_agg_mode) for row in range(rows))
    write_parquet(path, TOKENS, in_batches(repeated, _CHUNK))


def write_problems(path: Path, rows: Iterable[dict]) -> None:
    """Write problems (fofg.data.schemas.PROBLEMS) with their level in ``data_source``, by which verl groups what it reports."""
    levels = (row | {"data_source": f"{row['data_source']}/level{row['extra_info']['level']}"} for row in rows)
    write_parquet(path, PROBLEMS, in_batches(levels, _CHUNK))


def _row(examples: Encoded, row: int, loss_agg_mode: str) -> dict:
    """Return a row of TOKENS. verl divides the weighted sum over a batch by the sum of the weights.

    So weights of 1 give the mean over all learned tokens, and weights that add up to 1 per example the mean of examples' means.
    """
    learned = (examples.labels[row] != IGNORED).astype(np.float32)
    weights = learned if loss_agg_mode == "token-mean" else learned / learned.sum()
    return {"input_ids": examples.input_ids[row], "weights": weights}
