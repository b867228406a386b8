"""Reward responses: one, with verl's signature, or many at once."""

from collections.abc import Iterable

from fofg.config import Scoring
from fofg.errors import UserError
from fofg.tasks.task import REWARDS, AnswerRule, Outcome, Scheme, read

Reward = dict[str, float]


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict | None = None,
    scheme: Scheme = "published_code",
    answer_rule: AnswerRule = "published",
    truncated: bool = False,
    **others,
) -> Reward:
    """Reward a response, as verl's custom reward function: ``score`` is the reward, ``acc`` 1.0 if correct, else 0.0.

    ``data_source``: the task, and perhaps a slash and the level, by which verl groups what it reports; ``ground_truth``: a row's
    ``reward_model.ground_truth``; ``truncated``, here or in ``extra_info``: the response was cut at the token limit, which counts
    as no answer; ``others``: what else verl passes. No response raises; raises UserError for unusable rows and settings.
    """
    row: dict = {"data_source": data_source, "reward_model": {"ground_truth": ground_truth}, "extra_info": extra_info or {}}
    return _reward(row, solution_str, truncated or bool(row["extra_info"].get("truncated")), scheme, answer_rule)


def compute_scores(responses: Iterable[tuple[dict, str, bool]], scoring: Scoring) -> list[Reward]:
    """Reward many responses, each a problem's row (schemas.PROBLEMS), a text, and whether it was truncated."""
    return [_reward(row, text, truncated, scoring.scheme, scoring.answer_rule) for row, text, truncated in responses]


def _reward(row: dict, response: str, truncated: bool, scheme: Scheme, rule: AnswerRule) -> Reward:
    if scheme not in REWARDS:
        raise UserError(f"scheme: no scheme {scheme!r}; use {' or '.join(REWARDS)}")
    task, problem = read(row, f"problem {(row['extra_info'] or {}).get('index', '?')}")
    outcome = task.grade(problem, response, truncated, rule)
    return {"score": REWARDS[scheme][outcome], "acc": float(outcome is Outcome.CORRECT)}
