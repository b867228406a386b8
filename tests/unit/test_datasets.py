"""Datasets as rows and files: verl's convention, whole files, the same bytes whatever the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import problem_sets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_sets import DATASETS, problems

from fofg.config import Dataset, Problems
from fofg.data import datasets, files, schemas
from fofg.errors import UserError
from fofg.specs import ProblemsSpec
from fofg.tasks.strings.expressions import evaluate, parse, size
from fofg.tasks.strings.functions import FUNCTIONS, PUBLIC_NAMES
from fofg.tasks.strings.prompts import prompt_text

ROOT = Path(__file__).parents[2]
TEMPLATE = "Given\n\n{code}\n\nwhat does main_solution({input}) return?"
SETTINGS = {
    "paper": Problems(sampler="paper", seed=42, input_length=(3, 10), max_output_length=None, template=TEMPLATE),
    "balanced": Problems(sampler="balanced", seed=42, input_length=(3, 6), max_output_length=32, template=TEMPLATE),
}


def spec(dataset="stage1_level1", split="train", rows=300, sampler="balanced") -> ProblemsSpec:
    return problem_sets.spec(dataset, split, rows, SETTINGS[sampler])


@pytest.mark.parametrize("sampler", SETTINGS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_describe_the_problems(tmp_path, dataset, sampler):
    wanted = spec(dataset, "test", 3000 if dataset == "stage2_level2" else 300, sampler)
    assert datasets.write(tmp_path / "test.parquet", wanted) == wanted.rows
    rows = list(files.read_rows(tmp_path / "test.parquet", schemas.PROBLEMS))
    made = list(problems(dataset, "test", wanted.rows, wanted.problems))
    assert len(rows) == len(made) == wanted.rows
    for index, (row, p) in enumerate(zip(rows, made)):
        used = tuple(name for name in FUNCTIONS if f"{PUBLIC_NAMES[name]}(" in p.text)
        shown = used if dataset.startswith("stage1") else ()
        assert row == {
            "data_source": "string_task",
            "prompt": [{"role": "user", "content": prompt_text(TEMPLATE, p.text, p.input, shown)}],
            "ability": "composition",
            "reward_model": {"style": "rule", "ground_truth": json.dumps(truth(p), ensure_ascii=False)},
            "extra_info": {
                "index": index,
                "split": "test",
                "level": p.level,
                "depth": size(p.expression).depth,
                "calls": size(p.expression).calls,
                "functions": list(used),
            },
        }
        assert evaluate(parse(p.text), p.input) == p.output


def truth(p) -> dict[str, str]:
    return {"ref_input": p.input, "ref_output": p.output, "expression": p.text}


@pytest.mark.parametrize(
    ("levels", "rows", "shares"),
    [((1, 8), 2048, [256] * 8), ((1, 2), 7, [4, 3]), ((3, 3), 5, [5]), ((2, 4), 0, [0, 0, 0])],
)
def test_shares_of_levels_are_equal_and_complete(levels, rows, shares):
    dataset = Dataset(stage=2, levels=levels, train=0, test=0)
    assert dataset.shares(rows) == list(zip(range(levels[0], levels[1] + 1), shares, strict=True))


def test_a_custom_dataset_needs_only_name_stage_and_levels():
    mine = ProblemsSpec(dataset="mine", stage=2, levels=(3, 4), split="train", rows=40, problems=SETTINGS["balanced"])
    made = list(datasets.problems(mine))
    assert [p.level for p in made] == [3] * 20 + [4] * 20
    assert {name for p in made for name in p.details["functions"]} <= set(problem_sets.pool("stage2_level2", "train"))
    (batch,) = datasets.batches(mine)
    assert not any("def func_" in prompt[0]["content"] for prompt in batch.column("prompt").to_pylist())
    stage1 = mine.model_copy(update={"stage": 1})
    (batch,) = datasets.batches(stage1)
    assert all("def func_" in prompt[0]["content"] for prompt in batch.column("prompt").to_pylist())
    assert {name for p in datasets.problems(stage1) for name in p.details["functions"]} & set(
        problem_sets.pool("stage2_level2", "test")
    )


def test_only_datasets_of_one_level_are_made_in_parts():
    part = problem_sets.spec("stage2_level1to2", "train", 10, SETTINGS["balanced"], first=10)
    with pytest.raises(UserError, match=r"datasets\.stage2_level1to2\.levels: 1 to 2, but only a dataset of one level"):
        datasets.problems(part)


def test_a_failed_write_leaves_nothing(tmp_path):
    narrow = SETTINGS["balanced"].model_copy(update={"input_length": (3, 3)})
    path = tmp_path / "train.parquet"
    path.write_bytes(b"before")
    with pytest.raises(UserError, match="fewer problems"):
        datasets.write(path, problem_sets.spec("stage2_level1", "test", 200_000, narrow))
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def run(path: Path, text: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "workflow/scripts/create_problems.py", "--spec", text, "--output", path]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("sampler", SETTINGS)
def test_the_program_writes_the_same_bytes_in_any_process(tmp_path, sampler):
    wanted = spec("stage2_level1to8", "test", 200, sampler)
    datasets.write(tmp_path / "here.parquet", wanted)
    for hash_seed in ("1", "2"):
        path = tmp_path / hash_seed / "test.parquet"
        done = run(path, wanted.text(), PYTHONHASHSEED=hash_seed, OMP_NUM_THREADS=hash_seed)
        assert done.returncode == 0, done.stderr
        assert path.read_bytes() == (tmp_path / "here.parquet").read_bytes()
        assert "200/200" in done.stderr
        assert json.loads((path.parent / "test.spec.json").read_text()) == json.loads(wanted.text())


@given(
    sampler=st.sampled_from(list(SETTINGS)),
    split=st.sampled_from(["train", "test"]),
    dataset=st.sampled_from([name for name, described in DATASETS.items() if len(set(described.levels)) == 1]),
    first=st.integers(0, 60),
    rows=st.integers(1, 60),
    more=st.integers(0, 60),
)
@settings(max_examples=30, deadline=None)
def test_the_first_problems_do_not_depend_on_their_number(sampler, split, dataset, first, rows, more):
    """So a shard of rollouts, which samples its own rows, has the rows of train.parquet, however many problems that has."""
    whole = read(spec(dataset, split, first + rows + more, sampler))
    assert read(problem_sets.spec(dataset, split, rows, SETTINGS[sampler], first)) == whole[first : first + rows]


def read(wanted: ProblemsSpec) -> list[dict]:
    return [row for batch in datasets.batches(wanted) for row in batch.to_pylist()]
