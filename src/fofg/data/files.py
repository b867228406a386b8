"""Read and write files: writes are atomic, and errors name the file and the fix."""

import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from fofg.data.conversion import Unreadable, convert, from_values
from fofg.errors import UserError, names_a_file

Item = TypeVar("Item")

#: Cure of a row in the user's own file.
CORRECT = "correct or remove the row"


class _WithoutPandas:
    def find_spec(self, name: str, path=None, target=None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def leave_out_pandas() -> None:
    """Keep pyarrow from importing pandas in programs that don't use it; the import is most of their start-up time, 0.3 s.

    pyarrow tries once, for its first array. Afterwards pandas can be imported, but pyarrow doesn't convert to it.
    """
    sys.meta_path.insert(0, finder := _WithoutPandas())
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds, remove it otherwise.

    The temporary name is fixed, so the leftovers of a killed process are overwritten. Only one process at a time may write a path.
    """
    path = Path(path)
    temporary = _partial(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
        finally:
            with suppress(NotADirectoryError):
                temporary.unlink(missing_ok=True)


@contextmanager
def staged(folder: str | os.PathLike, replaces: Iterable[str] = ()) -> Iterator[Path]:
    """Yield an empty temporary folder; if the block succeeds, move its files into ``folder``, replacing files of the same name.

    ``replaces``: patterns of names; older files that match one, and have no successor, are removed at the end.
    """
    folder = Path(folder)
    temporary = _partial(folder)
    with writing(folder):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            folder.mkdir(parents=True, exist_ok=True)
            new = sorted(temporary.iterdir())
            for path in new:
                if not path.is_symlink():
                    path.chmod(temporary.stat().st_mode & 0o666)  # safetensors creates private files
                os.replace(path, folder / path.name)
            for old in {old for pattern in replaces for old in folder.glob(pattern)} - {folder / path.name for path in new}:
                if old.is_symlink() or old.is_file():
                    old.unlink()
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


@contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Add ``path`` to errors that don't name the file that could not be written, such as those of a full disk."""
    try:
        yield
    except Exception as error:
        if names_a_file(error) and not getattr(error, "filename", None):
            with suppress(AttributeError):
                error.filename = str(path)  # type: ignore[attr-defined]
        raise


def damaged_parquet(path: str | os.PathLike, error: Exception) -> UserError:
    """Return the error of a Parquet file that can't be read."""
    reason = str(error).splitlines()[0][:200]
    return UserError(f"{path}: damaged Parquet file ({reason}); {cure(path)}")


def cure(path: str | os.PathLike, own: str = "replace it with an undamaged one") -> str:
    """Suggest how to fix a file: a rule's output can be made again, the user's own (``own``) can't.

    The workflow lists the user's own files and folders in FOFG_OWN_FILES; without it, every file counts as the user's.
    """
    listed, absolute = os.environ.get("FOFG_OWN_FILES"), Path(path).absolute()
    if listed is None or any(absolute.is_relative_to(parent) for parent in listed.split(os.pathsep) if parent):
        return own
    return "remove it and run again"


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value) -> None:
    """Write indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_spec(path: str | os.PathLike, spec) -> None:
    """Write the spec (a pydantic model) of a file beside it, as NAME.spec.json."""
    write_json(Path(path).with_suffix(".spec.json"), spec.model_dump(mode="json"))


def in_batches(items: Iterable[Item], size: int = 4096) -> Iterator[list[Item]]:
    """Yield the items in lists of ``size``; the last one may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def write_parquet(path: str | os.PathLike, schema: pa.Schema, batches: Iterable[pa.RecordBatch | list[dict]]) -> int:
    """Stream record batches (or lists of rows) of ``schema`` into one file. Return the number of rows."""
    rows = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for batch in batches:
            if isinstance(batch, list):
                batch = pa.RecordBatch.from_pylist(batch, schema=schema)
            if batch.num_rows:
                writer.write_batch(batch)
                rows += batch.num_rows
    return rows


def open_parquet(path: str | os.PathLike, columns: Iterable[str] = ()) -> pq.ParquetFile:
    """Open a Parquet file. Raises UserError if it is missing, truncated, or lacks a column."""
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"{path}: not a readable Parquet file ({reason}); {cure(path)}") from None
    _check_columns(path, columns, file.schema_arrow.names)
    return file


def _missing(path: str | os.PathLike) -> UserError:
    return UserError(f"{path}: no such file; make it first or correct the path")


