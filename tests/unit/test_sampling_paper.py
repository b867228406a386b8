"""The paper's sampler: the published problems row for row, whatever else the configuration says."""

import json
from itertools import islice
from pathlib import Path

import pytest
from configs import configured
from problem_sets import problems

from fofg import specs
from fofg.config import Problems
from fofg.data import datasets
from fofg.errors import UserError
from fofg.tasks.strings.expressions import evaluate, size, steps
from fofg.tasks.strings.published_sampler import sample

REFERENCE = Path(__file__).parents[1] / "reference"
PUBLISHED = Problems(sampler="paper", seed=42, input_length=(3, 10), max_output_length=None, template="{code}{input}")
SPLITS = [
    *(("stage1_level1", "train"), ("stage1_level1", "test"), ("stage2_level1", "train"), ("stage2_level2", "train")),
    *(("stage2_level1to2", "train"), ("stage2_level1to8", "test")),
]


@pytest.mark.parametrize(("dataset", "split"), SPLITS)
def test_the_published_sampler_alone_gives_the_published_rows_in_order(dataset, split):
    lines = (REFERENCE / f"problems_{dataset}_{split}.jsonl").read_text(encoding="utf-8").splitlines()
    published = [json.loads(line) for line in lines]
    assert len(published) in (64, 1000)
    sizes = {"train": 50_000, "test": 2048 if dataset == "stage2_level1to8" else 128}
    overlay = {"problems": {"sampler": "paper", "input_length": [4, 5]}, "datasets": {dataset: {split: sizes[split]}}}
    batches = datasets.batches(specs.problems(configured(**overlay), dataset, split))
    rows = islice((row for batch in batches for row in batch.to_pylist()), len(published))
    truths = [json.loads(row["reward_model"]["ground_truth"]) for row in rows]
    assert [{"expression": t["expression"], "input": t["ref_input"], "output": t["ref_output"]} for t in truths] == published


def test_level_is_the_depth_of_the_tree_in_equal_shares():
    made = list(problems("stage2_level1to8", "test", 19, PUBLISHED))
    assert [p.level for p in made] == [size(p.expression).depth for p in made]
    assert [p.level for p in made] == [1, 1, 1, 2, 2, 2, 3, 3, 3, *(level for level in range(4, 9) for _ in range(2))]


def test_an_expression_is_taken_once():
    texts = [p.text for p in problems("stage1_level1", "train", 5000, PUBLISHED)]
    assert len(set(texts)) == len(texts)


def test_cap_is_kept():
    capped = PUBLISHED.model_copy(update={"max_output_length": 12})
    for p in problems("stage2_level2", "train", 500, capped):
        assert max((len(step.output) for step in steps(p.expression, p.input)), default=0) <= 12
        assert evaluate(p.expression, p.input) == p.output


def test_impossible_number_of_problems_is_an_error():
    tiny = PUBLISHED.model_copy(update={"max_output_length": 1, "input_length": (1, 1)})
    with pytest.raises(UserError, match=r"problems\.max_output_length: .*depth 1 found for outputs of up to 1 characters"):
        list(sample([(1, 50)], ("repeat_str", "mirror_str"), tiny))
