"""Verdicts, accuracies and their intervals, and tables of both stages."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_rows import rollout

from fofg.data.files import read_rows, write_parquet
from fofg.data.schemas import ACCURACY, HELD_OUT_VERDICTS, ROLLOUTS, VERDICTS
from fofg.errors import UserError
from fofg.evaluation import tables
from fofg.evaluation.accuracy import summarize, summarize_evaluation, summarize_stage1, wilson
from fofg.evaluation.verdicts import write_verdicts
from fofg.report.markdown import stage1_accuracy

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
RULE = "published"
RIGHT, WRONG, NONE = '{"output": "b"}', '{"output": "c"}', "no idea"

shares = st.tuples(st.integers(1, 5000), st.floats(0, 1))


@given(shares)
def test_intervals_contain_the_share(case):
    trials, share = case
    low, high = wilson(share, trials)
    assert 0 <= low <= share <= high <= 1
    assert low < high


@given(shares)
def test_intervals_are_symmetric_and_shrink_with_trials(case):
    trials, share = case
    low, high = wilson(share, trials)
    assert wilson(1 - share, trials) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    narrower = wilson(share, 4 * trials)
    assert narrower[1] - narrower[0] < high - low


def test_published_intervals():
    """Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29."""
    correct, trials = pd.Series([81, 15, 0, 1]), pd.Series([263, 148, 20, 29])
    low, high = wilson(correct / trials, trials)
    assert low.tolist() == pytest.approx([0.2553, 0.0624, 0, 0.0061], abs=5e-5)
    assert high.tolist() == pytest.approx([0.3662, 0.1605, 0.1611, 0.1718], abs=5e-5)


@pytest.fixture
def rollouts(tmp_path) -> list[Path]:
    """Two problems per level at Levels 2 and 1: two sampled responses each, one greedy."""
    sampled = [rollout(0, [RIGHT, WRONG], level=2), rollout(1, [NONE, NONE], level=2), rollout(2, [RIGHT, RIGHT]), rollout(3, [])]
    cut = rollout(1, [RIGHT], level=2, reasons=["length"])
    greedy = [rollout(0, [RIGHT], level=2), cut, rollout(2, [WRONG]), rollout(3, [RIGHT])]
    for name, rows in (("sampled", sampled), ("greedy", greedy)):
        write_parquet(tmp_path / f"{name}.parquet", ROLLOUTS, [rows])
    return [tmp_path / "sampled.parquet", tmp_path / "greedy.parquet"]


def test_verdicts_distinguish_correct_wrong_unanswered_and_truncated(tmp_path, rollouts):
    assert write_verdicts(rollouts, tmp_path / "v.parquet", RULE, ["sampled", "greedy"]) == (8, 1, 10)
    rows = list(read_rows(tmp_path / "v.parquet", HELD_OUT_VERDICTS))
    assert [row["decoding"] for row in rows] == ["sampled"] * 6 + ["greedy"] * 4
    assert [row["index"] for row in rows] == [0, 0, 1, 1, 2, 2, 0, 1, 2, 3]
    assert [row["sample"] for row in rows] == [0, 1, 0, 1, 0, 1, 0, 0, 0, 0]
    assert [row["correct"] - (not row["answered"]) for row in rows] == [1, 0, -1, -1, 1, 1, 1, -1, 0, 1]
    assert [row["truncated"] for row in rows] == [False] * 7 + [True, False, False]
    assert write_verdicts(rollouts[1:], tmp_path / "v.parquet", RULE) == (4, 0, 4)
    assert [tuple(row) for row in read_rows(tmp_path / "v.parquet")] == [tuple(VERDICTS.names)] * 4


def test_verdicts_follow_the_answer_rule(tmp_path):
    write_parquet(tmp_path / "r.parquet", ROLLOUTS, [[rollout(0, ['a stray { then {"output": "b"}'])]])
    for rule, correct in (("published", False), ("lenient", True)):
        write_verdicts([tmp_path / "r.parquet"], tmp_path / "v.parquet", rule)
        assert next(read_rows(tmp_path / "v.parquet"))["correct"] is correct


def test_a_row_without_ground_truth_is_named(tmp_path):
    row = rollout(0, [RIGHT])
    row["reward_model"]["ground_truth"] = "{"
    write_parquet(tmp_path / "r.parquet", ROLLOUTS, [[rollout(1, [RIGHT]), row]])
    with pytest.raises(UserError, match=r"r\.parquet: row 1"):
        write_verdicts([tmp_path / "r.parquet"], tmp_path / "v.parquet", RULE)
    assert not (tmp_path / "v.parquet").exists()


def verdicts(correct: list[bool], samples: int = 1) -> list[dict]:
    """Return one problem per entry whose samples are all correct, or all wrong."""
    graded = {"level": 1, "answered": True, "truncated": False}
    return [{**graded, "index": i, "sample": n, "correct": right} for i, right in enumerate(correct) for n in range(samples)]


def test_the_interval_counts_problems_and_not_samples():
    one, many = (summarize(pd.DataFrame(verdicts([True] * 5 + [False] * 5, samples)), []).loc[0] for samples in (1, 8))
    assert (many["problems"], many["samples"], many["accuracy"]) == (10, 80, 0.5)
    assert (many["low"], many["high"]) == (one["low"], one["high"]) == wilson(0.5, 10)


def test_accuracy_by_model_decoding_and_level(tmp_path, rollouts):
    write_verdicts(rollouts, tmp_path / "v.parquet", RULE, ["sampled", "greedy"])
    write_verdicts(rollouts[1:], tmp_path / "g.parquet", RULE, ["greedy"])
    table = summarize_evaluation(["stage1-rft", "base"], [tmp_path / "v.parquet", tmp_path / "g.parquet"])
    tables.write(table, ACCURACY, tmp_path / "t.parquet", tmp_path / "t.csv")
    rows = list(read_rows(tmp_path / "t.parquet", ACCURACY))
    assert [(row["model"], row["decoding"], row["level"]) for row in rows] == [
        *(("stage1-rft", decoding, level) for decoding in ("sampled", "greedy") for level in (1, 2)),
        ("base", "greedy", 1),
        ("base", "greedy", 2),
    ]
    low, high = wilson(0.25, 2)
    counts = {"problems": 2, "samples": 4, "correct": 1, "answered": 2, "truncated": 0}
    key = {"model": "stage1-rft", "seed": 0, "decoding": "sampled", "level": 2}
    assert rows[1] == key | counts | {"accuracy": 0.25, "low": low, "high": high}
    assert (rows[0]["problems"], rows[0]["samples"], rows[3]["truncated"]) == (1, 2, 1)
    assert pd.read_csv(tmp_path / "t.csv").to_dict("records") == rows


def test_a_file_too_few_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"1 files for 2 models \(base, stage1-rft\)"):
        summarize_evaluation(["base", "stage1-rft"], [tmp_path / "v.parquet"])


def test_stage_1_counts_problems_from_training_once(tmp_path):
    for name, correct in (("visible", [True] * 4), ("hidden", [True, False, False, False])):
        rows = [row | {"level": 1 + row["index"] // 2} for row in verdicts(correct, samples=3)]
        write_parquet(tmp_path / f"{name}.parquet", VERDICTS, [rows])
    files = {("base", 0, shown): tmp_path / f"{shown}.parquet" for shown in ("visible", "hidden")}
    table = summarize_stage1(files, {0, 1, 2, 9})
    assert table[["definitions", "level", "trained", "correct"]].values.tolist() == [
        ["visible", 1, 2, 6],
        ["visible", 2, 1, 6],
        ["hidden", 1, 2, 3],
        ["hidden", 2, 1, 0],
    ]
    lines = stage1_accuracy(table).splitlines()
    assert lines[2].startswith("| visible     | 1     | 100.0% (34.2% to 100.0%; n = 2, 2 in training, 6 responses)")
    assert len({len(line) for line in lines[:6]}) == 1
    assert "in training" not in stage1_accuracy(summarize_stage1(files, set()))
