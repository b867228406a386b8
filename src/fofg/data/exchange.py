"""Convert files of problems or training examples: others' to this project's columns, and back."""

from typing import Literal

import pyarrow as pa

from fofg.data.files import column_names, in_batches, write_parquet
from fofg.data.messages import with_messages
from fofg.data.reading import Path, example_rows, problem_rows
from fofg.data.schemas import EXAMPLES, MESSAGES, PROBLEMS, RFT, Message
from fofg.errors import UserError
from fofg.tasks import task as tasks

Form = Literal["verl", "messages", "public"]
_CONVERSATIONS = pa.schema([("messages", MESSAGES)])
_DEPTH = pa.struct([("index", pa.int64()), ("split", pa.string()), ("depth", pa.int64())])
_PUBLIC_PROBLEMS = PROBLEMS.set(PROBLEMS.get_field_index("extra_info"), pa.field("extra_info", _DEPTH))
_PUBLIC_EXAMPLES = pa.schema([("prompt", pa.string()), ("response", pa.string())])


def import_rows(path: Path, output: Path) -> int:
    """Write a file of others with this project's columns, and problems renumbered. Return the number of rows.

    Raises UserError, naming file, row and column, for what can't be understood.
    """
    if _are_examples(path):
        return write_parquet(output, RFT, map(_examples, in_batches(example_rows(path, EXAMPLES))))
    numbered = (row | {"extra_info": row["extra_info"] | {"index": number}} for number, row in enumerate(problem_rows(path)))
    return write_parquet(output, PROBLEMS, in_batches(numbered))


def export_rows(path: Path, output: Path, form: Form) -> int:
    """Write a file for others. Return the number of rows.

    ``verl``: this project's own columns, which verl's trainers read; ``messages``: conversations alone; ``public``: those of the
    paper's public code, where examples have a prompt and response as text. Raises UserError for rows that can't be written so.
    """
    if form == "verl":
        return import_rows(path, output)
    if _are_examples(path):
        rows = example_rows(path)
        if form == "public":
            texts = ({**row, "prompt": _text(row["prompt"], path, number)} for number, row in enumerate(rows))
            return write_parquet(output, _PUBLIC_EXAMPLES, in_batches(texts))
        talks = ([*row["prompt"], {"role": "assistant", "content": row["response"]}] for row in rows)
        return write_parquet(output, _CONVERSATIONS, in_batches({"messages": talk} for talk in talks))
    problems = problem_rows(path)
    if form == "messages":
        return write_parquet(output, _CONVERSATIONS, in_batches({"messages": row["prompt"]} for row in problems))
    published = (_published(row, f"{path}: row {number}") for number, row in enumerate(problems))
    return write_parquet(output, _PUBLIC_PROBLEMS, in_batches(published))


def _are_examples(path: Path) -> bool:
    return bool({"response", "completion", "messages"} & {*column_names(path)})


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
