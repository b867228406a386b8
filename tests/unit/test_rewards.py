"""Rewards in verl's form, and of many responses at once."""

import inspect
import json

import pytest

from fofg.config import Scoring
from fofg.errors import UserError
from fofg.tasks.rewards import compute_score, compute_scores

TRUTH = json.dumps({"ref_input": "ab", "ref_output": "ba", "expression": "func_17(x)"})
RIGHT, WRONG, NONE = 'So: {"output": "ba"}', 'So: {"output": "ab"}', "So: ba"


def row(index=3, source="string_task", truth=TRUTH):
    return {
        "data_source": source,
        "prompt": [{"role": "user", "content": "?"}],
        "ability": "composition",
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"index": index, "level": 1},
    }


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
@pytest.mark.parametrize(("said", "cut"), [(True, True), (False, False), (None, False)])
def test_extra_info_says_truncated_too(said, cut, scheme):
    found = compute_score("string_task", RIGHT, TRUTH, {"index": 1, "truncated": said}, scheme=scheme)
    assert found == compute_score("string_task", RIGHT, TRUTH, truncated=cut, scheme=scheme)
    assert found["acc"] == float(not cut)


def test_a_level_behind_the_data_source_plays_no_part():
    for response in (RIGHT, WRONG, NONE):
        assert compute_score("string_task/level2", response, TRUTH) == compute_score("string_task", response, TRUTH)


def test_the_answer_rule_reaches_the_scoring():
    stray = '{"output": "ba"} and {'
    lenient = compute_score("string_task", stray + " {", TRUTH, answer_rule="lenient")
    assert lenient == {"score": 1.0, "acc": 1.0}


def test_verl_can_call_it():
    """By these names, with reward_kwargs of the configuration and keywords of its own; numbers come back."""
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


def test_many_at_once_are_the_same_as_one_by_one():
    scoring = Scoring(scheme="published_code", answer_rule="published")
    asked = [(row(1), RIGHT, False), (row(2), RIGHT, True), (row(3), WRONG, False), (row(4), NONE, False)]
    assert [found["score"] for found in compute_scores(asked, scoring)] == [1.0, -1.0, 0.0, -1.0]
    assert [found["acc"] for found in compute_scores(asked, scoring)] == [1.0, 0.0, 0.0, 0.0]
    binary = Scoring(scheme="binary", answer_rule="published")
    assert [found["score"] for found in compute_scores(asked, binary)] == [1.0, 0.0, 0.0, 0.0]


def test_unfit_rows_are_named():
    scoring = Scoring(scheme="published_code", answer_rule="published")
    with pytest.raises(UserError, match=r"problem 3: no task for data_source 'gsm8k'; known: string_task"):
        compute_scores([(row(source="gsm8k"), RIGHT, False)], scoring)
    for source in ("gsm8k/level2", "string_task_level2", "/level2", ""):
        with pytest.raises(
            UserError, match=rf"problem 3: no task for data_source '{source.partition('/')[0]}'; known: string_task"
        ):
            compute_scores([(row(source=source), RIGHT, False)], scoring)
    with pytest.raises(UserError, match=r"problem 3: reward_model.ground_truth must be JSON"):
        compute_scores([(row(truth="ba"), RIGHT, False)], scoring)
    with pytest.raises(UserError, match=r"scheme: no scheme"):
        compute_score("string_task", RIGHT, TRUTH, scheme="other")
