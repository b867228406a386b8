"""The configuration: typed, without unknown keys, with all errors reported at once.

Defaults live in ``config/default.yaml``, which is complete; here are the types, limits and meanings. ``fofg.specs`` has
what a job depends on.
"""

from fofg.config.compute import ENGINE_OPTIONS, Cluster, Figures, Resources, RolloutEngine, TinyBase, Training, Use, VerlConfig
from fofg.config.countdown import Countdown
from fofg.config.estimate import Plan
from fofg.config.loading import assigned, at, keys, load, merge, merged, read
from fofg.config.root import Config
from fofg.config.stage1 import (
    Dataset,
    Problems,
    Rollouts,
    Scoring,
    Selection,
    SFTConfig,
    Stage0,
    Stage1,
    Stage1Selection,
    TaskProblems,
    Warmup,
)
from fofg.config.stage2 import Evaluation, Failures, GRPOConfig, Passk, Phase, Samples, Stage2, Stage2Rft, Stage2Rl, Validation
from fofg.config.types import DEFAULT, AnswerRule, Hints, Section, canonical

__all__ = [
    "DEFAULT",
    "ENGINE_OPTIONS",
    "AnswerRule",
    "Cluster",
    "Config",
    "Countdown",
    "Dataset",
    "Evaluation",
    "Failures",
    "Figures",
    "GRPOConfig",
    "Hints",
    "Passk",
    "Phase",
    "Plan",
    "Problems",
    "Resources",
    "RolloutEngine",
    "Rollouts",
    "SFTConfig",
    "Samples",
    "Scoring",
    "Section",
    "Selection",
    "Stage0",
    "Stage1",
    "Stage1Selection",
    "Stage2",
    "Stage2Rft",
    "Stage2Rl",
    "TaskProblems",
    "TinyBase",
    "Training",
    "Use",
    "Validation",
    "VerlConfig",
    "Warmup",
    "assigned",
    "at",
    "canonical",
    "keys",
    "load",
    "merge",
    "merged",
    "read",
]
