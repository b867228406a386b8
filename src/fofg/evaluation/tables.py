"""What the tables of results share: a file for each model, and Parquet and CSV with the same rows."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from fofg.data.files import write_parquet, write_text
from fofg.errors import UserError


def named_files(option: str, entries: Iterable[str]) -> dict[str, str]:
    """Model -> file from ``MODEL=FILE`` entries. Raises UserError, naming the option, for another form or a model named twice."""
    files: dict[str, str] = {}
    for entry in entries:
        model, equals, path = entry.partition("=")
        if not (model and equals and path):
            raise UserError(f"{option}: {entry!r} is not of the form MODEL=FILE")
        if model in files:
            raise UserError(f"{option}: {model} is named twice; give one file per model")
        files[model] = path
    return files


def files_by_model(option: str, entries: Iterable[str], models: list[str]) -> dict[str, str]:
    """Model -> file from ``MODEL=FILE`` entries, in the order of ``models``.

    Raises UserError as ``named_files`` does, and for an unknown model or one without a file.
    """
    files = named_files(option, entries)
    for model in files:
        if model not in models:
            raise UserError(f"{option}: {model!r} is not among the spec's models: {', '.join(models)}")
    for model in models:
        if model not in files:
            raise UserError(f"{option}: none of model {model}; add {model}=FILE")
    return {model: files[model] for model in models}


def write_table(parquet: str | Path, csv_path: str | Path, schema: pa.Schema, rows: list[dict]) -> None:
    """Writes rows of ``schema`` as Parquet, and as CSV under a heading line of the column names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, schema.names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_parquet(parquet, schema, [rows])
    write_text(csv_path, text.getvalue())
