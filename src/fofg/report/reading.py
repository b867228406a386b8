"""Inputs of figures and tables: checked, so that an error names the file and the cure."""

from pathlib import Path

import pyarrow as pa

from fofg.data.files import read_rows
from fofg.errors import UserError
from fofg.evaluation.tables import named_files
from fofg.training.metrics import Record, read

__all__ = ["Record", "named_files", "read_run", "table"]


def table(path: str | Path, schema: pa.Schema) -> list[dict]:
    """All rows of a results table. Raises UserError if it is missing, damaged, of other columns, or empty."""
    rows = list(read_rows(path, schema))
    if not rows:
        raise UserError(f"{path}: no row in it; make it again")
    return rows


def read_run(path: str | Path) -> list[Record]:
    """Metrics of a reinforcement learning run. Raises UserError if the file is missing, damaged, or of another run."""
    records = read(path)
    if not any("reward" in record and "accuracy" in record for record in records):
        raise UserError(f"{path}: no step with reward and accuracy; name the metrics.jsonl of a reinforcement learning run")
    return records
