"""Read and write files: writes are atomic, and errors name the file and the fix."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fofg.errors import UserError, names_a_file


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


def cure(path: str | os.PathLike) -> str:
    """Suggest how to fix a damaged file: a rule's output can be made again, the user's own file can't.

    The workflow lists the user's own files and folders in FOFG_OWN_FILES; without it, every file counts as the user's.
    """
    listed, absolute = os.environ.get("FOFG_OWN_FILES"), Path(path).absolute()
    if listed is None or any(absolute.is_relative_to(parent) for parent in listed.split(os.pathsep) if parent):
        return "replace it with an undamaged one"
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


def open_parquet(path: str | os.PathLike, schema: pa.Schema | None = None) -> pq.ParquetFile:
    """Open a Parquet file. Raises UserError if it is missing, truncated, or lacks a column of ``schema``."""
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it first or correct the path") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"{path}: not a readable Parquet file ({reason}); {cure(path)}") from None
    if schema is not None:
        have = file.schema_arrow
        for field in schema:
            if field.name not in have.names:
                raise UserError(f"{path}: no column {field.name!r}; it has {', '.join(have.names)}")
            if not have.field(field.name).type.equals(field.type):
                raise UserError(f"{path}: column {field.name!r} is {have.field(field.name).type}, expected {field.type}")
    return file


def read_batches(path: str | os.PathLike, schema: pa.Schema | None = None, batch_size: int = 4096) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a Parquet file, one in memory at a time. Raises UserError as open_parquet does."""
    with open_parquet(path, schema) as file:
        columns = schema.names if schema is not None else None
        try:
            yield from file.iter_batches(batch_size=batch_size, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise damaged_parquet(path, error) from None


def read_rows(path: str | os.PathLike, schema: pa.Schema | None = None, batch_size: int = 4096) -> Iterator[dict]:
    """Yield the rows of a Parquet file as dictionaries, one batch in memory at a time. Raises UserError as open_parquet does."""
    for batch in read_batches(path, schema, batch_size):
        yield from batch.to_pylist()


def count_rows(path: str | os.PathLike) -> int:
    """Return the number of rows of a Parquet file, from its footer. Raises UserError as open_parquet does."""
    with open_parquet(path) as file:
        return file.metadata.num_rows
