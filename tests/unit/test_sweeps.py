"""Sweeps: points of a grid, the folders of what they train and evaluate, and the table of all."""

import re

import pandas as pd
import pytest
import results_tables as tables
from configs import DEFAULT, ROOT, merge
from hypothesis import given
from hypothesis import strategies as st

from fofg.config import load, read
from fofg.data.files import write_parquet
from fofg.data.schemas import ACCURACY, SPLIT_ACCURACY
from fofg.errors import UserError
from fofg.evaluation.sweep import COLUMNS, summarize
from fofg.report.figures import sweep as figure
from fofg.sweeps import Sweep, needed

POOLS = {"few": {"train": ["sort_chars"], "test": ["mirror_str"]}, "default": None}


def sweep_of(grid: dict, **changes) -> Sweep:
    values = read([DEFAULT])
    merge(values, {"sweep": grid, **changes})
    return Sweep(values, load(values))


def test_every_combination_is_a_point_and_the_configurations_own_values_are_no_folder():
    sweep = sweep_of({"stage2.rl.learning_rate": ["1e-4", 2e-4], "problems.pools": POOLS})
    assert [folder for _, folder in sweep.points] == [
        "sweep/problems.pools=few/stage2.rl.learning_rate=0.0001/",
        "sweep/problems.pools=few/",
        "sweep/stage2.rl.learning_rate=0.0001/",
        "",
    ]
    assert sweep.points[0][0] == {"stage2.rl.learning_rate": "0.0001", "problems.pools": "few"}
    found = sweep.settings("sweep/stage2.rl.learning_rate=0.0001/")
    assert found.stage2.rl.learning_rate == 1e-4 and found.problems.pools is None
    for _, folder in sweep.points:
        assert re.fullmatch(sweep.pattern(), folder) and sweep.folder(sweep.point(folder)) == folder


def test_more_values_and_another_order_of_keys_keep_the_folders():
    before = {folder for _, folder in sweep_of({"stage1.sft.epochs": [1, 3], "scoring.scheme": ["binary"]}).points}
    after = {folder for _, folder in sweep_of({"scoring.scheme": ["binary"], "stage1.sft.epochs": [5, 3, 1]}).points}
    assert before < after


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"stage2.rl.lerning_rate": [1]}, r"did you mean stage2\.rl\.learning_rate\?"),
        ({"stage2.rl.learning_rate": [1e-4, "fast"]}, r"sweep: stage2\.rl\.learning_rate=fast: .*number"),
        ({"rollout_engine.batch_size": [1, 2]}, "can't be swept"),
        ({"stage2.rl.betas": [[0.9, 0.9]]}, "need names"),
        ({"stage2.rl.betas": {"a/b": [0.9, 0.9]}}, "no name for a folder"),
        ({"stage2.rl.seed": [1, 1]}, "occurs twice"),
        ({"stage2.rl.seed": []}, "no values"),
        ({"stage2.rl.seed": 3}, "a list of values"),
        ({"stage2.rft.num_iterations": [2]}, "run_dir of its own|own run_dir"),
        ({"stage2.rl.curricula": {"more": {"mine": [{"steps": 1, "mixture": {"stage2_level1": 1}}]}}}, "own run_dir"),
        ({"stage2.rft.examples_per_iteration": [5000]}, r"sweep: stage2\.rft\.examples_per_iteration=5000: stage2\.rft: "),
    ],
)
def test_a_grid_that_the_configuration_cannot_have_is_refused_in_one_sentence(grid, message):
    with pytest.raises(UserError, match=message) as error:
        sweep_of(grid)
    assert len(str(error.value).removeprefix("configuration:\n").splitlines()) == 1


def test_what_no_model_can_do_is_refused_at_a_point_too(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    sweep_of({"stage2.rl.rollouts.max_response_tokens": [64, 128]}).check()
    with pytest.raises(UserError, match=r"^sweep: stage2\.rl\.rollouts\.max_response_tokens=100000: .*tiny-base.*lower it"):
        sweep_of({"stage2.rl.rollouts.max_response_tokens": [64, 100_000]}).check()
    (tmp_path / "rows.parquet").write_bytes(b"no rows")
    mixed = {"mine": [{"steps": 1, "mixture": {str(tmp_path / "rows.parquet"): 1}}]}
    with pytest.raises(UserError, match=r"^sweep: stage2\.rl\.curricula\.level2=mine: .*rows\.parquet"):
        sweep_of({"stage2.rl.curricula.level2": mixed}).check()


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xy")), st.sets(st.sampled_from("abcdef")))
def test_a_file_is_found_under_the_keys_that_decide_its_content(point, keys):
    deciding = {key: name for key, name in point.items() if key in keys}
    assert needed(point, lambda part: {key: part.get(key) for key in keys}) == deciding


@pytest.mark.parametrize("splits", [False, True])
def test_the_table_has_a_row_per_point_seed_model_and_level_of_sampled_responses(tmp_path, splits):
    rows = tables.accuracy(models=["base", "stage2-rl-level1"], levels=(1, 2))
    if splits:
        rows = [{"split": split, **row} for split in ("held-out functions", "seen pairs") for row in rows]
    write_parquet(tmp_path / "a.parquet", SPLIT_ACCURACY if splits else ACCURACY, [rows])
    points = [{"stage2.rl.kl_coef": kl, "problems.pools": "null"} for kl in ("0", "0.1")]
    table = summarize(points, [tmp_path / "a.parquet"] * 2, "held-out functions", splits)
    assert list(table) == ["stage2.rl.kl_coef", "problems.pools", *COLUMNS]
    assert len(table) == 2 * 2 * 2 * (2 if splits else 1) and not table.duplicated([*points[0], *COLUMNS[:4]]).any()
    table.to_csv(tmp_path / "sweep.csv", index=False)
    drawn = figure.plot(tmp_path / "sweep.csv")
    assert len(drawn.axes) == 2 * (2 if splits else 1)
    assert all("null" in axes.get_title(loc="left") for axes in drawn.axes)
    curve = next(line for line in drawn.axes[0].get_lines() if line.get_label() == "base")
    assert pd.Series(curve.get_ydata()).tolist() == pytest.approx([0.1, 0.01])
