"""Selection of training examples: which responses are kept, and that all are counted."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rollout_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from fofg.data.files import write_parquet
from fofg.data.schemas import RFT, ROLLOUTS
from fofg.errors import UserError
from fofg.rft import selection
from fofg.rft.selection import select
from fofg.specs import SelectionSpec
from fofg.tasks.strings.functions import FUNCTIONS, PUBLIC_NAMES

TEMPLATE = "Look:\n{code}\nIts value for {input}?"
RIGHT, WRONG, NOTHING, CUT = "right", "wrong", "nothing", "cut"


def spec(template: str | None = TEMPLATE, **changes) -> SelectionSpec:
    return SelectionSpec(selection=rollout_rows.selection(**changes), answer_rule="published", template=template)


def problem(index: int, kinds: list[str], function: str = "mirror_str", texts: list[str] | None = None, tokens: int = 9) -> dict:
    """Return a rollout row whose responses are right, wrong, without an answer or cut."""
    answers = {RIGHT: {"output": f"out{index}"}, WRONG: {"output": "?"}, CUT: {"output": f"out{index}"}}
    responses = [
        f"problem {index} sample {i} " + (json.dumps(answers[kind]) if kind in answers else "I give up")
        for i, kind in enumerate(kinds)
    ]
    return rollout_rows.problem(
        index,
        x=f"in{index}",
        output=f"out{index}",
        expression=f"{PUBLIC_NAMES[function]}(x)",
        functions=[function],
        responses=responses if texts is None else texts,
        finish_reasons=["length" if kind == CUT else "stop" for kind in kinds],
        token_counts=[tokens + i for i in range(len(kinds))],
    )


def write(path: Path, rows: list[dict], row_group: int = 3) -> Path:
    write_parquet(path, ROLLOUTS, (rows[i : i + row_group] for i in range(0, len(rows), row_group)))
    return path


class Selected:
    def __init__(self, folder: Path, rows: list[dict], settings: SelectionSpec, **how):
        self.paths = [folder / name for name in ("train.parquet", "test.parquet", "selection.json")]
        self.report = select(settings, write(folder / "rollout.parquet", rows), *self.paths, **how)
        self.train, self.test = (pq.read_table(path).to_pylist() for path in self.paths[:2])
        assert json.loads(self.paths[2].read_text()) == self.report

    def digest(self) -> list[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.paths]


MIXED = [
    problem(0, [RIGHT, RIGHT, RIGHT]),
    problem(1, [RIGHT, WRONG, NOTHING, RIGHT]),
    problem(2, []),
    problem(3, [WRONG, NOTHING]),
    problem(4, [RIGHT, CUT], function="sort_chars"),
]


def dropped(report: dict) -> dict[str, int]:
    return {reason: count for reason, count in report["responses"]["dropped"].items() if count}


def kept_texts(rows: list[dict]) -> list[str]:
    return [row["response"].split(" {")[0] for row in rows]


def test_correct_responses_to_problems_that_are_not_all_solved_are_kept(tmp_path):
    selected = Selected(tmp_path, MIXED, spec())
    assert kept_texts(selected.train) == ["problem 1 sample 0", "problem 1 sample 3", "problem 4 sample 0"]
    assert pq.read_schema(selected.paths[0]).equals(RFT)
    report = selected.report
    counts = {"total": 5, "kept": 2, "skipped": 1, "all_solved": 1, "none_solved": 1, "nothing_left_by_limits": 0}
    assert report["problems"] == counts
    assert report["responses"]["total"] == 11 and report["responses"]["kept"] == 3
    assert dropped(report) == {"problem_all_solved": 3, "wrong": 2, "no_answer": 2, "cut_at_limit": 1}
    assert report["accuracy"] == 6 / 11
    shares = {"problems": 4, "kept_problems": 1, "kept_responses": 2}
    assert report["exposure"]["mirror_str"] == {"public_name": "func_9", **shares}
    assert report["exposure"]["sort_chars"]["kept_responses"] == 1
    assert set(report["exposure"]) == set(FUNCTIONS)


def test_prompts_lose_definitions_and_other_columns_stay(tmp_path):
    row = Selected(tmp_path, MIXED, spec()).train[2]
    source = MIXED[4]
    code = "def main_solution(x):\n    return func_3(x)"
    assert row["prompt"] == [{"role": "user", "content": f'Look:\n{code}\nIts value for "in4"?'}]
    assert {name: row[name] for name in ("data_source", "ability", "reward_model", "extra_info")} == {
        name: source[name] for name in ("data_source", "ability", "reward_model", "extra_info")
    }


def test_without_a_template_prompts_stay_unchanged(tmp_path):
    rows = Selected(tmp_path, MIXED, spec(template=None)).train
    assert [row["prompt"] for row in rows] == [MIXED[i]["prompt"] for i in (1, 1, 4)]


def test_limits_apply_after_solved_problems_are_dropped(tmp_path):
    same = ['a {"output": "out0"}'] * 2
    rows = [
        problem(0, [RIGHT, RIGHT, RIGHT, RIGHT, WRONG], texts=[*same, 'b {"output": "out0"}', 'c {"output": "out0"}', "no"]),
        problem(1, [RIGHT, RIGHT], texts=['a {"output": "out1"}'] * 2, tokens=99),
        problem(2, [RIGHT, NOTHING], tokens=99),
    ]
    selected = Selected(tmp_path, rows, spec(drop_duplicates=True, max_per_problem=2, max_tokens=50))
    assert [row["response"][0] for row in selected.train] == ["a", "b"]
    counts = dropped(selected.report)
    assert counts["duplicate"] == counts["over_problem_limit"] == counts["over_token_limit"] == 1
    assert counts["problem_all_solved"] == 2
    assert selected.report["problems"]["nothing_left_by_limits"] == 1


def test_equal_responses_to_different_problems_are_no_duplicates(tmp_path):
    text = '{"output": "same"}'
    rows = [problem(i, [RIGHT, NOTHING], texts=[text, ""]) for i in range(2)]
    for row in rows:
        truth = json.loads(row["reward_model"]["ground_truth"]) | {"ref_output": "same"}
        row["reward_model"]["ground_truth"] = json.dumps(truth)
    assert len(Selected(tmp_path, rows, spec(drop_duplicates=True)).train) == 2


kinds = st.lists(st.sampled_from([RIGHT, RIGHT, WRONG, NOTHING, CUT]), max_size=6)
files = st.lists(kinds, min_size=1, max_size=12).filter(lambda rows: any(RIGHT in row and set(row) != {RIGHT} for row in rows))
options = st.fixed_dictionaries(
    {
        "drop_duplicates": st.booleans(),
        "max_per_problem": st.none() | st.integers(1, 4),
        "max_tokens": st.none() | st.integers(9, 14),
        "turns_per_example": st.integers(1, 5),
        "seed": st.integers(0, 3),
    }
)


def selected_or_none(tmp_path_factory, rows, settings, **how) -> Selected | None:
    try:
        return Selected(tmp_path_factory.mktemp("rft"), rows, settings, **how)
    except UserError as error:
        assert "no response is left" in str(error)
        return None


@given(files, options)
@settings(max_examples=60, deadline=None)
def test_every_response_is_counted_once_and_every_kept_response_used_once(tmp_path_factory, file, limits):
    rows = [problem(i, row) for i, row in enumerate(file)]
    selected = selected_or_none(tmp_path_factory, rows, spec(**limits))
    if selected is None:
        return
    problems, responses = selected.report["problems"], selected.report["responses"]
    assert problems["total"] == len(file) == sum(problems.values()) - problems["total"]
    assert responses["total"] == sum(map(len, file)) == responses["kept"] + sum(responses["dropped"].values())
    answers = [text for row in selected.train for text in turns(row)]
    assert len(answers) == responses["kept"] and len(set(answers)) == len(answers)
    right = {text for row in rows for text, end in zip(row["responses"], row["finish_reasons"]) if "out" in text and end == "stop"}
    assert set(answers) <= right
    if limits["max_per_problem"] is None and limits["max_tokens"] is None:
        assert len(answers) == sum(row.count(RIGHT) for row in file if set(row) != {RIGHT})


def turns(row: dict) -> list[str]:
    """Return the responses of a training row, and check that roles alternate and questions match answers."""
    messages = [*row["prompt"], {"role": "assistant", "content": row["response"]}]
    assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)
    texts = [message["content"] for message in messages]
    for question, answer in zip(texts[::2], texts[1::2]):
        assert f'"in{answer.split()[1]}"' in question
    assert json.loads(row["reward_model"]["ground_truth"])["ref_input"] == f"in{texts[-1].split()[1]}"
    return texts[1::2]


@given(files, options, st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_batches_do_not_change_the_files(tmp_path_factory, file, limits, batch_rows):
    rows = [problem(i, row) for i, row in enumerate(file)]
    whole = selected_or_none(tmp_path_factory, rows, spec(**limits))
    cut = selected_or_none(tmp_path_factory, rows, spec(**limits), batch_rows=batch_rows)
    assert (whole and whole.digest()) == (cut and cut.digest())


MANY = [problem(i, [RIGHT, WRONG, RIGHT, NOTHING][: 2 + i % 3]) for i in range(120)]


@pytest.mark.parametrize("max_turns", [1, 4])
def test_processes_do_not_change_the_files(tmp_path, tmp_path_factory, monkeypatch, max_turns):
    settings = spec(turns_per_example=max_turns, test_rows=7)
    monkeypatch.setattr(selection, "BLOCK_ROWS", 32)
    serial = Selected(tmp_path, MANY, settings, workers=1)
    monkeypatch.setattr(selection, "ALONE_BYTES", 0)
    parallel = Selected(tmp_path_factory.mktemp("rft"), MANY, settings, workers=2, batch_rows=11)
    assert serial.digest() == parallel.digest()


def test_the_seed_decides_conversations_and_the_test_split(tmp_path_factory):
    digests = [
        Selected(tmp_path_factory.mktemp("rft"), MANY, spec(turns_per_example=3, test_rows=3, seed=seed)).digest()[:2]
        for seed in (1, 1, 2)
    ]
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[2][0] and digests[0][1] != digests[2][1]


@pytest.mark.parametrize("max_turns", [1, 5])
def test_problems_of_the_test_split_are_not_trained_on(tmp_path, monkeypatch, max_turns):
    monkeypatch.setattr(selection, "BLOCK_ROWS", 32)
    selected = Selected(tmp_path, MANY, spec(test_rows=16, turns_per_example=max_turns))
    held = [row["extra_info"]["index"] for row in selected.test]
    assert len(held) == 16 == len(set(held))
    assert all(len(row["prompt"]) == 1 for row in selected.test)
    trained = Counter(text.split()[1] for row in selected.train for text in turns(row))
    assert not {str(index) for index in held} & set(trained)
    examples, kept = selected.report["examples"], selected.report["responses"]["kept"]
    assert examples["train"] == len(selected.train) and examples["test"] == 16
    assert sum(len(turns(row)) for row in selected.train) == len({text for row in selected.train for text in turns(row)})
    assert trained.total() + 16 + examples["held_back_responses"] == kept


def test_truncated_responses_can_be_kept(tmp_path):
    """As in the public code, correct truncated responses are kept; those without an answer are dropped."""
    rows = [problem(1, [CUT, WRONG]), problem(2, [CUT, RIGHT]), problem(3, [CUT, NOTHING]), problem(4, [WRONG, RIGHT])]
    rows[2]["responses"][0] = 'cut in {"out'
    rows[3]["finish_reasons"][0] = "length"
    for keep, kept, cut, wrong, solved in ((True, [(1, 0), (4, 1)], 1, 2, 2), (False, [(2, 1), (4, 1)], 4, 1, 0)):
        selected = Selected(tmp_path, rows, spec(keep_truncated=keep))
        assert kept_texts(selected.train) == [f"problem {number} sample {sample}" for number, sample in kept]
        expected = {"cut_at_limit": cut, "wrong": wrong, "no_answer": 1, "problem_all_solved": solved}
        assert dropped(selected.report) == {reason: count for reason, count in expected.items() if count}


def test_both_rows_of_a_repeated_problem_are_in_one_split(tmp_path):
    rows = [problem(0, [RIGHT, WRONG]), problem(1, [RIGHT, WRONG]), problem(0, [RIGHT, NOTHING])]
    for seed in range(8):
        selected = Selected(tmp_path, rows, spec(test_rows=1, seed=seed))
        assert selected.test[0]["extra_info"]["index"] not in {row["extra_info"]["index"] for row in selected.train}


def test_an_empty_selection_is_an_error_that_names_reasons_and_cures(tmp_path):
    rows = [problem(0, [RIGHT, RIGHT]), problem(1, [WRONG, CUT]), problem(2, [])]
    with pytest.raises(UserError) as error:
        Selected(tmp_path, rows, spec())
    for part in ("2 problem all solved", "1 wrong", "1 cut", "samples", "base_model", "max_response_tokens"):
        assert part in str(error.value)
    with pytest.raises(UserError, match=r"stage2\.rft\.on_empty_selection: keep_model"):
        Selected(tmp_path, rows, spec(template=None))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rollout.parquet"]
    with pytest.raises(UserError, match="all skipped"):
        Selected(tmp_path, [problem(0, [])], spec())


@pytest.mark.parametrize("rows", [[problem(0, [RIGHT, RIGHT]), problem(1, [WRONG, CUT])], [problem(0, [])]])
def test_an_empty_selection_can_be_written(tmp_path, capsys, rows):
    selected = Selected(tmp_path, rows, spec(template=None, turns_per_example=3, test_rows=4), allow_empty=True)
    assert selected.train == selected.test == []
    assert all(pq.read_schema(path).equals(RFT) for path in selected.paths[:2])
    assert selected.report["examples"] == {"train": 0, "test": 0, "held_back_responses": 0}
    assert selected.report["responses"]["kept"] == 0 and selected.report["turns"] == {}
    assert "no response is left to train on" in capsys.readouterr().err


@given(files, st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_with_allow_empty_the_test_split_may_be_smaller(tmp_path_factory, file, test_rows):
    rows = [problem(i, row) for i, row in enumerate(file)]
    selected = Selected(tmp_path_factory.mktemp("rft"), rows, spec(test_rows=test_rows), allow_empty=True)
    assert selected.train and len(selected.test) <= test_rows
    try:
        strict = Selected(tmp_path_factory.mktemp("rft"), rows, spec(test_rows=test_rows))
    except UserError:
        assert len(selected.test) < test_rows
    else:
        assert (selected.train, selected.test) == (strict.train, strict.test)


HOSTILE = [
    "{" * 50_000,
    "",
    "\x00",
    '{"output": NaN}',
    "\\boxed{",
    "```json\n",
    '{"output": ' + "9" * 9000 + "}",
    "[" * 50_000,
    "𝔘" * 99,
]


def test_hostile_responses_are_dropped_and_counted(tmp_path):
    rows = [problem(0, [NOTHING] * (len(HOSTILE) + 1), texts=[*HOSTILE, '{"output": "out0"}']), problem(1, [RIGHT, WRONG])]
    selected = Selected(tmp_path, rows, spec(test_rows=1))
    assert selected.report["responses"]["kept"] == 2
    assert selected.report["responses"]["total"] == len(HOSTILE) + 3


def test_null_responses_are_no_answer(tmp_path):
    rows = [problem(0, [RIGHT, WRONG]), problem(1, [RIGHT] * 3)]
    rows[1]["responses"][0] = None
    rows[1]["finish_reasons"][1] = None
    selected = Selected(tmp_path, rows, spec())
    assert kept_texts(selected.train) == ["problem 0 sample 0", "problem 1 sample 2"]


def broken(tmp_path: Path, change) -> str:
    rows = [problem(0, [RIGHT, WRONG]), problem(1, [RIGHT, WRONG])]
    change(rows)
    with pytest.raises(UserError) as error:
        Selected(tmp_path, rows, spec())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rollout.parquet"]
    return str(error.value)


def test_unusable_rows_are_named(tmp_path):
    assert "token_counts differ in length" in broken(tmp_path, lambda rows: rows[0]["token_counts"].pop())
    for text in ("{", "[]", "{}", '{"ref_input": 1, "ref_output": "a", "expression": "x"}', "\\", '"\\ud800"', "[" * 9999):
        message = broken(tmp_path, lambda rows, text=text: rows[1]["reward_model"].update(ground_truth=text))
        assert "rollout.parquet: problem 1: reward_model.ground_truth" in message


def bad_text(count: int) -> pa.StringArray:
    offsets = pa.array(range(0, 2 * count + 1, 2), pa.int32())
    return pa.StringArray.from_buffers(count, offsets.buffers()[1], pa.py_buffer(b"\xff\xfe" * count))


@pytest.mark.parametrize("column", ["responses", "functions", "ground_truth"])
def test_text_that_is_not_utf8_is_an_error(tmp_path, column):
    batch = pa.RecordBatch.from_pylist([problem(0, [RIGHT, WRONG])], schema=ROLLOUTS)
    truth, extra = (pa.StructArray.flatten(batch.column(name)) for name in ("reward_model", "extra_info"))
    if column == "ground_truth":
        truth[1] = bad_text(1)
    if column == "functions":
        extra[-1] = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), bad_text(1))
    changed = {
        "reward_model": pa.StructArray.from_arrays(truth, fields=list(ROLLOUTS.field("reward_model").type)),
        "extra_info": pa.StructArray.from_arrays(extra, fields=list(ROLLOUTS.field("extra_info").type)),
    }
    if column == "responses":
        changed["responses"] = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), bad_text(2))
    columns = [changed.get(name, batch.column(name)) for name in ROLLOUTS.names]
    write_parquet(tmp_path / "rollout.parquet", ROLLOUTS, [pa.RecordBatch.from_arrays(columns, schema=ROLLOUTS)])
    with pytest.raises(UserError, match="not UTF-8"):
        select(spec(), tmp_path / "rollout.parquet", *[tmp_path / name for name in "abc"])
