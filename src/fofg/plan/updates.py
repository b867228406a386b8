"""Steps and tokens of training."""

import math
from collections.abc import Iterable

from fofg import config, stages
from fofg.config import Config
from fofg.data.files import count_rows
from fofg.plan.rules import Stage, stage1_count
from fofg.plan.work import Amount, Training, by_rule, training_devices, turn_tokens
from fofg.training import batches


def training(settings: Config, covered: Iterable[Stage]) -> list[Training]:
    """Training of all kinds, in the order of the experiment."""
    of = by_rule(covered)
    tuned = [stage.of for stage in of.get("train_sft", [])]
    rows = [_stage1_tuning(settings)] if "stage1-rft" in tuned else []
    if iterations := len(tuned) - len(rows):
        rft, sft = settings.stage2.rft, stages.train_iteration(settings).sft
        selection, problems = stages.select_iteration_data(settings).selection, rft.examples_per_iteration
        rows.append(_tuning(settings, "RFT iterations", sft, selection, rft.rollouts, problems, jobs=iterations))
    rows += [_reinforcement(settings, stage.of) for stage in of.get("train_rl", [])]
    return rows + [_pretraining(settings) for _ in of.get("build_tiny_base", [])]


def _pretraining(settings: Config) -> Training:
    """Of the embedded model, whose few megabytes are not counted as a checkpoint."""
    tiny = stages.build_tiny_base(settings).tiny_base
    tokens = tiny.steps * tiny.tokens_per_step
    return Training(
        stage="tiny base",
        rule="build_tiny_base",
        jobs=1,
        devices=1,
        steps=Amount.exactly(tiny.steps),
        examples=Amount.exactly(0),
        tokens=tokens,
        expected_tokens=tokens,
        checkpoints=False,
    )


def _reinforcement(settings: Config, curriculum: str) -> Training:
    """Updates of reinforcement learning: every step trains on prompts_per_step groups at most."""
    spec = stages.train_rl(settings, curriculum)
    rl, steps = spec.rl, sum(phase.steps for phase in spec.phases)
    examples = steps * rl.prompts_per_step * rl.rollouts.samples
    longest = rl.rollouts.max_prompt_tokens + rl.rollouts.max_response_tokens
    return Training(
        stage=f"RL {curriculum}",
        rule="train_rl",
        jobs=1,
        devices=training_devices(settings),
        steps=Amount.exactly(steps),
        examples=Amount(0 if rl.filter_groups else examples, examples, examples),
        tokens=examples * longest,
        expected_tokens=round(examples * turn_tokens(settings, rl.rollouts)),
    )


def _stage1_tuning(settings: Config) -> Training:
    sft, selection = stages.train_stage1(settings).sft, stages.select_stage1_data(settings).selection
    limits, own = settings.stage1.rollouts, settings.use.stage1_rft_data
    if not own:
        return _tuning(settings, "Stage 1", sft, selection, limits, stage1_count(settings))
    rows = count_rows(f"{own}/train.parquet")
    length = min(turn_tokens(settings, limits) * selection.turns_per_example, sft.max_length)
    return Training(
        stage="Stage 1",
        rule="train_sft",
        jobs=1,
        devices=training_devices(settings),
        steps=Amount.exactly(_steps(sft, rows)),
        examples=Amount.exactly(rows),
        tokens=sft.epochs * rows * sft.max_length,
        expected_tokens=round(sft.epochs * rows * length),
    )


def _tuning(
    settings: Config,
    stage: str,
    sft: config.SFTConfig,
    selection: config.Selection,
    limits: config.Rollouts,
    problems: int,
    jobs: int = 1,
) -> Training:
    """Fine-tuning on what is selected from the rollouts of so many problems per job: at most every response (paper §3.2).

    A conversation of several turns has no more tokens than its turns alone, nor more than ``max_length``.
    """
    most = problems * min(limits.samples, selection.max_per_problem or limits.samples)
    kept = min(most, round(problems * limits.samples * settings.plan.kept_share))
    longest = min(sft.max_length, limits.max_prompt_tokens + limits.max_response_tokens)
    return Training(
        stage=stage,
        rule="train_sft",
        jobs=jobs,
        devices=training_devices(settings),
        steps=Amount(0, _steps(sft, math.ceil(kept / selection.turns_per_example)), _steps(sft, most)).times(jobs),
        examples=Amount(0, kept, most).times(jobs),
        tokens=jobs * sft.epochs * most * longest,
        expected_tokens=round(jobs * sft.epochs * kept * min(turn_tokens(settings, limits), longest)),
    )


def _steps(sft: config.SFTConfig, conversations: int) -> int:
    """Return the optimizer steps of all epochs."""
    return sft.epochs * len(batches.sizes(conversations, sft.batch_size, sft.last_batch))
