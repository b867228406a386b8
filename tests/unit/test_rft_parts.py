"""Conversations, the test split and the figure of a selection."""

import json
from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fofg.errors import UserError
from fofg.report.figures import stage1_selection as figure
from fofg.rft.packing import LOOK_AHEAD, plan_turns
from fofg.rft.split import hold_back

groups = st.lists(st.integers(0, 6), max_size=60).map(lambda values: np.array(values, dtype=np.int64))


def cut(order: np.ndarray, ends: np.ndarray) -> list[list[int]]:
    return [part.tolist() for part in np.split(order, ends[:-1])] if len(ends) else []


@given(groups, st.integers(2, 6), st.integers(0, 5))
@settings(deadline=None)
def test_conversations_hold_every_example_once_and_no_problem_twice(owners, most, seed):
    conversations = cut(*plan_turns(owners, most, np.random.default_rng(seed)))
    assert sorted(chain.from_iterable(conversations)) == list(range(len(owners)))
    for turns in conversations:
        assert 1 <= len(turns) <= most
        assert len({int(owners[i]) for i in turns}) == len(turns)


def test_one_problem_alone_gives_single_turns_in_linear_time():
    order, ends = plan_turns(np.zeros(20_000, dtype=np.int64), 5, np.random.default_rng(0))
    assert np.array_equal(ends, np.arange(1, 20_001)) and len(set(order.tolist())) == 20_000
    assert LOOK_AHEAD < 100


def test_turn_numbers_are_uniform_and_neighbors_are_separated():
    owners = np.repeat(np.arange(2000), 4)
    order, ends = plan_turns(owners, 5, np.random.default_rng(3))
    sizes = Counter(np.diff(ends, prepend=0).tolist())
    assert set(sizes) == {1, 2, 3, 4, 5}
    expected = len(ends) / 5
    assert sum((sizes[k] - expected) ** 2 / expected for k in range(1, 6)) < 23  # chi-square, 4 degrees of freedom: p = 0.0001
    position = np.empty(len(order))
    position[order] = np.arange(len(order))
    assert np.median(np.abs(np.diff(position))) > len(order) / 6


@given(st.lists(st.integers(0, 8), min_size=2, max_size=40), st.integers(0, 20), st.integers(0, 9))
@settings(deadline=None)
def test_the_test_split_is_exact_and_shares_no_problem_with_training(values, rows, seed):
    owners = np.array(values)
    counts = Counter(values)
    possible = rows == 0 or rows <= len(values) - min(counts.values())
    if not possible:
        with pytest.raises(UserError, match="test_rows"):
            hold_back(owners, rows, seed)
        return
    test, unused = hold_back(owners, rows, seed)
    train = ~test & ~unused
    assert test.sum() == rows and train.any() and not (test & unused).any()
    assert not set(owners[train].tolist()) & set(owners[test | unused].tolist())
    if 2 * rows <= len(counts):
        assert len(set(owners[test].tolist())) == rows


SUMMARY = {
    "responses": {
        "total": 100,
        "kept": 40,
        "dropped": {"wrong": 30, "no_answer": 5, "cut_at_limit": 5, "problem_all_solved": 20}
        | dict.fromkeys(("over_token_limit", "duplicate", "over_problem_limit"), 0),
    },
    "accuracy": 0.6,
    "examples": {"train": 39, "test": 1},
    "exposure": {
        "sort_chars": {"public_name": "func_3", "problems": 9, "kept_problems": 5, "kept_responses": 25},
        "rotate_str": {"public_name": "func_8", "problems": 9, "kept_problems": 4, "kept_responses": 15},
    },
}


def test_the_figure_shows_counts_by_reason_and_functions_by_number(tmp_path):
    (tmp_path / "selection.json").write_text(json.dumps(SUMMARY))
    left, right = figure.plot(tmp_path / "selection.json").axes
    assert [bar.get_width() for bar in left.patches] == [40, 20, 30, 5, 5]
    assert [label.get_text() for label in right.get_yticklabels()] == ["sort_chars  func_3", "rotate_str  func_8"]
    assert [bar.get_width() for bar in right.patches] == [25, 15]
    figure.plt.close("all")
