"""Convert files of problems, rollouts or training examples: others' to this project's columns, and back."""

import os
from collections.abc import Iterable, Iterator
from glob import escape, glob
from pathlib import Path as Folder
from typing import Literal

import pyarrow as pa

from fofg import names
from fofg.data.files import column_names, in_batches, write_parquet
from fofg.data.messages import with_messages
from fofg.data.reading import Path, example_rows, problem_rows
from fofg.data.schemas import EXAMPLES, MESSAGES, PROBLEMS, RFT, ROLLOUTS, Message
from fofg.errors import UserError
from fofg.tasks import task as tasks

Form = Literal["verl", "messages", "public"]
_CONVERSATIONS = pa.schema([("messages", MESSAGES)])
_DEPTH = pa.struct([("index", pa.int64()), ("split", pa.string()), ("depth", pa.int64())])
_PUBLIC_PROBLEMS = PROBLEMS.set(PROBLEMS.get_field_index("extra_info"), pa.field("extra_info", _DEPTH))
_PUBLIC_ROLLOUTS = _PUBLIC_PROBLEMS.append(ROLLOUTS.field("responses"))
_PUBLIC_EXAMPLES = pa.schema([("prompt", pa.string()), ("response", pa.string())])
#: Rollouts in memory at a time: each may have a thousand responses.
_ROLLOUTS = 128


def find(name: str, run_dir: str) -> dict[str, str]:
    """Return the files that a name means, by what to add to the path of an output.

    ``name``: a file, a folder with train and test, or one of these under the run's data, such as ``stage2_level2`` or
    ``stage1_level1/rollout``. Raises UserError if there is none.
    """
    data = Folder(run_dir, names.DATA).parent
    made = [path for ending in ("", ".parquet") for path in sorted(glob(f"{escape(str(data))}/*/{escape(name)}{ending}"))]
    path = next(filter(os.path.exists, [name, *made]), "")
    if os.path.isfile(path):
        return {"": path}
    files = [f"{path}/{split}{ending}" for split in ("train", "test") for ending in (".parquet", ".jsonl")]
    found = {f"/{Folder(file).stem}.parquet": file for file in filter(os.path.exists, files)} if path else {}
    if not found:
        others = sorted({folder.name for folder in data.glob("*/*") if folder.is_dir()})
        known = f"; there are {', '.join(others)}" if others else ""
        missing = f"{name}: no such file, and no train, test or file of that name under {data}"
        raise UserError(f"{missing}; make it first, or correct the name{known}")
    return found


def import_rows(path: Path, output: Path) -> int:
    """Write a file of others with this project's columns, and problems renumbered. Return the number of rows.

    Raises UserError, naming file, row and column, for what can't be understood.
    """
    if not (schema := _problems(path)):
        return write_parquet(output, RFT, map(_examples, in_batches(example_rows(path, EXAMPLES))))
    rows = enumerate(problem_rows(path, schema, _ROLLOUTS))
    numbered = (row | {"extra_info": row["extra_info"] | {"index": number}} for number, row in rows)
    return _write(output, schema, numbered)


def export_rows(path: Path, output: Path, form: Form) -> int:
    """Write a file for others. Return the number of rows.

    ``verl``: this project's own columns, which verl's trainers read; ``messages``: conversations alone, one per response;
    ``public``: the columns of the paper's public code, where examples have a prompt and response as text. Raises UserError for rows
    that can't be written so.
    """
    if form == "verl":
        return import_rows(path, output)
    schema = _problems(path)
    if form == "messages":
        talks = _talks(problem_rows(path, schema, _ROLLOUTS) if schema else example_rows(path))
        return _write(output, _CONVERSATIONS, ({"messages": talk} for talk in talks))
    if not schema:
        texts = ({**row, "prompt": _text(row["prompt"], path, number)} for number, row in enumerate(example_rows(path)))
        return _write(output, _PUBLIC_EXAMPLES, texts)
    published = (_published(row, f"{path}: row {number}") for number, row in enumerate(problem_rows(path, schema, _ROLLOUTS)))
    return _write(output, _PUBLIC_ROLLOUTS if schema is ROLLOUTS else _PUBLIC_PROBLEMS, published)


def _write(output: Path, schema: pa.Schema, rows: Iterable[dict]) -> int:
    return write_parquet(output, schema, in_batches(rows, _ROLLOUTS if "responses" in schema.names else 4096))


def _problems(path: Path) -> pa.Schema | None:
    """Return the schema of a file of problems or rollouts; None for one of training examples."""
    columns = {*column_names(path)}
    if "responses" in columns:
        return ROLLOUTS
    return None if {"response", "completion", "messages"} & columns else PROBLEMS


def _talks(rows: Iterator[dict]) -> Iterator[list[Message]]:
    """Yield the conversations of rows: with each of their responses, or the prompt alone."""
    for row in rows:
        responses = [row["response"]] if "response" in row else row.get("responses")
        given = [response for response in responses or () if response is not None]
        answers = [[]] if responses is None else [[{"role": "assistant", "content": response}] for response in given]
        yield from ([*row["prompt"], *answer] for answer in answers)


def _examples(rows: list[dict]) -> pa.RecordBatch:
    return with_messages(pa.RecordBatch.from_pylist(rows, EXAMPLES))


def _text(prompt: list[Message], path: Path, number: int) -> str:
    if len(prompt) > 1:
        problem = "a prompt of several messages is no text"
        raise UserError(f"{path}: row {number}: {problem}; export as messages, or set turns_per_example: 1")
    return prompt[0]["content"]


def _published(row: dict, where: str) -> dict:
    task, problem = tasks.read(row, where)
    if not hasattr(task, "publish"):
        raise UserError(f"{where}: the public code has no task {task.name}; export as verl or messages")
    source, truth = task.publish(problem)
    info = {"index": row["extra_info"]["index"], "split": row["extra_info"]["split"] or "", "depth": problem.level}
    return row | {"data_source": source, "reward_model": {"style": "rule", "ground_truth": truth}, "extra_info": info}
