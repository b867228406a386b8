"""The paper's sampler: the published problems row for row, and its faster draws against random.Random."""

import json
from itertools import islice
from pathlib import Path

import pytest
from problem_sets import problems

from fofg.config import Problems
from fofg.errors import UserError
from fofg.tasks.strings.expressions import evaluate, size, steps
from fofg.tasks.strings.published_sampler import sample

REFERENCE = Path(__file__).parents[1] / "reference"
PUBLISHED = Problems(sampler="paper", seed=42, input_length=(3, 10), max_output_length=None, template="{code}{input}")
SIZES = {
    ("stage1_level1", "train"): 50_000,
    ("stage1_level1", "test"): 128,
    ("stage2_level1", "train"): 50_000,
    ("stage2_level2", "train"): 50_000,
    ("stage2_level1to2", "train"): 50_000,
    ("stage2_level1to8", "test"): 2_048,
}


@pytest.mark.parametrize(("dataset", "split"), SIZES)
def test_reproduces_the_published_problems_in_order(dataset, split):
    lines = (REFERENCE / f"problems_{dataset}_{split}.jsonl").read_text(encoding="utf-8").splitlines()
    published = [json.loads(line) for line in lines]
    assert len(published) in (64, 1000)
    made = islice(problems(dataset, split, SIZES[dataset, split], PUBLISHED), len(published))
    assert [{"expression": p.text, "input": p.input, "output": p.output} for p in made] == published


def test_level_is_the_depth_of_the_tree_in_equal_shares():
    made = list(problems("stage2_level1to8", "test", 19, PUBLISHED))
    assert [p.level for p in made] == [size(p.expression).depth for p in made]
    assert [p.level for p in made] == [1, 1, 1, 2, 2, 2, 3, 3, 3, *(level for level in range(4, 9) for _ in range(2))]


def test_an_expression_is_taken_once():
    texts = [p.text for p in problems("stage1_level1", "train", 5000, PUBLISHED)]
    assert len(set(texts)) == len(texts)


def test_stage1_test_is_the_head_of_its_train_set():
    assert list(problems("stage1_level1", "test", 50, PUBLISHED)) == list(problems("stage1_level1", "train", 50, PUBLISHED))


def test_cap_is_kept():
    capped = PUBLISHED.model_copy(update={"max_output_length": 12})
    for p in problems("stage2_level2", "train", 500, capped):
        assert max((len(step.output) for step in steps(p.expression, p.input)), default=0) <= 12
        assert evaluate(p.expression, p.input) == p.output


def test_impossible_number_of_problems_is_an_error():
    tiny = PUBLISHED.model_copy(update={"max_output_length": 1, "input_length": (1, 1)})
    with pytest.raises(UserError, match=r"problems\.max_output_length: .*depth 1 found for outputs of up to 1 characters"):
        list(sample([(1, 50)], ("repeat_str", "mirror_str"), tiny))
