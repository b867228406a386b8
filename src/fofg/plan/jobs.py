"""Jobs by rule, and what they ask of a cluster."""

import math
from dataclasses import dataclass

from fofg.config import Config
from fofg.plan import rules
from fofg.plan.estimate import Estimate
from fofg.plan.needs import Need, expected_seconds, needs
from fofg.plan.rules import RULES
from fofg.plan.targets import covered
from fofg.plan.work import by_rule

#: Maximum submissions of a job: profiles/slurm has three retries.
MOST_STARTS = 4


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """All jobs of one rule.

    ``submissions``: those that a cluster gets, none of a ``local`` rule's. ``memory_mb`` and ``gpus`` are of each of a job's
    ``nodes``, ``minutes`` is its time limit. ``expected_minutes``: that the longest job takes in all, null where it is not
    estimated. ``starts``: of that job; more than one if its limit ends it before, and it goes on in retries.
    ``gpu_hours_requested``: at most, by all jobs, each started once.
    """

    rule: str
    jobs: int
    submissions: int
    local: bool
    nodes: int
    gpus: int
    memory_mb: int
    minutes: int
    expected_minutes: float | None
    starts: int
    gpu_hours_requested: float


def by_rules(settings: Config, plan: Estimate) -> list[Jobs]:
    """Jobs of a plan's targets from nothing: a row per rule, after the rules that its first job needs.

    Raises UserError for a file of the user's own that can't be read.
    """
    asked, seconds = needs(settings), expected_seconds(plan)
    rows = []
    for name, found in by_rule(covered(settings, plan.targets)).items():
        rule, count = RULES[name], sum(rules.jobs(settings, stage) for stage in found)
        need = asked[name] if rule.model else Need(rule.memory, rule.minutes)
        rows.append(
            Jobs(
                rule=name,
                jobs=count,
                submissions=0 if rule.local else count,
                local=rule.local,
                nodes=need.nodes,
                gpus=need.gpus,
                memory_mb=need.memory,
                minutes=need.minutes,
                expected_minutes=seconds[name] / 60 if name in seconds else None,
                starts=_starts(settings, seconds[name], need.minutes) if name in seconds else 1,
                gpu_hours_requested=count * need.nodes * need.gpus * need.minutes / 60,
            )
        )
    return rows


def _starts(settings: Config, seconds: float, minutes: int) -> int:
    """Starts that a job of ``seconds`` in all needs, one start included, with a limit of ``minutes`` each.

    Each start takes its time again, and ends early enough to save. What a job does anew after its last checkpoint is not known.
    """
    usable, start = 60 * minutes - settings.cluster.grace_period, settings.plan.start_seconds
    if seconds <= usable:
        return 1
    return math.ceil((seconds - start) / max(usable - start, 1))
