"""Countdown as the pipeline sees it (fofg.tasks.task.Task). A level is the number of integers."""

import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from fofg.config import Hints, Warmup
from fofg.data.files import CORRECT, cure
from fofg.data.schemas import Message
from fofg.errors import UserError
from fofg.tasks.countdown import grading, sampler
from fofg.tasks.countdown.grading import Goal
from fofg.tasks.countdown.prompts import prompt_text
from fofg.tasks.task import AnswerRule, Explanation, Outcome, Problem, Split

#: Maximum numbers of a problem, and maximum integer, in rows that others wrote: they keep the values of any answer small.
MAX_NUMBERS, MAX_INTEGER = 32, 10**9


class Countdown:
    """Integers to combine with + - * /, each exactly once, into a target. Nothing is hidden in Stage 2, so hints change nothing.

    A problem's question is its target, its input the integers in ascending order, its output a solution if one is known.
    """

    name = "countdown"
    sources = ("reasoning_gym",)  # reasoning_gym/countdown
    ability = "arithmetic"
    skills = {"operation": "operation"}
    failure_classes = grading.CLASSES

    def sample(self, settings: Any, split: Split) -> Iterator[Problem]:
        """Yield the problems of a split. Of the settings, only ``seed`` matters; the dataset's name and stage do not."""
        for level, goal, solution in sampler.sample(settings.seed, split):
            yield _problem(goal, level, json.dumps(goal._asdict()), solution)

    def check_packages(self) -> None:
        sampler.package_folder()

    def prompt(self, problem: Problem, template: str, hints: Hints) -> list[Message]:
        return [{"role": "user", "content": prompt_text(template, _goal(json.loads(problem.truth)))}]

    def worked_examples(self, settings: Warmup, template: str, split: str) -> Iterator[tuple[list[Message], str]]:
        """Yield examples from the corpus of the embedded model that knows arithmetic; a level below 2 counts as 2 integers."""
        from fofg.tiny_base import arithmetic  # which imports this package

        rng = Random(f"{settings.seed} {split}")
        for prompt, response in arithmetic.worked_examples(template, settings.levels, split == "test", rng):
            yield [{"role": "user", "content": prompt}], response

    def read(self, row: Mapping, where: str) -> Problem:
        truth = (row["reward_model"] or {}).get("ground_truth")
        try:
            goal = _goal(json.loads(truth) if isinstance(truth, str) else truth)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            file, named, _ = where.rpartition(": ")
            raise UserError(
                f'{where}: reward_model.ground_truth must be JSON like {{"target": 25, "numbers": [44, 19]}}, not '
                f"{str(truth)[:80]!r}; {cure(file, CORRECT) if named else 'correct the problems'}"
            ) from None
        level = (row.get("extra_info") or {}).get("level")
        return _problem(goal, len(goal.numbers) if level is None else level, truth if isinstance(truth, str) else json.dumps(truth))

    def count_skills(self, problem: Problem) -> dict[str, int]:
        return {"operation": len(problem.input.split(", ")) - 1}

    def grade(self, problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> Outcome:
        return grading.outcome(self.classify(problem, response, truncated, rule))

    def classify(self, problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> str:
        return grading.classify(_asked(problem), response, truncated, rule)

    def explain(self, problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> Explanation:
        return grading.explain(_asked(problem), response, truncated, rule)


def _asked(problem: Problem) -> Goal:
    return Goal(int(problem.question), tuple(map(int, problem.input.split(", "))))


def _problem(goal: Goal, level: int, truth: str, solution: str = "") -> Problem:
    return Problem(str(goal.target), ", ".join(map(str, sorted(goal.numbers))), solution, level, truth)


def _goal(truth: Any) -> Goal:
    """Return the goal of a ground truth: of this project, of TinyZero and verl (``numbers`` or ``nums``), or of reasoning-gym.

    Raises an error of those that ``read`` catches for any other.
    """
    truth = truth.get("metadata") or truth  # an entry of reasoning-gym
    numbers = truth["numbers"] if "numbers" in truth else truth["nums"]
    goal = Goal(truth["target"], tuple(numbers))
    values = (goal.target, *goal.numbers)
    if not all(type(value) is int and abs(value) <= MAX_INTEGER for value in values) or min(goal.numbers) < 0:
        raise ValueError("not the integers of a problem")
    if len(goal.numbers) > MAX_NUMBERS:
        raise ValueError("too many integers")
    return goal
