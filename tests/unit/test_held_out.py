"""Verdicts and accuracies on held-out functions, and what all tables of results share."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rollout_rows import rollout

from fofg.data.files import read_rows, write_parquet
from fofg.data.schemas import ACCURACY, HELD_OUT_VERDICTS, ROLLOUTS
from fofg.errors import UserError
from fofg.evaluation.accuracy import wilson
from fofg.evaluation.held_out import judge, summarize
from fofg.evaluation.tables import files_by_model, write_table

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
RULE = "published"
RIGHT, WRONG, NONE = '{"output": "b"}', '{"output": "c"}', "no idea"


@pytest.fixture
def rollouts(tmp_path):
    """Two problems per level at Levels 2 and 1: two sampled responses each, one greedy."""
    sampled = [rollout(0, [RIGHT, WRONG], level=2), rollout(1, [NONE, NONE], level=2), rollout(2, [RIGHT, RIGHT]), rollout(3, [])]
    greedy = [
        rollout(0, [RIGHT], level=2),
        rollout(1, [RIGHT], level=2, reasons=["length"]),
        rollout(2, [WRONG]),
        rollout(3, [RIGHT]),
    ]
    write_parquet(tmp_path / "sampled.parquet", ROLLOUTS, [sampled])
    write_parquet(tmp_path / "greedy.parquet", ROLLOUTS, [greedy])
    return [f"greedy={tmp_path}/greedy.parquet", f"sampled={tmp_path}/sampled.parquet"]


def test_verdicts_tell_the_decoding(tmp_path, rollouts):
    assert judge(rollouts, tmp_path / "v.parquet", RULE) == (8, 1, 10)
    rows = list(read_rows(tmp_path / "v.parquet", HELD_OUT_VERDICTS))
    assert [row["decoding"] for row in rows] == ["sampled"] * 6 + ["greedy"] * 4
    assert [row["index"] for row in rows] == [0, 0, 1, 1, 2, 2, 0, 1, 2, 3]
    assert [row["correct"] - (not row["answered"]) for row in rows] == [1, 0, -1, -1, 1, 1, 1, -1, 0, 1]
    assert [row["truncated"] for row in rows] == [False] * 7 + [True, False, False]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (["sampled"], "form sampled=FILE or greedy=FILE"),
        (["beam=a"], "'beam=a' is not of the form"),
        (["greedy="], "form"),
        (["greedy=a", "greedy=b"], "greedy is named twice"),
        (["greedy=missing.parquet"], r"missing\.parquet: no such file"),
    ],
)
def test_bad_rollouts(tmp_path, entries, problem):
    with pytest.raises(UserError, match=problem):
        judge(entries, tmp_path / "v.parquet", RULE)
    assert not (tmp_path / "v.parquet").exists()


def test_table_is_ordered_and_averages_samples(tmp_path, rollouts):
    judge(rollouts, tmp_path / "v.parquet", RULE)
    judge(rollouts[:1], tmp_path / "g.parquet", RULE)
    table = summarize(["stage1-rft", "base"], [f"base={tmp_path}/g.parquet", f"stage1-rft={tmp_path}/v.parquet"])
    places = [(row["model"], row["decoding"], row["level"]) for row in table]
    assert places == [
        ("stage1-rft", "sampled", 1),
        ("stage1-rft", "sampled", 2),
        ("stage1-rft", "greedy", 1),
        ("stage1-rft", "greedy", 2),
        ("base", "greedy", 1),
        ("base", "greedy", 2),
    ]
    assert table[1] == {
        "model": "stage1-rft",
        "decoding": "sampled",
        "level": 2,
        "problems": 2,
        "samples": 4,
        "correct": 1,
        "answered": 2,
        "truncated": 0,
        "accuracy": 0.25,
        "low": wilson(0.25, 2)[0],
        "high": wilson(0.25, 2)[1],
    }
    assert (table[0]["problems"], table[0]["samples"], table[0]["accuracy"]) == (1, 2, 1.0)
    assert table[3]["truncated"] == 1


def test_a_file_without_verdicts_is_named(tmp_path):
    write_parquet(tmp_path / "v.parquet", HELD_OUT_VERDICTS, [[]])
    with pytest.raises(UserError, match=r"v\.parquet: no verdict in it"):
        summarize(["base"], [f"base={tmp_path}/v.parquet"])


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (["base"], "--verdicts: 'base' is not of the form MODEL=FILE"),
        (["base="], "form"),
        (["other=a", "base=b"], "'other' is not among the spec's models: base, stage1-rft"),
        (["base=a", "base=b"], "base is named twice"),
        (["base=a"], "none of model stage1-rft; add stage1-rft=FILE"),
    ],
)
def test_bad_entries(entries, problem):
    with pytest.raises(UserError, match=problem):
        files_by_model("--verdicts", entries, ["base", "stage1-rft"])


def test_files_may_have_equals_signs():
    assert files_by_model("--counts", ["base=a=b.parquet"], ["base"]) == {"base": "a=b.parquet"}


def test_parquet_and_csv_hold_the_same_rows(tmp_path):
    row = {"problems": 3, "samples": 3, "correct": 1, "answered": 3, "truncated": 0, "accuracy": 1 / 3, "low": 0.1, "high": 0.75}
    row |= {"model": "base", "decoding": "greedy", "level": 1}
    write_table(tmp_path / "t.parquet", tmp_path / "t.csv", ACCURACY, [row])
    assert list(read_rows(tmp_path / "t.parquet", ACCURACY)) == [{name: row[name] for name in ACCURACY.names}]
    heading, line = (tmp_path / "t.csv").read_text().splitlines()
    assert heading == ",".join(ACCURACY.names)
    assert dict(zip(ACCURACY.names, line.split(","))) == {name: str(row[name]) for name in ACCURACY.names}


def test_scripts_from_rollouts_to_table(tmp_path, rollouts):
    def call(script, spec, *arguments):
        command = [sys.executable, SCRIPTS / script, "--spec", json.dumps({"code": 1, **spec}), *arguments]
        return subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)

    scoring = {"answer_rule": "published"}
    done = call("score_held_out.py", scoring, "--rollouts", *rollouts, "--output", "v.parquet")
    assert (done.returncode, "10 responses to 8 prompts; 1 prompts without a response" in done.stderr) == (0, True)
    outputs = ("--parquet", "t.parquet", "--csv", "t.csv")
    failed = call("summarize_evaluation.py", {"models": ["base", "stage1-rft"]}, "--verdicts", "base=v.parquet", *outputs)
    assert (failed.returncode, failed.stderr) == (1, "error: --verdicts: none of model stage1-rft; add stage1-rft=FILE\n")
    assert call("summarize_evaluation.py", {"models": ["base"]}, "--verdicts", "base=v.parquet", *outputs).returncode == 0
    assert [row["accuracy"] for row in read_rows(tmp_path / "t.parquet", ACCURACY)] == [1.0, 0.25, 0.5, 0.5]
    assert (tmp_path / "t.csv").read_text().startswith("model,decoding,level,problems,samples,correct,")
