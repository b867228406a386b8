"""Rewards in verl's form, and of many responses at once."""

import json

import pytest
from rollout_rows import problem

from fofg.config import Scoring
from fofg.errors import UserError
from fofg.tasks.rewards import compute_score, compute_scores

TRUTH = json.dumps({"ref_input": "ab", "ref_output": "ba", "expression": "func_17(x)"})
RIGHT, WRONG, NONE, STRAY = 'So: {"output": "ba"}', 'So: {"output": "ab"}', "So: ba", 'a stray { then {"output": "ba"}'


def row(index=3, source="string_task", truth=TRUTH):
    return problem(index, data_source=source, reward_model={"style": "rule", "ground_truth": truth})


@pytest.mark.parametrize(
    ("response", "more", "published_code", "binary"),
    [
        (RIGHT, {}, 1.0, 1.0),
        (WRONG, {}, 0.0, 0.0),
        (NONE, {}, -1.0, 0.0),
        (STRAY, {}, -1.0, 0.0),
        (STRAY, {"answer_rule": "lenient"}, 1.0, 1.0),
        (RIGHT, {"truncated": True}, -1.0, 0.0),
        (RIGHT, {"extra_info": {"index": 1, "truncated": True}}, -1.0, 0.0),
        (RIGHT, {"extra_info": {"index": 1, "truncated": None}}, 1.0, 1.0),
        (RIGHT, {"strict_box_verify": False, "reward_router_address": None}, 1.0, 1.0),
    ],
)
@pytest.mark.parametrize("source", ["string_task", "string_task/level2"])
def test_reward_and_accuracy(source, response, more, published_code, binary):
    """By scheme; a level in the data source is ignored, and so are verl's other keywords."""
    for scheme, reward in {"published_code": published_code, "binary": binary}.items():
        found = compute_score(data_source=source, solution_str=response, ground_truth=TRUTH, scheme=scheme, **more)
        assert found == {"score": reward, "acc": float(reward == 1.0)}


def test_unusable_rows_are_named():
    scoring = Scoring(scheme="published_code", answer_rule="published")
    for source in ("gsm8k", "gsm8k/level2", "string_task_level2", "/level2", ""):
        with pytest.raises(UserError, match=r"problem 3: no task for data_source .*; known: string_task"):
            compute_scores([(row(source=source), RIGHT, False)], scoring)
    with pytest.raises(UserError, match=r"problem 3: reward_model.ground_truth must be JSON"):
        compute_scores([(row(truth="ba"), RIGHT, False)], scoring)
    with pytest.raises(UserError, match=r"scheme: no scheme"):
        compute_score("string_task", RIGHT, TRUTH, scheme="other")
