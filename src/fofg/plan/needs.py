"""What a job asks of a cluster: memory and minutes, from the model's size and the work that is expected."""

import math
from typing import NamedTuple

from fofg.config import Config, Resources
from fofg.plan.estimate import Cost, Estimate, estimate
from fofg.plan.targets import targets
from fofg.plan.work import Rollouts

#: Engine -> megabytes of main memory for libraries, workers and buffers; bytes for each parameter of the model. ``torch``: float32
#: weights, gradients, two moments and a copy, all in main memory on a CPU; ``verl``: weights and moments wait there (offload), and
#: are read at the end to be merged; rollouts: weights while they are loaded.
_MEMORY = {"transformers": (2000, 6), "vllm": (12000, 3), "torch": (4000, 20), "verl": (24000, 18)}
#: Bytes for each parameter of the reference model of reinforcement learning with a KL penalty: float32 weights.
_REFERENCE = 4
#: So many times the expected time is asked for, and never less than these minutes.
_MARGIN, _LEAST = 3, 30


class Need(NamedTuple):
    """Of one job: on each of its nodes main memory in megabytes and GPUs; its time limit in minutes."""

    memory: int
    minutes: int
    gpus: int = 0
    nodes: int = 1


def needs(settings: Config) -> dict[str, Need]:
    """Rule -> what a job of it asks for, of the rules that run a model; of several kinds of jobs, the largest.

    ``cluster.resources`` has the last word. A job that takes longer than its limit saves its state and goes on in its retry.
    """
    plan, training = estimate(settings, list(targets(settings))), settings.training
    seconds, found = expected_seconds(plan), {}
    for rule, engine in _engines(settings).items():
        if rule in seconds:
            trains = rule.startswith("train")
            gpus, nodes = (training.gpus, training.nodes) if trains else (settings.rollout_engine.gpus, 1)
            own = settings.cluster.resources.get(rule, Resources())
            reference = _REFERENCE if rule == "train_rl" and settings.stage2.rl.kl_coef else 0
            memory = own.mem_mb or _memory(engine, plan.model.parameters, nodes, reference)
            found[rule] = Need(memory, own.runtime or _limit(settings, seconds[rule]), gpus, nodes)
    return found


def expected_seconds(plan: Estimate) -> dict[str, float]:
    """Rule -> seconds that a job of it is expected to take in all, its starts included; of several kinds of jobs, the longest."""
    seconds: dict[str, float] = {}
    for row, cost in [*plan.rollouts, *plan.training]:
        if row.jobs:
            hours = cost.hours + (_sampled_within(plan.rollouts, row.stage) if row.rule == "train_rl" else 0.0)
            took = hours * 3600 / row.jobs / max(row.devices, 1)
            seconds[row.rule] = max(seconds.get(row.rule, 0.0), took)
    return seconds


def _limit(settings: Config, seconds: float) -> int:
    """Minutes to ask for."""
    cluster = settings.cluster
    return min(cluster.max_runtime, max(_LEAST, math.ceil((_MARGIN * seconds + cluster.grace_period) / 60)))


def _engines(settings: Config) -> dict[str, str]:
    """Rule -> the engine that asks for most."""
    rollouts = ("generate_rollouts", "generate_stage1_test_rollouts", "generate_held_out_rollouts", "generate_passk_rollouts")
    tuning = (settings.stage1.sft.engine, settings.stage2.rft.sft.engine)
    return {
        **dict.fromkeys(rollouts, settings.rollout_engine.name),
        "train_sft": max(tuning, key=lambda engine: _memory(engine, 0, 1)),
        "train_rl": settings.stage2.rl.engine,
    }


def _sampled_within(rollouts: list[tuple[Rollouts, Cost]], stage: str) -> float:
    """GPU hours of the rollouts that a run of reinforcement learning makes itself, validation included."""
    return sum(cost.hours for row, cost in rollouts if row.stage in (stage, f"{stage}, validation"))


def _memory(engine: str, parameters: int, nodes: int, more: int = 0) -> int:
    """Megabytes, with ``more`` bytes per parameter; an engine of the user's own counts as the largest of the package's."""
    base, each = _MEMORY.get(engine, _MEMORY["verl"])
    return math.ceil((base + (each + more) * parameters / nodes / 1e6) / 100) * 100
