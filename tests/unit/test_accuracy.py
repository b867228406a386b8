"""Verdicts, accuracies and their intervals, tables."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import rc_context
from rollout_rows import rollout

from fofg.config import Figures
from fofg.data.files import read_rows, write_parquet
from fofg.data.schemas import PROBLEMS, ROLLOUTS, VERDICTS
from fofg.errors import UserError
from fofg.evaluation.accuracy import judge, read_csv, summarize, summarize_files, wilson, write_csv
from fofg.report import accuracy as figure
from fofg.report.tables import accuracy_table, markdown, write_accuracy_table

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
RIGHT, WRONG, NONE = '{"output": "b"}', '{"output": "c"}', "no idea"


def verdict(index, correct, level=1, sample=0):
    return {
        "index": index,
        "level": level,
        "sample": sample,
        "correct": correct,
        "answered": True,
        "truncated": False,
    }


shares = st.tuples(st.integers(1, 5000), st.floats(0, 1))


@given(shares)
def test_interval_holds_the_share_and_lies_in_the_unit_interval(case):
    trials, share = case
    low, high = wilson(share, trials)
    assert 0 <= low <= share <= high <= 1
    assert low < high


@given(shares)
def test_interval_is_symmetric_and_shrinks_with_trials(case):
    trials, share = case
    low, high = wilson(share, trials)
    mirrored = wilson(1 - share, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)
    narrower = wilson(share, 4 * trials)
    assert narrower[1] - narrower[0] < high - low


@given(st.integers(1, 200), st.data())
def test_interval_ends_solve_the_score_equation(trials, data):
    share = data.draw(st.integers(0, trials)) / trials
    for end in wilson(share, trials, z=2.0):
        assert (share - end) ** 2 == pytest.approx(4 * end * (1 - end) / trials, abs=1e-9)


def test_interval_of_published_examples():
    """Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_verdicts_tell_right_wrong_and_no_answers(tmp_path):
    rows = [rollout(7, [RIGHT, WRONG, NONE, RIGHT], reasons=["stop", "stop", "stop", "length"]), rollout(8, [])]
    write_parquet(tmp_path / "r.parquet", ROLLOUTS, [rows])
    counted = judge(tmp_path / "r.parquet", tmp_path / "v.parquet", "published")
    assert counted == (2, 1, 4)
    verdicts = list(read_rows(tmp_path / "v.parquet", VERDICTS))
    assert [row["correct"] for row in verdicts] == [True, False, False, False]
    assert [row["answered"] for row in verdicts] == [True, True, False, False]
    assert [row["truncated"] for row in verdicts] == [False, False, False, True]
    assert {(row["index"], row["level"]) for row in verdicts} == {(7, 1)}
    assert [row["sample"] for row in verdicts] == [0, 1, 2, 3]


def test_lenient_rule_reaches_the_score(tmp_path):
    write_parquet(tmp_path / "r.parquet", ROLLOUTS, [[rollout(0, ['a stray { then {"output": "b"}'])]])
    for rule, correct in (("published", False), ("lenient", True)):
        judge(tmp_path / "r.parquet", tmp_path / "v.parquet", rule)
        assert next(read_rows(tmp_path / "v.parquet"))["correct"] is correct


def test_broken_ground_truth_names_the_row(tmp_path):
    row = rollout(0, [RIGHT])
    row["reward_model"]["ground_truth"] = "{"
    write_parquet(tmp_path / "r.parquet", ROLLOUTS, [[rollout(1, [RIGHT]), row]])
    with pytest.raises(UserError, match=r"r\.parquet: row 1"):
        judge(tmp_path / "r.parquet", tmp_path / "v.parquet", "published")
    assert not (tmp_path / "v.parquet").exists()


def test_levels_are_summarized_apart():
    rows = [verdict(0, True), verdict(1, False), verdict(2, True, level=3)]
    first, third = summarize("base", "hidden", rows)
    assert (first.level, first.problems, first.samples, first.correct, first.accuracy) == (1, 2, 2, 1, 0.5)
    assert (third.level, third.accuracy) == (3, 1.0)


