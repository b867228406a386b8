"""The reward of a problem's row, as trainers ask for it: of one response in verl's form, or of many at once."""

from collections.abc import Iterable

from fofg.config import Scoring
from fofg.errors import UserError
from fofg.scoring.answers import Rule
from fofg.scoring.string_task import Scheme, score
from fofg.scoring.truth import read_truth

Reward = dict[str, float]
#: A row's ``data_source`` -> how a response is compared with the right output.
_SCORES = {"string_task": score}


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict | None = None,
    scheme: Scheme = "paper",
    answer_rule: Rule = "published",
    truncated: bool = False,
    **others,
) -> Reward:
    """verl's custom reward function: ``score`` is the reward, ``acc`` 1.0 for a correct response and 0.0 for any other.

    ``data_source``: what follows a slash in it (the level, by which verl groups what it reports) plays no part; ``ground_truth``: a
    row's ``reward_model.ground_truth``; ``truncated``, here or in ``extra_info``: the response was cut at the token limit, which
    counts as no answer; ``others``: what verl passes besides. No response raises; raises UserError for unfit rows and settings.
    """
    extra_info = extra_info or {}
    place, task = f"problem {extra_info.get('index', '?')}", data_source.partition("/")[0]
    if task not in _SCORES:
        raise UserError(f"{place}: no reward for data_source {str(data_source)!r}; known: {', '.join(_SCORES)}")
    truncated = truncated or bool(extra_info.get("truncated"))
    verdict = _SCORES[task](solution_str, read_truth(ground_truth, place).output, scheme, answer_rule, truncated)
    return {"score": verdict.reward, "acc": float(verdict.correct)}


def compute_scores(responses: Iterable[tuple[dict, str, bool]], scoring: Scoring) -> list[Reward]:
    """``compute_score`` of many responses: each a problem's row (fofg.schemas.PROBLEMS), a text, and whether it was truncated."""
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
