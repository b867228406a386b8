"""Pools of functions as configuration: what problems are made of, and what is refused."""

import problem_sets
import pytest
from configs import configured

from fofg import config
from fofg.errors import UserError
from fofg.tasks.strings.functions import FUNCTIONS, PUBLIC_NAMES

SPLIT = {"train": ["sort_chars", "repeat_str", "interlace_str"], "test": ["mirror_str", "add_prefix", "shift_chars"]}


def load(pools) -> config.Config:
    return configured(problems={"pools": pools})


def functions(settings: config.Problems, dataset: str, split: str) -> set[str]:
    problems = problem_sets.problems(dataset, split, 300, settings)
    return {name for problem in problems for name in FUNCTIONS if f"{PUBLIC_NAMES[name]}(" in problem.text}


@pytest.mark.parametrize("sampler", ["balanced", "paper"])
def test_problems_of_stage_2_use_exactly_the_configured_functions(sampler):
    settings = load(SPLIT).problems.model_copy(update={"sampler": sampler})
    assert functions(settings, "stage2_level1to2", "train") == set(SPLIT["train"])
    assert functions(settings, "stage2_level1to2", "test") == set(SPLIT["test"])
    assert functions(settings, "stage1_level1", "train") > {*SPLIT["train"], *SPLIT["test"]}


def test_stage_1_does_not_depend_on_pools():
    assert load(SPLIT).problems.of_stage(1) == load(None).problems.of_stage(1)


def test_the_order_of_functions_does_not_matter():
    assert load(SPLIT) == load({split: names[::-1] for split, names in SPLIT.items()})


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        (SPLIT | {"test": ["mirror_str", "sort_chars"]}, r"problems\.pools: sort_chars in train and in test"),
        (SPLIT | {"test": ["mirror_string"]}, r"problems\.pools: no function mirror_string; did you mean mirror_str\?"),
        (SPLIT | {"train": []}, r"problems\.pools\.train: no function; name one or more"),
        ({"train": ["sort_chars"]}, r"problems\.pools\.test: missing"),
    ],
)
def test_unusable_pools_are_named(pools, message):
    with pytest.raises(UserError, match=message):
        load(pools)


def test_the_published_sampler_needs_functions_with_and_without_parameters():
    settings = load(SPLIT | {"test": ["mirror_str"]}).problems.model_copy(update={"sampler": "paper"})
    with pytest.raises(UserError, match=r"problems\.pools: sampler paper needs"):
        functions(settings, "stage2_level1to2", "test")
