"""Rewards in verl's form, and of many responses at once."""

import inspect
import json

import pytest
from rollout_rows import problem

from fofg.config import Scoring
from fofg.errors import UserError
from fofg.tasks.rewards import compute_score, compute_scores

TRUTH = json.dumps({"ref_input": "ab", "ref_output": "ba", "expression": "func_17(x)"})
RIGHT, WRONG, NONE = 'So: {"output": "ba"}', 'So: {"output": "ab"}', "So: ba"


def row(index=3, source="string_task", truth=TRUTH):
    return problem(index, data_source=source, reward_model={"style": "rule", "ground_truth": truth})


@pytest.mark.parametrize(
    ("scheme", "rewards"),
    [("published_code", {RIGHT: 1.0, WRONG: 0.0, NONE: -1.0}), ("binary", {RIGHT: 1.0, WRONG: 0.0, NONE: 0.0})],
)
def test_reward_and_accuracy(scheme, rewards):
    for response, reward in rewards.items():
        found = compute_score("string_task", response, TRUTH, scheme=scheme)
        assert found == {"score": reward, "acc": float(response == RIGHT)}


def test_a_truncated_response_is_no_answer():
    assert compute_score("string_task", RIGHT, TRUTH, truncated=True) == {"score": -1.0, "acc": 0.0}
    assert compute_score("string_task", RIGHT, TRUTH, truncated=True, scheme="binary") == {"score": 0.0, "acc": 0.0}


@pytest.mark.parametrize("scheme", ["published_code", "binary"])
@pytest.mark.parametrize(("flag", "cut"), [(True, True), (False, False), (None, False)])
def test_extra_info_may_hold_the_truncated_flag(flag, cut, scheme):
    found = compute_score("string_task", RIGHT, TRUTH, {"index": 1, "truncated": flag}, scheme=scheme)
    assert found == compute_score("string_task", RIGHT, TRUTH, truncated=cut, scheme=scheme)
    assert found["acc"] == float(not cut)


def test_a_level_in_the_data_source_is_ignored():
    for response in (RIGHT, WRONG, NONE):
        assert compute_score("string_task/level2", response, TRUTH) == compute_score("string_task", response, TRUTH)


def test_the_answer_rule_reaches_the_scoring():
    stray = '{"output": "ba"} and {'
    lenient = compute_score("string_task", stray + " {", TRUTH, answer_rule="lenient")
    assert lenient == {"score": 1.0, "acc": 1.0}


def test_verl_can_call_it():
    """With these parameter names, reward_kwargs and verl's own keywords; all values are numbers."""
    names = list(inspect.signature(compute_score).parameters)[:4]
    assert names == ["data_source", "solution_str", "ground_truth", "extra_info"]
    found = compute_score(
        data_source="string_task",
        solution_str=WRONG,
        ground_truth=TRUTH,
        extra_info={"index": 1, "num_turns": 2},
        scheme="published_code",
        strict_box_verify=False,
        reward_router_address=None,
    )
    assert found["score"] == 0.0 and all(isinstance(value, float) for value in found.values())


def test_many_responses_are_scored_as_single_ones():
    scoring = Scoring(scheme="published_code", answer_rule="published")
    items = [(row(1), RIGHT, False), (row(2), RIGHT, True), (row(3), WRONG, False), (row(4), NONE, False)]
    assert [found["score"] for found in compute_scores(items, scoring)] == [1.0, -1.0, 0.0, -1.0]
    assert [found["acc"] for found in compute_scores(items, scoring)] == [1.0, 0.0, 0.0, 0.0]
    binary = Scoring(scheme="binary", answer_rule="published")
    assert [found["score"] for found in compute_scores(items, binary)] == [1.0, 0.0, 0.0, 0.0]


def test_unusable_rows_are_named():
    scoring = Scoring(scheme="published_code", answer_rule="published")
    for source in ("gsm8k", "gsm8k/level2", "string_task_level2", "/level2", ""):
        with pytest.raises(UserError, match=r"problem 3: no task for data_source .*; known: string_task"):
            compute_scores([(row(source=source), RIGHT, False)], scoring)
    with pytest.raises(UserError, match=r"problem 3: reward_model.ground_truth must be JSON"):
        compute_scores([(row(truth="ba"), RIGHT, False)], scoring)
    with pytest.raises(UserError, match=r"scheme: no scheme"):
        compute_score("string_task", RIGHT, TRUTH, scheme="other")
