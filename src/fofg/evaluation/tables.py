"""Read and write tables of results."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from fofg.data.files import read_batches, write_parquet, write_text
from fofg.errors import UserError


def read(path: str | Path, schema: pa.Schema) -> pd.DataFrame:
    """Read the columns of ``schema`` from a Parquet file. Raises UserError if it is missing, damaged, empty or lacks a column."""
    table = pa.Table.from_batches(read_batches(path, schema), schema).to_pandas()
    if table.empty:
        raise UserError(f"{path}: no row in it; were all prompts skipped as too long? Otherwise remove it and run again")
    return table


def read_all(models: Sequence[str], paths: Sequence[str | Path], schema: pa.Schema, seeds: Sequence[int] = ()) -> pd.DataFrame:
    """Read one file per model and seed into one table with columns ``model`` and ``seed`` (0 if there are no ``seeds``).

    Raises UserError as ``read``.
    """
    if len(models) != len(paths):
        raise UserError(f"{len(paths)} files for {len(models)} models ({', '.join(models)}); give one per model, in this order")
    files = zip(models, seeds or [0] * len(models), paths, strict=True)
    return pd.concat([read(path, schema).assign(model=model, seed=seed) for model, seed, path in files], ignore_index=True)


def in_order(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Make columns sort and group in the order in which their values first appear."""
    return table.assign(**{column: pd.Categorical(table[column], table[column].unique()) for column in columns})


def write(table: pd.DataFrame, schema: pa.Schema, parquet: str | Path, csv: str | Path) -> None:
    """Write the columns of ``schema`` as Parquet and as CSV."""
    write_parquet(parquet, schema, [table[schema.names].to_dict("records")])
    write_text(csv, table[schema.names].to_csv(index=False, lineterminator="\n"))
