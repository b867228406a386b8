"""Validation problems: the first of each level, or none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rl_problems import problem

from fofg.errors import UserError
from fofg.files import read_rows, write_parquet
from fofg.problems.validation import select
from fofg.schemas import PROBLEMS
from fofg.stages import SelectValidation

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/select_validation_problems.py"


@pytest.fixture
def held_out(tmp_path):
    """Six problems of each level, levels in turn."""
    write_parquet(tmp_path / "held_out.parquet", PROBLEMS, [[problem(index, 1 + index % 2) for index in range(12)]])
    return tmp_path / "held_out.parquet"


def spec(levels=(1, 2), problems=3):
    return SelectValidation(version=1, levels=levels, problems=problems)


def test_the_first_of_each_level_are_chosen(held_out, tmp_path):
    output = tmp_path / "v.parquet"
    assert select(spec(), held_out, output) == 6
    assert [row["extra_info"]["index"] for row in read_rows(output, PROBLEMS)] == [0, 2, 4, 1, 3, 5]
    assert select(spec(levels=(2, 2), problems=6), held_out, output) == 6
    assert {row["extra_info"]["level"] for row in read_rows(output, PROBLEMS)} == {2}


def test_too_few_problems_of_a_level_are_an_error(held_out, tmp_path):
    says = r"stage2.rl.validation: .*held_out\.parquet has 6 problems of level 1, fewer than problems: 7"
    with pytest.raises(UserError, match=says):
        select(spec(problems=7), held_out, tmp_path / "v.parquet")
    with pytest.raises(UserError, match=r"held_out\.parquet has 0 problems of level 3"):
        select(spec(levels=(2, 3)), held_out, tmp_path / "v.parquet")
    assert not (tmp_path / "v.parquet").exists()


def test_without_validation_the_program_writes_a_file_without_rows(tmp_path):
    none = json.dumps({"version": 1, "levels": [1, 1], "problems": 0})
    subprocess.run([sys.executable, SCRIPT, "--spec", none, "--output", tmp_path / "v.parquet"], check=True)
    assert list(read_rows(tmp_path / "v.parquet", PROBLEMS)) == []
