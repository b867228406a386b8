"""Reward responses to a problem's row: one in verl's form, or many at once."""

from collections.abc import Iterable
from typing import Literal

from fofg.config import Scoring
from fofg.errors import UserError
from fofg.tasks.strings.answers import Rule
from fofg.tasks.strings.grading import Outcome, score
from fofg.tasks.strings.truth import read_truth

Scheme = Literal["published_code", "binary"]
Reward = dict[str, float]
#: Scheme -> reward of each outcome.
REWARDS: dict[Scheme, dict[Outcome, float]] = {
    "published_code": {Outcome.CORRECT: 1.0, Outcome.WRONG: 0.0, Outcome.NO_ANSWER: -1.0},
    "binary": {Outcome.CORRECT: 1.0, Outcome.WRONG: 0.0, Outcome.NO_ANSWER: 0.0},
}
#: A row's ``data_source`` -> how a response is compared with the right output.
_SCORES = {"string_task": score}


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict | None = None,
    scheme: Scheme = "published_code",
    answer_rule: Rule = "published",
    truncated: bool = False,
    **others,
) -> Reward:
    """Reward a response, as verl's custom reward function: ``score`` is the reward, ``acc`` 1.0 if correct, else 0.0.

    ``data_source``: what follows a slash in it (the level, by which verl groups what it reports) plays no part; ``ground_truth``: a
    row's ``reward_model.ground_truth``; ``truncated``, here or in ``extra_info``: the response was cut at the token limit, which
    counts as no answer; ``others``: what verl passes besides. No response raises; raises UserError for unfit rows and settings.
    """
    extra_info = extra_info or {}
    place, task = f"problem {extra_info.get('index', '?')}", data_source.partition("/")[0]
    if task not in _SCORES:
        raise UserError(f"{place}: no reward for data_source {str(data_source)!r}; known: {', '.join(_SCORES)}")
    truncated = truncated or bool(extra_info.get("truncated"))
    if scheme not in REWARDS:
        raise UserError(f"scheme: no scheme {scheme!r}; use {' or '.join(REWARDS)}")
    outcome = _SCORES[task](solution_str, read_truth(ground_truth, place).output, answer_rule, truncated)
    return {"score": REWARDS[scheme][outcome], "acc": float(outcome is Outcome.CORRECT)}


def compute_scores(responses: Iterable[tuple[dict, str, bool]], scoring: Scoring) -> list[Reward]:
    """``compute_score`` of many responses: each a problem's row (schemas.PROBLEMS), a text, and whether it was truncated."""
    return [
        compute_score(
            row["data_source"],
            text,
            (row["reward_model"] or {}).get("ground_truth") or "",
            row["extra_info"],
            scoring.scheme,
            scoring.answer_rule,
            truncated,
        )
        for row, text, truncated in responses
    ]
