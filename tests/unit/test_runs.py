"""``fofg compare``: two runs on the problems that they share, and the commands that show where they differ."""

import json
import shlex
import sys

import pytest
from configs import configured
from rollout_rows import rollout

from fofg.__main__ import main
from fofg.data.files import write_json, write_parquet
from fofg.data.schemas import ROLLOUTS
from fofg.evaluation.verdicts import write_verdicts

RIGHT, WRONG = '{"output": "b"}', '{"output": "c"}'


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs: the second solves 9 problems that the first does not, at other indexes; each has a problem of its own."""
    monkeypatch.setenv("FOFG_TASK", "string_task")
    monkeypatch.setenv("FOFG_DATA_SOURCE", "")
    monkeypatch.chdir(tmp_path)
    solved = {"a": [number < 3 for number in range(21)], "b": [number < 12 for number in range(20)] + [True]}
    for run, outcomes in solved.items():
        problems = sorted(enumerate(outcomes), reverse=run == "b")
        rows = [
            rollout(index + 100 * (run == "b"), [RIGHT if right else WRONG] * 2, x=f"{number}{run * (number > 19)}")
            for index, (number, right) in enumerate(problems)
        ]
        path = tmp_path / run / "results/evaluation/mine/held-out/sampled/rollouts.parquet"
        write_parquet(path, ROLLOUTS, [rows])
        write_verdicts([path], path.parents[2] / "verdicts.parquet", "published", ["sampled"])
        rl = {"stage2": {"rl": {"learning_rate": 1e-4 if run == "b" else 2e-4}}}
        write_json(tmp_path / run / "results/config.json", configured(run_dir=run, **rl).model_dump(mode="json"))


@pytest.fixture
def fofg(monkeypatch, capsys):
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["fofg", *arguments])
        main()
        return capsys.readouterr().out

    return run


def test_runs_are_compared_on_the_problems_that_they_share(runs, fofg):
    result = json.loads(fofg("compare", "a", "b", "--json"))
    assert result["changed"] == {"stage2.rl.learning_rate": [2e-4, 1e-4]}
    (row,) = result["accuracy"]
    assert (row["model"], row["problems"], row["first"], row["second"]) == ("mine", 20, 0.15, 0.6)
    assert row["p"] == row["p_holm"] == pytest.approx(2 / 2**9)
    assert 0 < row["low"] < row["difference"] < row["high"] and row["difference"] == pytest.approx(0.45)
    assert sorted(flip["problem"] for flip in result["flips"]) == list(range(3, 12))
    reverse = json.loads(fofg("compare", "b", "a", "--json"))
    assert reverse["accuracy"][0]["difference"] == pytest.approx(-0.45) and len(reverse["flips"]) == 9


def test_the_command_beside_a_problem_shows_both_responses(runs, fofg):
    text = fofg("compare", "a", "b", "-n", "1")
    assert "problems solved in one run alone: 9 in b, 0 in a" in text
    (command,) = [line.partition("fofg ")[2] for line in text.splitlines() if "fofg show" in line]
    shown = " ".join(fofg(*shlex.split(command)).split())
    assert "rollouts.parquet: response 0, wrong" in shown and "rollouts.parquet: response 0, correct" in shown


@pytest.mark.parametrize(
    ("run", "message"), [("nowhere", "nowhere: no run"), ("c", "none of mine is evaluated in c"), ("d", "no configuration")]
)
def test_what_is_no_evaluated_run_is_an_error(runs, fofg, tmp_path, run, message):
    write_json(tmp_path / "c/results/config.json", configured(run_dir="c").model_dump(mode="json"))
    write_json(tmp_path / "d/results/config.json", {})
    with pytest.raises(SystemExit, match=message):
        fofg("compare", "a", run)
