"""What the tables of results share: a file for each model, and Parquet and CSV with the same rows."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from fofg.errors import UserError
from fofg.files import write_parquet, write_text


def files_by_model(option: str, entries: Iterable[str], models: list[str]) -> dict[str, str]:
    """Model -> file from ``MODEL=FILE`` entries, in the order of ``models``.

    Raises UserError, naming the option, for an entry of another form, an unknown model, one named twice or one without a file.
    """
    files: dict[str, str] = {}
    for entry in entries:
        model, equals, path = entry.partition("=")
        if not (equals and path):
            raise UserError(f"{option}: {entry!r} is not of the form MODEL=FILE")
        if model not in models:
            raise UserError(f"{option}: {model!r} is not among the spec's models: {', '.join(models)}")
        if model in files:
            raise UserError(f"{option}: {model} is named twice; give one file a model")
        files[model] = path
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
