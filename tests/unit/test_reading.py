"""Files of others: whoever wrote the rows, what is read is the same; what can't be understood is named by file, row and column."""

import json
from pathlib import Path

import pandas as pd
import problem_sets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_rows import TABLES, rows

from fofg.data import datasets, reading
from fofg.data.files import count_rows, read_rows, write_parquet
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError
from fofg.tasks import task as tasks

#: The published sampler counts levels as the public code does.
SETTINGS = problem_sets.DEFAULT.problems.model_copy(update={"sampler": "paper"})
BATCHES = list(datasets.batches(problem_sets.spec("stage2_level1to8", "test", 24, SETTINGS)))
ROWS = [row for batch in BATCHES for row in batch.to_pylist()]
JSON_COLUMNS = ("reward_model", "extra_info")


def table(rows=ROWS, **columns):
    """Return rows as Arrow infers them; ``columns``: a function of each value."""
    return pa.Table.from_pylist([row | {name: change(row[name]) for name, change in columns.items()} for row in rows])


def retyped(kind: pa.DataType) -> pa.DataType:
    """Return a type with the same meaning, of another width or layout."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, retyped(field.type)) for field in reversed(list(kind))])
    if pa.types.is_list(kind):
        return pa.large_list(retyped(kind.value_type))
    return {pa.int32(): pa.int16(), pa.int64(): pa.uint32(), pa.string(): pa.large_string()}[kind]


def categorical(whole: pa.Table) -> pa.Table:
    return whole.set_column(0, "data_source", whole["data_source"].dictionary_encode())


def public(row: dict, level=True) -> dict:
    """Return a row in the columns of the public code."""
    truth = json.loads(row["reward_model"]["ground_truth"])
    program = f"def func_0(s):\n    return s\n\ndef main_solution(x):\n    return {truth['expression']}"
    truth = {
        "ref_input": {"x": truth["ref_input"]},
        "ref_output": truth["ref_output"],
        "ref_code": program,
        "funcname": "main_solution",
    }
    info = {"index": 0, "split": "dummy"} | ({"depth": row["extra_info"]["depth"]} if level else {})
    return row | {
        "data_source": f"codeio-forward-incomplete-depth{row['extra_info']['depth']}",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(truth)},
        "extra_info": info,
    }


OWN = pa.Table.from_batches(BATCHES)
#: Ways to write the rows.
WRITTEN = {
    "pandas": lambda path: OWN.to_pandas().to_parquet(path),
    "pandas, inferred": lambda path: pd.DataFrame(ROWS).to_parquet(path),
    "arrow, inferred": lambda path: pq.write_table(table(), path),
    "other types and order": lambda path: pq.write_table(
        OWN.cast(pa.schema([(f.name, retyped(f.type)) for f in PROBLEMS])).select(PROBLEMS.names[::-1]), path
    ),
    "categories": lambda path: pq.write_table(categorical(OWN), path),
    "more columns and fields": lambda path: pq.write_table(
        table(extra_info=lambda info: info | {"note": "x"}).append_column("more", pa.array([None] * len(ROWS))), path
    ),
    "JSON text": lambda path: pq.write_table(table(**dict.fromkeys(["prompt", *JSON_COLUMNS], json.dumps)), path),
    "ground truth as a struct": lambda path: pq.write_table(
        table(reward_model=lambda model: model | {"ground_truth": json.loads(model["ground_truth"])}), path
    ),
    "prompts as text": lambda path: pq.write_table(table(prompt=lambda prompt: prompt[0]["content"]), path),
    "JSON Lines": lambda path: path.write_text("\n\n".join(map(json.dumps, ROWS)) + "\n", encoding="utf-8"),
    "JSON Lines by pandas": lambda path: pd.DataFrame(ROWS).to_json(path, orient="records", lines=True),
    "several row groups": lambda path: pq.write_table(OWN, path, row_group_size=5),
}


def write(folder: Path, name: str) -> Path:
    path = folder / ("rows.jsonl" if "Lines" in name else "rows.parquet")
    WRITTEN[name](path)
    return path


@pytest.mark.parametrize("name", WRITTEN)
def test_the_same_rows_are_read_whoever_wrote_them(tmp_path, name):
    path = write(tmp_path, name)
    reading.check_problems(path)
    assert count_rows(path) == len(ROWS)
    assert list(reading.problem_rows(path)) == ROWS
    assert [batch.schema for batch in reading.problem_batches(path, batch_size=7)] == [PROBLEMS] * 4


@pytest.mark.parametrize("name", TABLES)
def test_every_table_survives_pandas_and_json_lines(tmp_path, name):
    schema, expected = TABLES[name], rows(TABLES[name])
    write_parquet(tmp_path / "own.parquet", schema, [expected])
    frame = pd.read_parquet(tmp_path / "own.parquet")
    frame.to_parquet(tmp_path / "pandas.parquet")
    frame.to_json(tmp_path / "pandas.jsonl", orient="records", lines=True)
    (tmp_path / "json.jsonl").write_text("\n".join(map(json.dumps, expected)))
    for file in ("own.parquet", "pandas.parquet", "pandas.jsonl", "json.jsonl"):
        assert list(read_rows(tmp_path / file, schema)) == expected, file


@pytest.mark.parametrize("depth", [True, False])
def test_level_and_skills_of_public_rows_are_derived(tmp_path, depth):
    path = tmp_path / "public.parquet"
    pq.write_table(pa.Table.from_pylist([public(row, depth) for row in ROWS]), path)
    for read, row in zip(reading.problem_rows(path), ROWS, strict=True):
        assert read["extra_info"] == row["extra_info"] | {"split": "dummy"}
        assert tasks.read(read, "")[1][:4] == tasks.read(row, "")[1][:4]


def test_rows_without_numbers_are_completed(tmp_path):
    path = tmp_path / "mine.jsonl"
    rows = [{name: row[name] for name in ("data_source", "prompt", "reward_model")} for row in ROWS]
    path.write_text("\n".join(map(json.dumps, rows)))
    for number, (read, row) in enumerate(zip(reading.problem_rows(path), ROWS, strict=True)):
        info = read["extra_info"]
        assert (info["index"], info["functions"], info["calls"]) == (
            number,
            row["extra_info"]["functions"],
            row["extra_info"]["calls"],
        )
        assert read["ability"] == row["ability"]


def truth(row: dict, **changes) -> dict:
    """Return a public row with another ground truth."""
    changed = json.loads(row["reward_model"]["ground_truth"]) | changes
    return row | {"reward_model": {"ground_truth": json.dumps(changed)}}


def program(row: dict, expression: str) -> dict:
    return truth(row, ref_code=f"def main_solution(x):\n    return {expression}")


BROKEN = {
    "row 3: column 'extra_info': 'many' is no whole number": lambda row: row | {"extra_info": {"index": "many"}},
    "row 3: column 'extra_info': 1099511627776 is too large": lambda row: row | {"extra_info": {"level": 1 << 40}},
    "row 3: column 'prompt': '5' is no list": lambda row: row | {"prompt": 5},
    r"row 3: column 'prompt': '\[1\]' is no text": lambda row: row | {"prompt": [{"role": "user", "content": [1]}]},
    "row 3: column 'prompt': a text is not valid Unicode": lambda row: row | {"prompt": "\ud800"},
    "row 3: column 'prompt' is empty": lambda row: row | {"prompt": []},
    "row 3: column 'reward_model': not JSON": lambda row: row | {"reward_model": "{"},
    "row 3: column 'reward_model': .*recursion": lambda row: row | {"reward_model": "[" * 99_999},
    "row 3: no task for data_source 'theirs'": lambda row: row | {"data_source": "theirs"},
    "row 3: .* gives '.*' for '.*', not 'wrong'; correct or remove the row": lambda row: truth(row, ref_output="wrong"),
    "row 3: a step has more than 100,000 characters": lambda row: program(row, "func_1(" * 9 + "x" + ", 90)" * 9),
    "row 3: not an expression of string functions": lambda row: program(row, "__import__('os').getcwd()"),
    "row 3: reward_model.ground_truth must be JSON": lambda row: truth(row, ref_input=[]),
    "row 3 is not JSON": lambda row: None,
    "no column 'data_source'": lambda row: row,
}


@pytest.mark.parametrize("message", BROKEN)
def test_what_can_not_be_understood_is_named_with_a_cure(tmp_path, message):
    path, rows = tmp_path / "theirs.jsonl", [public(row) for row in ROWS]
    rows[3] = BROKEN[message](rows[3])
    if "no column" in message:
        rows = [{"prompt": row["prompt"]} for row in rows]
    path.write_text("\n".join(json.dumps(row) if row else "{" for row in rows))
    with pytest.raises(UserError, match=rf"use\.stage1_problems: {path}: {message}") as error:
        reading.check([("use.stage1_problems", path)], [])
    assert any(word in str(error.value) for word in ("correct", "remove", "it has", "known: "))


EXAMPLE = {"prompt": [{"role": "user", "content": "[1]?"}], "response": " yes\n"}
FORMS = {
    "messages and text": EXAMPLE,
    "text": EXAMPLE | {"prompt": "[1]?"},
    "JSON": EXAMPLE | {"prompt": json.dumps(EXAMPLE["prompt"])},
    "completion": {"prompt": "[1]?", "completion": " yes\n"},
    "completion as a message": {
        "prompt": EXAMPLE["prompt"],
        "completion": [{"role": "assistant", "content": " yes\n"}],
    },
    "conversation": {"messages": [*EXAMPLE["prompt"], {"role": "assistant", "content": " yes\n"}]},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_examples_are_read_from_any_form(tmp_path, form, suffix):
    path = tmp_path / f"train.{suffix}"
    if suffix == "jsonl":
        path.write_text(json.dumps(FORMS[form]))
    else:
        pd.DataFrame([FORMS[form]]).to_parquet(path)
    reading.check_examples(path)
    assert list(reading.example_rows(path)) == [EXAMPLE]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a"}, "needs the columns prompt and response"),
        ({"prompt": "a", "response": None}, "row 0: no response of an assistant"),
        ({"prompt": [{"role": "user", "content": None}], "response": "b"}, "row 0: column 'prompt' is empty"),
        ({"messages": [{"role": "user", "content": "a"}]}, "row 0: no response of an assistant"),
        ({"messages": []}, "row 0: no response of an assistant"),
    ],
)
def test_rows_that_are_no_examples_are_named(tmp_path, row, message):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(UserError, match=rf"use\.stage1_rft_data: {path}: {message}"):
        reading.check([], [("use.stage1_rft_data", path)])


def test_own_files_are_read_as_they_are(tmp_path):
    """No row is taken apart where nothing is missing."""
    write_parquet(tmp_path / "own.parquet", PROBLEMS, BATCHES)
    read = pa.Table.from_batches(reading.problem_batches(tmp_path / "own.parquet"))
    assert read.equals(OWN)
