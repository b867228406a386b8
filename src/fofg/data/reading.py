"""Read problems, rollouts and training examples of this project, the paper's public code, pandas, polars, datasets, TRL."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from fofg.data.files import CORRECT, column_names, cure, read_batches, read_rows
from fofg.data.schemas import DETAILS, PROBLEMS, RFT, Message
from fofg.errors import UserError
from fofg.tasks import task as tasks

#: Columns of problems and rollouts that a file may lack.
OPTIONAL = ("ability", "extra_info", "finish_reasons", "token_counts")
#: Ways to write a training example: with a response, as TRL's pair of prompt and completion, as a conversation.
_RESPONSES, _PAIRS, _CONVERSATIONS = (
    pa.schema([RFT.field(name) for name in names]) for names in (["prompt", "response"], ["prompt", "completion"], ["messages"])
)
#: Rows that ``check_problems`` and ``check_examples`` read.
FIRST_ROWS = 16

Path = str | os.PathLike


def problem_batches(path: Path, schema: pa.Schema = PROBLEMS, batch_size: int = 4096) -> Iterator[pa.RecordBatch]:
    """Yield the problems of a file (schemas.PROBLEMS, or some of its columns, or ROLLOUTS), one batch in memory at a time.

    What others' rows lack is added (``completed``). Raises UserError, naming file, row and column, for what can't be understood.
    """
    first = 0
    for batch in read_batches(path, schema, batch_size, OPTIONAL):
        yield completed(batch, path, first)
        first += batch.num_rows


def completed(batch: pa.RecordBatch, path: Path, first: int) -> pa.RecordBatch:
    """Return rows of problems or rollouts with what others' lack; ``first``: the number of the first one.

    Where ``extra_info`` lacks an index or level, rows are numbered, and their task derives the level and other details. Without
    ``finish_reasons``, every response counts as finished; without ``token_counts``, its length is unknown.
    """
    info = batch.column("extra_info")
    if info.null_count or any(info.field(name).null_count for name in ("index", "level")):
        rows = [_completed(row, number, path) for number, row in enumerate(_rows(batch, path), first)]
        batch = pa.RecordBatch.from_pylist(rows, batch.schema)
    for name, value in (("finish_reasons", "stop"), ("token_counts", None)):
        if name in batch.schema.names and batch.column(name).null_count:
            counts = pc.fill_null(pc.list_value_length(batch.column("responses")), 0).to_pylist()
            filled = pa.array([[value] * count for count in counts], batch.schema.field(name).type)
            batch = batch.set_column(batch.schema.names.index(name), name, pc.coalesce(batch.column(name), filled))
    return batch


def problem_rows(path: Path, schema: pa.Schema = PROBLEMS, batch_size: int = 4096) -> Iterator[dict]:
    """Yield the problems of a file as dictionaries. Raises UserError as ``problem_batches``."""
    for batch in problem_batches(path, schema, batch_size):
        yield from _rows(batch, path)


def _rows(batch: pa.RecordBatch, path: Path) -> list[dict]:
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        raise UserError(f"{path}: a text is not UTF-8; {cure(path)}") from None


def _completed(row: dict, number: int, path: Path) -> dict:
    given = {name: value for name, value in (row["extra_info"] or {}).items() if value is not None}
    if given.keys() >= {"index", "level"}:
        return row
    task, problem = tasks.complete(row, f"{path}: row {number}")
    if "level" not in given:
        given["index"] = number  # the public code gives all rows the same
    details = {name: problem.details.get(name) for name in DETAILS}
    info = {"index": number, "level": problem.level, **details} | given
    return row | {"ability": row.get("ability") or task.ability, "extra_info": info}


def example_rows(path: Path, schema: pa.Schema = _RESPONSES) -> Iterator[dict]:
    """Yield the training examples of a file: ``prompt`` (messages), ``response``, and what else of ``schema`` such a file has.

    A file may also have columns prompt and completion, or messages, of which the last is the assistant's. Raises UserError as
    ``problem_batches``.
    """
    names = column_names(path)
    if {"prompt", "response"} <= {*names} or not names:
        rows = read_rows(path, schema, optional={*schema.names} - {*_RESPONSES.names})
    elif {"prompt", "completion"} <= {*names}:
        rows = (_split(row["prompt"], row["completion"]) for row in read_rows(path, _PAIRS))
    elif "messages" in names:
        rows = (_split(None, row["messages"]) for row in read_rows(path, _CONVERSATIONS))
    else:
        wanted = "prompt and response, prompt and completion, or messages"
        raise UserError(f"{path}: needs the columns {wanted}; it has {', '.join(names)}")
    for number, row in enumerate(rows):
        if not isinstance(row["response"], str):
            raise UserError(f"{path}: row {number}: no response of an assistant; {cure(path, CORRECT)}")
        _check_prompt(row["prompt"], path, number)
        yield row


def _split(prompt: list[Message] | None, answer: list[Message] | None) -> dict:
    """Return an example: a prompt and its answer's only message, or without a prompt, a conversation cut at its last message."""
    if prompt is not None:
        return {"prompt": prompt, "response": answer[0]["content"] if answer and len(answer) == 1 else None}
    *turns, last = answer or [{}]
    return {"prompt": turns, "response": last.get("content") if last.get("role") == "assistant" else None}


def usable(prompt: list[Message] | None) -> bool:
    """Return whether a prompt has messages, each with a role and content."""
    return bool(prompt) and all(message and None not in message.values() for message in prompt or [])


def _check_prompt(prompt: list[Message] | None, path: Path, number: int) -> None:
    if not usable(prompt):
        problem = "column 'prompt' is empty, or a message lacks its role or content"
        raise UserError(f"{path}: row {number}: {problem}; {cure(path, CORRECT)}")


def check_problems(path: Path, leveled: bool = False) -> None:
    """Raise UserError if the first rows of a file are no problems that a task can read; ``leveled``: or have no level."""
    batch = next(problem_batches(path, batch_size=FIRST_ROWS), None)
    for number, row in enumerate(_rows(batch, path) if batch else []):
        tasks.read(row, f"{path}: row {number}")
        _check_prompt(row["prompt"], path, number)
        if leveled and row["extra_info"]["level"] is None:
            raise UserError(f"{path}: row {number}: no extra_info.level, and none can be derived; {cure(path, CORRECT)}")


def check_examples(path: Path) -> None:
    """Raise UserError if the first rows of a file are no training examples."""
    for _ in zip(range(FIRST_ROWS), example_rows(path)):
        pass


def check(problems: Iterable[tuple[str, Path]], examples: Iterable[tuple[str, Path]]) -> None:
    """Check files that keys of the configuration name, pairs of (key, file). One that doesn't exist is not checked here."""
    for key, path in problems:
        with _named(key, path) as exists:
            if exists:
                check_problems(path, leveled=key not in ("use.stage1_problems", "use.stage2_rft_problems"))
    for key, path in examples:
        with _named(key, path) as exists:
            if exists:
                check_examples(path)


@contextmanager
def _named(key: str, path: Path) -> Iterator[bool]:
    """Yield whether the file exists; name the key in errors."""
    try:
        yield os.path.exists(path)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
