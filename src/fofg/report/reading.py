"""Inputs of figures and tables: checked, so that an error names the file and the cure."""

from pathlib import Path

import pyarrow as pa

from fofg.errors import UserError
from fofg.files import read_rows
from fofg.training.metrics import Record, read

__all__ = ["Record", "named", "read_run", "table"]


def table(path: str | Path, schema: pa.Schema) -> list[dict]:
    """All rows of a results table. Raises UserError if it is missing, damaged, of other columns, or empty."""
    rows = list(read_rows(path, schema))
    if not rows:
        raise UserError(f"{path}: no row in it; make it again")
    return rows


def named(option: str, entries: list[str]) -> dict[str, str]:
    """Model -> file from ``MODEL=FILE`` entries. Raises UserError for another form or a model named twice."""
    files: dict[str, str] = {}
    for entry in entries:
        model, equals, path = entry.partition("=")
        if not (model and equals and path):
            raise UserError(f"{option}: {entry!r} is not of the form MODEL=FILE")
        if model in files:
            raise UserError(f"{option}: {model} is named twice; one file a model")
        files[model] = path
    return files


def read_run(path: str | Path) -> list[Record]:
    """Metrics of a reinforcement learning run. Raises UserError if the file is missing, damaged, or of another run."""
    records = read(path)
    if not any("reward" in record and "accuracy" in record for record in records):
        raise UserError(f"{path}: no step with reward and accuracy; name the metrics.jsonl of a reinforcement learning run")
    return records
