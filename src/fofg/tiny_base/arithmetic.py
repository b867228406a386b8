"""Worked answers to Countdown problems: a line per try, marked as right or wrong, then the expression; optionally with slips.

Two integers are combined in every way that gives a whole number above 0, in any order, until one gives the target:

44 + 19 = 63 no
44 - 19 = 25 yes
<answer>44 - 19</answer>

With more, lines of steps come first, each with the numbers that are left, until there are two:

3 * 44 = 132 left 132, 19
132 + 19 = 151 no
132 - 19 = 113 yes
<answer>(3 * 44) - 19</answer>
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from fofg.tasks.countdown.grading import Goal
from fofg.tasks.countdown.prompts import prompt_text
from fofg.tasks.countdown.sampler import NUMBERS, TARGETS, side
from fofg.tiny_base.answers import BROKEN_JSON
from fofg.tiny_base.corpus import MOST_TURNS, SEVERAL_TURNS, STEPWISE, Turn

#: Fixed pieces of an answer.
PIECES = (" + ", " - ", " * ", " / ", " = ", " no\n", " yes\n", " left ", ", ", "<answer>", "</answer>")
#: Number of integers -> how often.
LEVELS = {2: 0.55, 3: 0.25, 4: 0.1, 5: 0.1}
#: Probability that more than two integers are worked fully, late in training: with three, and by each further one.
LATE_STEPWISE, LATE_STEPWISE_MORE = 0.2, 0.6
#: Probability that a step is one of the solution's, rather than any, and how often all steps are tried.
GUESSED, TRIES = 0.7, 3
#: Share of slips that are a digit miswritten; in the others the result is misjudged.
MISWRITTEN = 0.7
#: Steps with a larger result are not tried.
LARGEST = 9_999


class Part(NamedTuple):
    """A number, given or worked out, and the expression that it comes from."""

    value: int
    text: str


class Step(NamedTuple):
    """Two values, the larger first where the order matters, and the operator between them."""

    left: int
    operator: str
    right: int


def conversation(template: str, rng: Random, late: bool, error_rate: float) -> list[Turn]:
    """Draw one document: 1 to 5 problems. ``late``: the mixture of the last phase, with slips at ``error_rate``."""
    count = rng.randint(2, MOST_TURNS) if rng.random() < SEVERAL_TURNS else 1
    levels = rng.choices(list(LEVELS), weights=list(LEVELS.values()), k=count)
    return [_turn(template, rng, level, late, error_rate if late else 0.0) for level in levels]


def worked_examples(template: str, levels: tuple[int, int], test: bool, rng: Random) -> Iterator[Turn]:
    """Yield problems without end, worked fully and without slips, of those that are neither in a test split nor of the other side.

    ``levels``: fewest and most integers; ``test``: examples for the loss curve rather than to train on.
    """
    while True:
        goal, steps = _problem(rng, max(2, rng.randint(*levels)))
        if (side(goal) == 1) == test and (response := _Work(goal, rng, 0.0).worked(steps)):
            yield Turn(prompt_text(template, goal), response)


def _turn(template: str, rng: Random, level: int, late: bool, error_rate: float) -> Turn:
    goal, steps = _problem(rng, level)
    work = _Work(goal, rng, error_rate)
    full = LATE_STEPWISE * LATE_STEPWISE_MORE ** (level - 3) if late else STEPWISE
    if level == 2 or rng.random() < full:
        response = work.worked(steps) or work.unworked()
    elif rng.random() < 0.6:
        response = work.two_only()
    else:
        response = work.unworked()
    return Turn(prompt_text(template, goal), response)


def _problem(rng: Random, level: int) -> tuple[Goal, list[Step]]:
    """Draw a problem that is in no test split, and the steps of a solution."""
    while True:
        numbers = [rng.randint(*NUMBERS) for _ in range(level)]
        value, steps = numbers[0], []
        for number in numbers[1:]:
            left, right = max(value, number), min(value, number)
            operator = rng.choice("+-*/")
            if operator == "/" and left % right:
                operator = "-"
            steps.append(Step(left, operator, right))
            value = _apply(steps[-1])
            if not 1 <= value <= LARGEST:
                break
        else:
            rng.shuffle(numbers)
            goal = Goal(value, tuple(numbers))
            if TARGETS[0] <= value <= TARGETS[1] and side(goal):
                return goal, steps


def _apply(step: Step) -> int:
    left, operator, right = step
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    return left * right if operator == "*" else left // right


class _Work:
    def __init__(self, goal: Goal, rng: Random, error_rate: float):
        self.goal, self.rng, self.error_rate = goal, rng, error_rate
        self.lines: list[str] = []

    def worked(self, steps: Sequence[Step]) -> str | None:
        """Return an answer that tries steps until two numbers are left, and those in every way; None if it can't find the target.

        With slips, it may also end on a wrong expression.
        """
        text = ""
        for _ in range(1 if len(steps) == 1 else TRIES):
            parts = [Part(number, str(number)) for number in self.goal.numbers]
            for step in steps[:-1]:
                parts = self._reduced(parts, step)
            text, right = self._tried(*parts)
            if right:
                return self._closed(text)
        return self._closed(text) if self.error_rate else None

    def two_only(self) -> str:
        """Return an answer that takes two of the integers for all."""
        first, second = self.rng.sample(self.goal.numbers, 2)
        text, _ = self._tried(Part(first, str(first)), Part(second, str(second)))
        return self._closed(text)

    def unworked(self) -> str:
        """Return an answer with all integers and any operators, without a line of work."""
        text = str(self.goal.numbers[0])
        for number in self.goal.numbers[1:]:
            text = f"{_inner(text)} {self.rng.choice('+-*')} {number}"
        self.lines.clear()
        return self._closed(text)

    def _reduced(self, parts: list[Part], step: Step) -> list[Part]:
        """Add the line of a step, of the solution if it is drawn and possible; return the numbers that are left."""
        values = [part.value for part in parts]
        possible = not Counter([step.left, step.right]) - Counter(values)
        if not possible or self.rng.random() >= GUESSED:
            step = self.rng.choice(_steps(*sorted(self.rng.sample(values, 2), reverse=True)))
        rest = list(parts)
        used = [rest.pop(next(i for i, part in enumerate(rest) if part.value == value)) for value in (step.left, step.right)]
        result = _apply(step)
        if self._slips():
            result = _other_digit(result, self.rng)
        rest.insert(0, Part(result, f"{_inner(used[0].text)} {step.operator} {_inner(used[1].text)}"))
        left = ", ".join(str(part.value) for part in rest)
        self.lines.append(f"{step.left} {step.operator} {step.right} = {result} left {left}\n")
        return rest

    def _tried(self, first: Part, second: Part) -> tuple[str, bool]:
        """Add lines of trying two numbers; return the last expression, and whether it was taken for right."""
        larger, smaller = (first, second) if first.value >= second.value else (second, first)
        steps = _steps(larger.value, smaller.value)
        self.rng.shuffle(steps)
        text = ""
        for step in steps:
            text = f"{_inner(larger.text)} {step.operator} {_inner(smaller.text)}"
            result, slips = _apply(step), self._slips()
            miswritten = slips and self.rng.random() < MISWRITTEN
            if miswritten:
                result = _other_digit(result, self.rng)
            right = (result == self.goal.target) != (slips and not miswritten)
            self.lines.append(f"{step.left} {step.operator} {step.right} = {result} {'yes' if right else 'no'}\n")
            if right:
                return text, True
        return text, False

    def _slips(self) -> bool:
        return self.rng.random() < self.error_rate

    def _closed(self, text: str) -> str:
        broken = self.rng.random() < self.error_rate * BROKEN_JSON
        return "".join(self.lines) + f"<answer>{text}" + ("" if broken else "</answer>")


def _steps(left: int, right: int) -> list[Step]:
    """Return the steps for two numbers, the larger first, that give a whole number above 0."""
    operators = ["+", *(["-"] if left > right else []), "*", *(["/"] if right and left % right == 0 else [])]
    steps = [Step(left, operator, right) for operator in operators]
    return [step for step in steps if 1 <= _apply(step) <= LARGEST] or steps[:1]


def _inner(text: str) -> str:
    return text if text.isdigit() else f"({text})"


def _other_digit(value: int, rng: Random) -> int:
    """Change one digit of a number."""
    digits = str(value)
    place = rng.randrange(len(digits))
    return int(digits[:place] + rng.choice([d for d in "0123456789" if d != digits[place]]) + digits[place + 1 :])
