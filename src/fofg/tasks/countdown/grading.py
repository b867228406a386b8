"""Grade answers to Countdown problems: each integer exactly once, and exactly the target.

The answer is the last complete ``<answer>...</answer>``. Compared with reasoning-gym's verifier, on whose problems this is used, it
reads ÷, × and −, too, and is stricter: powers, floor division, factorials, functions and decimals are no answers, and neither are
values that only come close to the target (reasoning-gym allows 0.001% and rounding). Both want an expression alone: one followed by
``= TARGET`` is no answer.
"""

from collections import Counter
from typing import NamedTuple

from fofg.errors import UserError
from fofg.tasks.countdown import expressions
from fofg.tasks.task import AnswerRule, Explanation, Outcome
from fofg.tasks.thinking import final_answer

_OPEN, _CLOSE = "<answer>", "</answer>"
CORRECT, NO_ANSWER, UNREADABLE, WRONG_NUMBERS, WRONG_VALUE = CLASSES = (
    "correct",
    "no answer",
    "unreadable",
    "wrong numbers",
    "wrong value",
)


class Goal(NamedTuple):
    """What a problem asks for: an expression of all ``numbers`` that equals ``target``."""

    target: int
    numbers: tuple[int, ...]


def find_answer(text: str, rule: AnswerRule) -> str | None:
    """Return the text of the last complete answer, or None. With rule ``lenient``, thinking holds no answer.

    Raises UserError for an unknown rule.
    """
    if rule not in ("published", "lenient"):
        raise UserError(f"answer_rule: no rule {rule!r}; use published or lenient")
    if rule == "lenient":
        text = final_answer(text)
    start = text.rfind(_OPEN, 0, max(text.rfind(_CLOSE), 0))
    return text[start + len(_OPEN) : text.index(_CLOSE, start)] if start >= 0 else None


def classify(goal: Goal, response: str, truncated: bool, rule: AnswerRule) -> str:
    """Return the class of a response, one of CLASSES. A division by zero has no value, so a wrong one."""
    answer = None if truncated else find_answer(response, rule)
    if answer is None:
        return NO_ANSWER
    expression = expressions.read(answer)
    if expression is None:
        return UNREADABLE
    if Counter(expressions.integers(expression)) != Counter(map(str, goal.numbers)):
        return WRONG_NUMBERS
    return CORRECT if expressions.value(expression) == goal.target else WRONG_VALUE


def explain(goal: Goal, response: str, truncated: bool, rule: AnswerRule) -> Explanation:
    """Return the answer and, if it is wrong, its line and what it is: its value, or other integers than the problem's."""
    expected = f"{goal.target} of {', '.join(map(str, goal.numbers))}, each once"
    answer = None if truncated else find_answer(response, rule)
    failure = classify(goal, response, truncated, rule)
    if answer is None or failure == CORRECT:
        return Explanation(answer, expected)
    remark = {UNREADABLE: "no expression of integers, + - * / and brackets", WRONG_NUMBERS: "not the integers of the problem"}
    if failure == WRONG_VALUE:
        value = expressions.value(expressions.read(answer) or [])
        remark[failure] = "a division by zero" if value is None else f"its value is {value}"
    return Explanation(answer, expected, line=response.count("\n", 0, response.rfind(answer)), remark=remark[failure])


def outcome(failure_class: str) -> Outcome:
    """Return the grade of a class: an answer that can't be read is none."""
    if failure_class == CORRECT:
        return Outcome.CORRECT
    return Outcome.NO_ANSWER if failure_class in (NO_ANSWER, UNREADABLE) else Outcome.WRONG
