"""A custom task: write a text of even length. About half of all texts solve it."""

import json
from collections import Counter

from fofg.errors import UserError
from fofg.tasks.task import Outcome, Problem


class Even:
    name = "even"
    ability = "counting"
    skills = {"count": "counting", "pad": "padding"}
    failure_classes = ("correct", "odd", "empty")

    def sample(self, settings, split):
        for level, count in split.shares:
            for number in range(count):
                yield self._problem(f"{split.split}{settings.seed + number}", level)

    def _problem(self, word, level):
        return Problem("even", word, "", level, json.dumps({"word": word, "level": level}), {"functions": ["count"]})

    def prompt(self, problem, template, hints):
        hint = "An even number can be halved. " if hints else ""
        return [{"role": "user", "content": f"{hint}{template}{problem.input}"}]

    def read(self, row, where):
        try:
            truth = json.loads(row["reward_model"]["ground_truth"])
            return self._problem(truth["word"], truth["level"])._replace(truth=row["reward_model"]["ground_truth"])
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{where}: no problem of task even ({error}); correct it") from None

    def count_skills(self, problem):
        return Counter({"count": 1, "pad": problem.level - 1}) if problem.level > 1 else Counter({"count": 1})

    def grade(self, problem, response, truncated=False, rule="published"):
        if not response:
            return Outcome.NO_ANSWER
        return Outcome.WRONG if len(response) % 2 else Outcome.CORRECT

    def classify(self, problem, response, truncated=False, rule="published"):
        return {Outcome.CORRECT: "correct", Outcome.WRONG: "odd", Outcome.NO_ANSWER: "empty"}[self.grade(problem, response)]