def _check_columns(path: str | os.PathLike, needed: Iterable[str], names: Collection[str]) -> None:
    for name in needed:
        if name not in names:
            raise UserError(f"{path}: no column {name!r}; it has {', '.join(names)}")


def read_batches(
    path: str | os.PathLike, schema: pa.Schema | None = None, batch_size: int = 4096, optional: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet or JSON Lines file as batches of ``schema``, one in memory at a time, whoever wrote the file.

    Columns are converted (fofg.data.conversion), others left out; those in ``optional`` are null where the file lacks them. Without
    a schema, a Parquet file's columns stay as they are. Raises UserError with file, row and column for what can't be understood.
    """
    if schema is None:
        yield from _parquet_batches(path, None, [], batch_size)
        return
    needed = [name for name in schema.names if name not in optional]
    first = 0
    for batch in (_json_batches if is_json_lines(path) else _parquet_batches)(path, schema, needed, batch_size):
        yield conform(batch, schema, path, first)
        first += batch.num_rows


def read_rows(
    path: str | os.PathLike, schema: pa.Schema | None = None, batch_size: int = 4096, optional: Collection[str] = ()
) -> Iterator[dict]:
    """Yield the rows of a file as dictionaries, one batch in memory at a time. Raises UserError as ``read_batches``."""
    for batch in read_batches(path, schema, batch_size, optional):
        yield from batch.to_pylist()


def conform(batch: pa.RecordBatch, schema: pa.Schema, path: str | os.PathLike, first: int) -> pa.RecordBatch:
    """Return a batch of a file as ``schema``; ``first``: the number of its first row. Raises UserError as ``read_batches``."""
    columns = []
    for field in schema:
        if field.name not in batch.schema.names:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        try:
            columns.append(convert(batch.column(field.name), field.type))
        except Unreadable as error:
            raise UserError(f"{path}: row {first + error.row}: column {field.name!r}: {error}; {cure(path, CORRECT)}") from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _parquet_batches(path: str | os.PathLike, schema: pa.Schema | None, needed: list[str], size: int) -> Iterator[pa.RecordBatch]:
    with open_parquet(path, needed) as file:
        present = [name for name in schema.names if name in file.schema_arrow.names] if schema else None
        try:
            yield from file.iter_batches(size, columns=present)
        except (pa.ArrowException, OSError) as error:
            raise damaged_parquet(path, error) from None


def is_json_lines(path: str | os.PathLike) -> bool:
    """Return whether a file has a JSON object per line, by its name."""
    return str(path).endswith(".jsonl")


def _json_batches(path: str | os.PathLike, schema: pa.Schema, needed: list[str], size: int) -> Iterator[pa.RecordBatch]:
    first = 0
    for chunk in in_batches(_json_rows(path), size):
        _check_columns(path, needed, dict.fromkeys(name for row in chunk for name in row))
        columns = []
        for field in schema:
            try:
                columns.append(from_values([row.get(field.name) for row in chunk], field.type))
            except Unreadable as error:
                raise UserError(f"{path}: row {first + error.row}: column {field.name!r}: {error}; {cure(path, CORRECT)}") from None
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        first += len(chunk)


def _json_rows(path: str | os.PathLike) -> Iterator[dict]:
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(filter(bytes.strip, file)):
                try:
                    row = json.loads(line.decode("utf-8-sig"))
                except (ValueError, RecursionError) as error:
                    raise UserError(f"{path}: row {number} is not JSON ({error}); {cure(path, CORRECT)}") from None
                if not isinstance(row, dict):
                    raise UserError(f"{path}: row {number} is no JSON object; {cure(path, CORRECT)}")
                yield row
    except FileNotFoundError:
        raise _missing(path) from None


def column_names(path: str | os.PathLike) -> list[str]:
    """Return the names of a file's columns; in JSON Lines, of the first row's. Raises UserError as ``read_batches``."""
    if is_json_lines(path):
        return list(next(_json_rows(path), {}))
    with open_parquet(path) as file:
        return file.schema_arrow.names


def count_rows(path: str | os.PathLike) -> int:
    """Return the number of rows of a file: from a Parquet file's footer, or counted. Raises UserError as ``read_batches``."""
    if is_json_lines(path):
        try:
            with open(path, "rb") as file:
                return sum(1 for line in file if line.strip())
        except FileNotFoundError:
            raise _missing(path) from None
    with open_parquet(path) as file:
        return file.metadata.num_rows
