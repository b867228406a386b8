"""Compare the answer in a response to a string problem with the expected output (paper §3.3; the published reward function)."""

from typing import Any

from fofg.tasks.strings.answers import NO_ANSWER, find_answer
from fofg.tasks.task import AnswerRule, Outcome


def grade(response: str, expected: str | float, rule: AnswerRule = "published", truncated: bool = False) -> Outcome:
    """Compare a response's answer with the expected output: strings by character, numbers by value, never one with the other.

    ``truncated``: the response was cut at the token limit (finish reason "length"), which counts as no answer. No response raises;
    raises UserError for an unknown rule.
    """
    answer = NO_ANSWER if truncated else find_answer(response, rule)
    if answer is NO_ANSWER:
        return Outcome.NO_ANSWER
    return Outcome.CORRECT if _equal(answer, expected) else Outcome.WRONG


def _equal(answer: Any, expected: str | float) -> bool:
    # true is not the number 1, though Python has True == 1.
    return answer == expected and isinstance(answer, bool) == isinstance(expected, bool)
