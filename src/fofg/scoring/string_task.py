"""The reward of a response to a string problem (paper §3.3; the published reward function)."""

from typing import Any, Literal, NamedTuple

from fofg.errors import UserError
from fofg.scoring.answers import NO_ANSWER, Rule, find_answer

Scheme = Literal["paper", "binary"]


class Verdict(NamedTuple):
    reward: float
    correct: bool


#: Scheme -> verdicts for a correct answer, a wrong one, none.
_VERDICTS = {
    "paper": (Verdict(1.0, True), Verdict(0.0, False), Verdict(-1.0, False)),
    "binary": (Verdict(1.0, True), Verdict(0.0, False), Verdict(0.0, False)),
}


def score(
    response: str, truth: str | float, scheme: Scheme = "paper", rule: Rule = "published", truncated: bool = False
) -> Verdict:
    """Compares a response's answer with the expected output: strings to the character, numbers by value, never one with the other.

    ``truncated``: the response was cut at the token limit (finish reason "length"), which counts as no answer. No response raises;
    raises UserError for an unknown scheme or rule.
    """
    try:
        correct, wrong, none = _VERDICTS[scheme]
    except KeyError:
        raise UserError(f"scheme: no scheme {scheme!r}; use {' or '.join(_VERDICTS)}") from None
    answer = NO_ANSWER if truncated else find_answer(response, rule)
    if answer is NO_ANSWER:
        return none
    return correct if _equal(answer, truth) else wrong


def _equal(answer: Any, truth: str | float) -> bool:
    # true is not the number 1, though Python has True == 1.
    return answer == truth and isinstance(answer, bool) == isinstance(truth, bool)