def test_problems_from_training_are_counted_once_and_by_level():
    rows = [verdict(index, True, level=1 + index // 2, sample=sample) for index in range(4) for sample in range(3)]
    assert [row.trained for row in summarize("base", "hidden", rows, {0, 1, 2, 9})] == [2, 1]
    assert [row.trained for row in summarize("base", "hidden", rows)] == [0, 0]


@pytest.mark.parametrize("trained", [0, 3])
def test_table_and_figure_say_what_was_in_training(tmp_path, entries, trained):
    table = summarize_files(["base", "stage1-rft"], entries, set(range(trained)))
    write_accuracy_table(tmp_path / "a.md", ["base", "stage1-rft"], table)
    assert ("n = 4, 3 in training" in (tmp_path / "a.md").read_text()) is bool(trained)
    write_csv(tmp_path / "a.csv", table)
    assert read_csv(tmp_path / "a.csv") == table
    with rc_context({"svg.fonttype": "none"}):
        figure.plot(tmp_path / "a.csv", tmp_path / "a", Figures(formats=["svg"], dpi=72, font_size=8))
    assert ("3 of 4 in training" in (tmp_path / "a.svg").read_text()) is bool(trained)


def test_counts_are_numbers_even_of_a_single_response():
    only = summarize("base", "hidden", [verdict(0, True)])[0]
    assert [(type(count), count) for count in (only.correct, only.answered, only.truncated)] == [(int, 1), (int, 1), (int, 0)]


def test_several_samples_a_problem_do_not_narrow_the_interval():
    one = summarize("base", "hidden", [verdict(index, index < 5) for index in range(10)])[0]
    many = summarize("base", "hidden", [verdict(index, index < 5, sample=sample) for index in range(10) for sample in range(8)])[0]
    assert (many.problems, many.samples, many.accuracy) == (10, 80, 0.5)
    assert (many.low, many.high) == (one.low, one.high)


@pytest.fixture
def entries(tmp_path):
    names = []
    for model, hits in (("base", 1), ("stage1-rft", 3)):
        for definitions in ("hidden", "visible"):
            path = tmp_path / f"{model}-{definitions}.parquet"
            write_parquet(path, VERDICTS, [[verdict(index, index < hits) for index in range(4)]])
            names.append(f"{model}/{definitions}={path}")
    return names


def test_summary_order_and_round_trip_as_csv(tmp_path, entries):
    table = summarize_files(["base", "stage1-rft"], entries)
    assert [(row.model, row.definitions, row.accuracy) for row in table] == [
        ("base", "visible", 0.25),
        ("base", "hidden", 0.25),
        ("stage1-rft", "visible", 0.75),
        ("stage1-rft", "hidden", 0.75),
    ]
    write_csv(tmp_path / "a.csv", table)
    assert read_csv(tmp_path / "a.csv") == table


@pytest.mark.parametrize(
    ("entry", "problem"),
    [("base/shown=x", "form"), ("base/visible", "form"), ("visible=x", "form|models"), ("other/visible=x", "models: base")],
)
def test_bad_entries(entry, problem):
    with pytest.raises(UserError, match=problem):
        summarize_files(["base"], [entry])


def test_a_model_without_verdicts_is_named(tmp_path, entries):
    with pytest.raises(UserError, match="stage2"):
        summarize_files(["base", "stage1-rft", "stage2"], entries)
    write_parquet(tmp_path / "empty.parquet", VERDICTS, [[]])
    with pytest.raises(UserError, match=r"empty\.parquet: no verdict"):
        summarize_files(["base"], [f"base/visible={tmp_path}/empty.parquet"])


def test_table_has_a_column_a_model_and_shows_what_is_missing(entries):
    table = summarize_files(["base", "stage1-rft"], entries[:3])
    lines = accuracy_table(["base", "stage1-rft"], table).splitlines()
    assert lines[0].split("|")[3].strip() == "base (before)"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["visible", "hidden"]
    assert lines[2].split("|")[4].strip() == "–"
    assert lines[3].split("|")[4].strip().startswith("75.0% (")
    assert len({len(line) for line in lines}) == 1


def test_markdown_keeps_columns_even():
    assert markdown(["a", "b"], [["long", "1"]]) == "| a    | b   |\n|------|-----|\n| long | 1   |\n"


def test_damaged_csv_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("model,level\nbase,1\n")
    with pytest.raises(UserError, match=r"a\.csv"):
        figure.plot(tmp_path / "a.csv", tmp_path / "a", Figures(formats=["svg"], dpi=72, font_size=8))


def test_scripts_from_rollouts_to_figure(tmp_path):
    for definitions, responses in (("visible", [RIGHT]), ("hidden", [WRONG])):
        write_parquet(tmp_path / f"{definitions}.parquet", ROLLOUTS, [[rollout(index, responses) for index in range(5)]])

    def call(script, spec, *arguments):
        command = [sys.executable, SCRIPTS / script, "--spec", json.dumps({"code": 1, **spec}), *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)

    scoring = {"answer_rule": "published"}
    for definitions in ("visible", "hidden"):
        call("score_rollouts.py", scoring, "--rollouts", f"{definitions}.parquet", "--output", f"v-{definitions}.parquet")
    verdicts = ["base/visible=v-visible.parquet", "base/hidden=v-hidden.parquet"]
    problems = {key: value for key, value in rollout(0, []).items() if key in PROBLEMS.names}
    write_parquet(tmp_path / "p.parquet", PROBLEMS, [[problems]])
    files = ("--train", "p.parquet", "--test", "p.parquet", "--csv", "a.csv", "--markdown", "a.md")
    call("summarize_accuracy.py", {"models": ["base"]}, "--verdicts", *verdicts, *files)
    assert "n = 5, 1 in training" in (tmp_path / "a.md").read_text()
    assert "100.0%" in (tmp_path / "a.md").read_text() and " 0.0%" in (tmp_path / "a.md").read_text()
    figures = {"figures": {"formats": ["svg", "png"], "dpi": 72, "font_size": 8}}
    call("plot_accuracy.py", figures, "--accuracy", "a.csv", "--stem", "figure")
    assert "<svg" in (tmp_path / "figure.svg").read_text()
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
