"""Problems and responses of stages, from the specs that their jobs get.

With s samples per prompt (paper §4.1, §4.2, §4.4: 10 in Stage 1, 2 in RFT, 1,000 for pass@k; public code: 16 in reinforcement
learning) and limits p and r of prompt and response tokens, n prompts have n * s responses, n * p prompt tokens at most (a prompt is
read once for all its samples) and n * s * r response tokens at most. Expected are n * s * min(m, r), with the mean m stated by
``plan.mean_response_tokens``.
"""

import math
from collections.abc import Iterable
from itertools import product

from fofg import config, stages
from fofg.config import Config
from fofg.plan import rules
from fofg.plan.rules import Stage, decodings, stage1_count
from fofg.plan.work import Amount, Problems, Rollouts, by_rule, rollout_devices, training_devices
from fofg.stages import GenerateRollouts

#: A response of a round lies in its shard's file, in rollout.parquet and, if it is kept, in rft_data/.
_ROUND_COPIES = 3


def problems(settings: Config, covered: Iterable[Stage]) -> list[Problems]:
    """The datasets to create, in the order of the configuration."""
    made, rows = set(covered), []
    for dataset, split in product(settings.datasets, ("train", "test")):
        stage = rules.problems(dataset, split)
        if stage in made:
            count, jobs = stages.create_problems(settings, dataset, split).rows, rules.jobs(settings, stage)
            rows.append(Problems(stage=f"{dataset}/{split}", rule=stage.rule, jobs=jobs, problems=count))
    return rows


def rollouts(settings: Config, covered: Iterable[Stage]) -> list[Rollouts]:
    """All sampling, that of reinforcement learning and its validations included."""
    of = by_rule(covered)
    rounds = of.get("generate_rollouts", [])
    rows = [_stage1_round(settings)] if Stage("generate_rollouts", "stage1_level1") in rounds else []
    if iterations := [stage for stage in rounds if stage.of != "stage1_level1"]:
        rows.append(_iteration_rounds(settings, len(iterations)))
    for stage in of.get("train_rl", []):
        rows += _reinforcement(settings, stage.of)
    if tests := of.get("generate_stage1_test_rollouts"):
        specs = [stages.generate_stage1_test_rollouts(settings, stage.variant) for stage in tests]
        rows.append(_asked(settings, "Stage 1 test", tests[0].rule, specs, settings.datasets["stage1_level1"].test))
    for decoding in decodings(settings):
        if models := [stage for stage in of.get("generate_held_out_rollouts", []) if stage.variant == decoding]:
            specs = [stages.generate_held_out_rollouts(settings, decoding)] * len(models)
            asked = settings.datasets[settings.evaluation.dataset].test
            rows.append(_asked(settings, f"evaluation, {decoding}", models[0].rule, specs, asked))
    if models := of.get("generate_passk_rollouts"):
        specs = [stages.generate_passk_rollouts(settings, shard) for shard in range(rules.jobs(settings, models[0]))]
        rows.append(_asked(settings, "pass@k", models[0].rule, specs * len(models)))
    return rows


def _stage1_round(settings: Config) -> Rollouts:
    count = stage1_count(settings)
    shards = range(stages.shard_count(settings, count))
    specs = [stages.generate_rollouts(settings, shard, count) for shard in shards]
    return _asked(settings, "Stage 1", "generate_rollouts", specs, copies=_ROUND_COPIES)


def _iteration_rounds(settings: Config, iterations: int) -> Rollouts:
    shards = range(stages.shard_count(settings, settings.stage2.rft.examples_per_iteration))
    specs = [stages.generate_iteration_rollouts(settings, shard) for shard in shards] * iterations
    return _asked(settings, "RFT iterations", "generate_rollouts", specs, rounds=iterations, copies=_ROUND_COPIES)


def _asked(
    settings: Config, stage: str, rule: str, specs: list[GenerateRollouts], rows: int = 0, rounds: int = 1, copies: int = 1
) -> Rollouts:
    """A job for each spec. ``rows``: problems of one that names no number of them, the whole set."""
    prompts = sum(spec.rows or rows for spec in specs)
    responses = sum((spec.rows or rows) * spec.rollouts.samples for spec in specs)
    sizes = _sizes(settings, specs[0].rollouts, Amount.exactly(prompts), Amount.exactly(responses))
    devices = rollout_devices(settings)
    return Rollouts(stage=stage, rule=rule, jobs=len(specs), devices=devices, rounds=rounds, copies=copies, **sizes)


def _sizes(settings: Config, limits: config.Rollouts, prompts: Amount, responses: Amount) -> dict:
    """Fields of Rollouts."""
    mean = min(settings.plan.mean_response_tokens, limits.max_response_tokens)
    return {
        "prompts": prompts,
        "responses": responses,
        "prompt_tokens": prompts.most * limits.max_prompt_tokens,
        "response_tokens": responses.most * limits.max_response_tokens,
        "expected_tokens": round(responses.expected * mean),
    }


def _reinforcement(settings: Config, curriculum: str) -> list[Rollouts]:
    """Groups and validations of a curriculum (paper §4.1).

    A step draws batches of ``generation_prompts`` until ``prompts_per_step`` groups have rewards that differ: that many at least,
    and max_generation_batches * generation_prompts at most; without ``filter_groups`` exactly prompts_per_step. Validations come
    before the first step, every N steps, and after the last.
    """
    spec, devices = stages.train_rl(settings, curriculum), training_devices(settings)
    rl, steps = spec.rl, sum(phase.steps for phase in spec.phases)
    most = rl.max_generation_batches * rl.generation_prompts
    least = min(rl.prompts_per_step, most)
    drawn = min(max(settings.plan.generation_batches * rl.generation_prompts, least), most)
    drawn_per_step = Amount(least, round(drawn), most) if rl.filter_groups else Amount.exactly(rl.prompts_per_step)
    prompts = drawn_per_step.times(steps)
    held = {"rule": "train_rl", "jobs": 0, "devices": devices}
    sizes = _sizes(settings, rl.rollouts, prompts, prompts.times(rl.rollouts.samples))
    rows = [Rollouts(stage=f"RL {curriculum}", **held, **sizes)]
    if (validation := settings.stage2.rl.validation).every:
        lowest, highest = validation.levels
        validations = 1 + math.ceil(steps / validation.every)
        asked = Amount.exactly(validations * (highest - lowest + 1) * validation.problems)
        rows.append(Rollouts(stage=f"RL {curriculum}, validation", **held, **_sizes(settings, rl.rollouts, asked, asked)))
    return rows
