"""Problems of the Countdown task: their sampling, and rows of others."""

import json
from itertools import chain

import pytest

from fofg.errors import UserError
from fofg.tasks import task as tasks
from fofg.tasks.countdown import sampler
from fofg.tasks.countdown.grading import Goal
from fofg.tasks.task import Outcome, Split

TASK = tasks.get("countdown")


class Seed:
    """All that Countdown asks of the settings."""

    def __init__(self, seed: int = 42):
        self.seed = seed


def sample(split: str, *shares: tuple[int, int], seed: int = 42) -> list[tasks.Problem]:
    return list(TASK.sample(Seed(seed), Split("any", 1, split, list(shares))))


def row(truth, **info) -> dict:
    return {"data_source": "countdown", "reward_model": {"ground_truth": truth}, "extra_info": info}


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[tasks.Problem]]:
    return {split: sample(split, (2, 60), (3, 25), (5, 8)) for split in ("train", "test")}


def test_problems_are_in_range_and_solved_by_their_outputs(drawn):
    for problem in chain(*drawn.values()):
        goal = json.loads(problem.truth)
        assert len(goal["numbers"]) == problem.level and 1 <= goal["target"] <= 999
        assert all(1 <= number <= 100 for number in goal["numbers"])
        assert TASK.grade(problem, f"<answer>{problem.output}</answer>") is Outcome.CORRECT


def test_no_problem_repeats_and_none_is_in_train_and_test(drawn):
    keys = {split: [(problem.question, problem.input) for problem in problems] for split, problems in drawn.items()}
    assert all(len(set(of_split)) == len(of_split) for of_split in keys.values())
    for split, other in (("train", "test"), ("test", "train")):
        assert not {*keys[other]} & {
            (problem.question, problem.input) for problem in [*drawn[split], *sample(split, (2, 100), seed=7)]
        }


def test_the_first_problems_stay_the_same(drawn):
    assert sample("train", (3, 10)) == drawn["train"][60:70]
    assert sample("train", (2, 5), seed=43) != drawn["train"][:5]


def test_a_used_up_training_split_goes_round_and_a_test_split_is_an_error(monkeypatch):
    few = [(Goal(target, (1, target - 1)), "") for target in range(2, 30)]
    monkeypatch.setattr(sampler, "_draw", lambda seed, level: (few[i % len(few)] for i in range(10**6)))
    sides = {side: [goal for goal, _ in few if (sampler.side(goal) == 0) == side] for side in (False, True)}
    train = [goal for _, goal, _ in sampler.sample(1, Split("d", 1, "train", [(2, 2 * len(sides[False]))]))]
    assert sorted(train) == sorted(2 * sides[False])
    with pytest.raises(UserError, match=rf"datasets\.d\.test: only {len(sides[True])} test problems of 2 integers; lower it"):
        list(sampler.sample(1, Split("d", 1, "test", [(2, len(few))])))


@pytest.mark.parametrize("level", [1, 7])
def test_levels_without_problems_are_an_error(level):
    with pytest.raises(UserError, match=rf"datasets\.any\.levels: {level}, but problems have 2 to 6 integers"):
        sample("train", (level, 1))


@pytest.mark.parametrize(
    "truth",
    [
        {"target": 25, "numbers": [44, 19]},
        {"nums": [44, 19], "target": 25},
        {"question": "?", "answer": "44 - 19", "metadata": {"numbers": [44, 19], "target": 25, "source_dataset": "countdown"}},
    ],
)
def test_rows_of_others_are_read(truth):
    read = [TASK.read(row(written), "row 1") for written in (json.dumps(truth), truth)]
    assert [(one.question, one.input, one.level) for one in read] == 2 * [("25", "19, 44", 2)]
    assert TASK.prompt(read[0], "{target} of {numbers} {", True) == [{"role": "user", "content": "25 of 44, 19 {"}]
    assert tasks.of_row(row("") | {"data_source": "reasoning_gym/countdown"}, "row 1").name == "countdown"


@pytest.mark.parametrize(
    "truth",
    [None, "", "25", "[]", '{"target": 25}', '{"target": "25", "numbers": [1]}', '{"target": 1, "numbers": []}', "[" * 10**5]
    + [json.dumps({"target": 25, "numbers": numbers}) for numbers in (7, "44", [4.5], [True], [-1], [10**10], [1] * 33)],
)
def test_other_ground_truths_are_an_error(truth):
    with pytest.raises(UserError, match=r'f\.parquet: row 3: reward_model\.ground_truth must be JSON like {"target": 25'):
        TASK.read(row(truth), "f.parquet: row 3")
