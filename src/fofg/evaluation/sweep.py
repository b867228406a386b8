"""The table of a sweep: accuracy at every point, by seed, model, dataset and level."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from fofg.data.schemas import ACCURACY, SPLIT_ACCURACY
from fofg.evaluation.tables import read

#: Columns behind those of the swept keys.
COLUMNS = ["seed", "model", "dataset", "level", "accuracy", "low", "high", "problems", "samples"]


def summarize(points: Sequence[Mapping[str, str]], tables: Sequence[str | Path], dataset: str, splits: bool) -> pd.DataFrame:
    """Join the tables of accuracy of all points, sampled responses only: a column per swept key, then COLUMNS.

    ``points``: swept key -> name of its value; ``splits``: whether the tables are by split; if not, all problems are ``dataset``.
    ``low`` and ``high`` are the ends of the 95% interval. Points may share a table. Raises UserError as ``tables.read``.
    """
    joined = []
    for point, path in zip(points, tables, strict=True):
        table = read(path, SPLIT_ACCURACY if splits else ACCURACY)
        table = table.rename(columns={"split": "dataset"}) if splits else table.assign(dataset=dataset)
        joined.append(table[table["decoding"] == "sampled"][COLUMNS].assign(**point)[[*point, *COLUMNS]])
    return pd.concat(joined, ignore_index=True)
