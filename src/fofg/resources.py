"""Estimate what a job that runs a model takes: memory from the model's size and engine, time from tokens and throughputs.

Rules request these numbers (``resources:``) and ``fofg plan`` adds them up. For n problems, s samples and a limit of r response
tokens, rollouts take at most n * s * r tokens. The expected number is n * s * min(m, r), where m is ``plan.mean_response_tokens``.
"""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fofg.config import Config, Rollouts, Selection, SFTConfig
from fofg.config.stage2 import Phase
from fofg.models.model_files import read_header, used_weights
from fofg.names import rl_model

#: Engine -> megabytes of main memory per job, and per GPU, for libraries, workers and buffers; bytes per parameter of the model.
_MEMORY = {
    "transformers": (2000, 0, 6),
    "vllm": (12000, 0, 3),
    "torch": (4000, 0, 20),  # float32 weights, gradients, two moments and a copy
    # Each GPU has a trainer and vLLM; checkpoints pass through main memory. Measured in reinforcement learning with 8.03 billion
    # parameters: 73 GB on 2 H200s (194 GB with weights and moments offloaded), up to 99 GB on 4 while the model is loaded.
    "verl": (12000, 12000, 6),
}
#: The same for a custom engine.
_CUSTOM = (12000, 24000, 18)
#: Bytes per parameter that training.verl.offload moves to main memory in reinforcement learning.
_OFFLOADED = 15
#: Bytes per parameter of the reference model that a KL penalty needs: float32 weights.
_REFERENCE = 4
#: Bytes per parameter of a checkpoint to resume from: float32 weights and AdamW's two moments. Two are kept while a third is
#: written.
_STATE, _STATES = 12, 3
#: Bytes of a stored response token, compressed.
_STORED_TOKEN = 1.5
#: A time limit is this multiple of the expected time, and no shorter than these minutes.
_MARGIN, _MIN_MINUTES = 3, 30


class Estimate(NamedTuple):
    """What one job takes; rules pass every field to Snakemake as a resource of this name.

    ``mem_mb`` is per node and ``runtime`` a time limit in minutes. ``gpu_seconds`` are those of all GPUs together (of the machine,
    if the job uses none), ``max_`` holds if every response is as long as allowed. ``kept_mb`` stays on disk, ``state_mb`` is
    needed during training, in which ``saves`` checkpoints are written.
    """

    mem_mb: int
    runtime: int
    responses: int
    tokens: int
    max_tokens: int
    seconds: int
    gpu_seconds: int
    max_gpu_seconds: int
    kept_mb: int
    state_mb: int = 0
    saves: int = 0


def estimate_rollouts(settings: Config, limits: Rollouts, problems: int, copies: int = 1) -> Estimate:
    """Estimate one rollout job on ``problems`` problems; each response is stored ``copies`` times."""
    engine, throughput = settings.rollout_engine, settings.plan.rollout_tokens_per_second
    responses = problems * limits.samples
    tokens, max_tokens = responses * _response_tokens(settings, limits), responses * limits.max_response_tokens
    return _estimate(
        settings,
        mem_mb=_memory(engine.name, model_size(settings), engine.gpus),
        gpus=engine.gpus / engine.jobs_per_gpu if engine.gpus else 1.0,
        gpu_seconds=(tokens / throughput, max_tokens / throughput),
        responses=responses,
        tokens=(tokens, max_tokens),
        kept_mb=tokens * _STORED_TOKEN * copies / 1e6,
    )


class Effort(NamedTuple):
    """What an arm of Stage 2 takes: rollouts, and responses and tokens (of prompts, too) that it trains on."""

    model: str
    rollouts: int
    responses: int
    tokens: int


def estimate_efforts(settings: Config) -> list[Effort]:
    """Estimate what RFT (all iterations) and each curriculum of RL take, without validation."""
    rft, rl = settings.stage2.rft, settings.stage2.rl
    tokens, _, conversations = _sft_work(settings, rft.sft, rft.rollouts, rft.selection, rft.examples_per_iteration, None)
    each = (rft.examples_per_iteration * rft.rollouts.samples, conversations * rft.selection.turns_per_example, tokens)
    efforts = [Effort("stage2-rft", *(round(rft.num_iterations * number) for number in each))]
    for name, phases in rl.curricula.items():
        steps = sum(phase.steps for phase in phases)
        responses = steps * rl.prompts_per_step * rl.rollouts.samples
        rollouts = steps * _prompts_per_step(settings)[0] * rl.rollouts.samples
        efforts.append(Effort(rl_model(name), rollouts, responses, round(responses * _turn_tokens(settings, rl.rollouts))))
    return efforts


def estimate_sft(
    settings: Config, sft: SFTConfig, limits: Rollouts, selection: Selection, problems: int, rows: int | None = None
) -> Estimate:
    """Estimate fine-tuning on what is selected from rollouts on ``problems`` problems: at most every response (paper §3.2).

    ``rows``: number of the user's own conversations to train on instead.
    """
    return _estimate_sft(settings, sft, *_sft_work(settings, sft, limits, selection, problems, rows))


def estimate_merged(settings: Config, strings: int, rows: int | None = None) -> Estimate:
    """Estimate fine-tuning on the examples of two tasks: from rollouts on ``strings`` problems of the first, and on Countdown.

    ``rows``: number of the first task's conversations that the user provides to train on instead.
    """
    sft, transfer = settings.stage1.sft, settings.countdown
    mixed = _sft_work(settings, sft, settings.stage1.rollouts, settings.stage1.rft, strings, transfer.mixture.strings or rows)
    other = _sft_work(settings, sft, transfer.rollouts, transfer.rft, transfer.train, transfer.mixture.countdown)
    return _estimate_sft(settings, sft, *map(sum, zip(mixed, other)))


def _sft_work(
    settings: Config, sft: SFTConfig, limits: Rollouts, selection: Selection, problems: int, rows: int | None
) -> tuple[float, float, float]:
    """Return the tokens that fine-tuning reads, expected and at most, and the expected conversations of an epoch."""
    max_length, length = limits.max_prompt_tokens + limits.max_response_tokens, _turn_tokens(settings, limits)
    max_examples = problems * min(limits.samples, selection.max_per_problem or limits.samples)
    examples = min(max_examples, round(problems * limits.samples * settings.plan.kept_share))
    if rows is not None:
        max_length, length, max_examples, examples = sft.max_length, length * selection.turns_per_example, rows, rows
    max_length = min(sft.max_length, max_length)
    tokens, max_tokens = sft.epochs * examples * min(length, max_length), sft.epochs * max_examples * max_length
    return tokens, max_tokens, examples if rows is not None else examples / selection.turns_per_example


def _estimate_sft(settings: Config, sft: SFTConfig, tokens: float, max_tokens: float, conversations: float) -> Estimate:
    throughput = settings.plan.sft_tokens_per_second
    due = sft.epochs * math.ceil(conversations / sft.batch_size) // settings.training.save_every
    return _estimate_training(settings, sft.engine, (tokens / throughput, max_tokens / throughput), (tokens, max_tokens), due)


def estimate_warmup(settings: Config) -> Estimate:
    """Estimate fine-tuning on the worked examples of the warm-up, one to a conversation."""
    single = settings.stage1.rft.model_copy(update={"turns_per_example": 1})
    warmup = settings.stage0
    return estimate_sft(settings, warmup.sft, settings.stage1.rollouts, single, warmup.examples, warmup.examples)


def estimate_rl(settings: Config, phases: Sequence[Phase]) -> Estimate:
    """Estimate reinforcement learning on a curriculum, its rollouts and validations included (paper §4.1).

    A step draws ``generation_prompts`` prompts at a time until ``prompts_per_step`` groups have rewards that differ; without
    ``filter_groups``, it draws ``prompts_per_step``. Validations run before the first step, every N steps and after the last.
    """
    plan, rl = settings.plan, settings.stage2.rl
    limits, steps = rl.rollouts, sum(phase.steps for phase in phases)
    prompts, max_prompts = _prompts_per_step(settings)
    validated = 0
    if rl.validation.every:
        levels = 1 + rl.validation.levels[1] - rl.validation.levels[0]
        validated = (1 + math.ceil(steps / rl.validation.every)) * levels * rl.validation.problems
    responses, max_responses = (steps * number * limits.samples + validated for number in (prompts, max_prompts))
    sampled, max_sampled = responses * _response_tokens(settings, limits), max_responses * limits.max_response_tokens
    examples = steps * rl.prompts_per_step * limits.samples
    trained, max_trained = (
        examples * _turn_tokens(settings, limits),
        examples * (limits.max_prompt_tokens + limits.max_response_tokens),
    )
    step_seconds = steps * plan.rl_step_seconds * _training_gpus(settings)
    gpu_seconds, max_gpu_seconds = (
        step_seconds + generated / plan.rollout_tokens_per_second + updated / plan.rl_tokens_per_second
        for generated, updated in ((sampled, trained), (max_sampled, max_trained))
    )
    tokens = (sampled + trained, max_sampled + max_trained)
    held = _REFERENCE if rl.kl_coef else 0
    held += _OFFLOADED if rl.engine == "verl" and settings.training.verl.offload else 0
    due = steps // settings.training.rl_save_every
    return _estimate_training(settings, rl.engine, (gpu_seconds, max_gpu_seconds), tokens, due, responses, held)


def _prompts_per_step(settings: Config) -> tuple[int, int]:
    """Return how many prompts an RL step draws, expected and at most."""
    rl = settings.stage2.rl
    if not rl.filter_groups:
        return rl.prompts_per_step, rl.prompts_per_step
    limit = rl.max_generation_batches * rl.generation_prompts
    return min(max(round(settings.plan.generation_batches * rl.generation_prompts), rl.prompts_per_step), limit), limit


def _estimate_training(
    settings: Config,
    engine: str,
    gpu_seconds: tuple[float, float],
    tokens: tuple[float, float],
    due: int,
    responses: int = 0,
    held: int = 0,
) -> Estimate:
    """Estimate a training job; ``due``: checkpoints before the last; ``held``: more bytes per parameter in main memory."""
    size, gpus = model_size(settings), _training_gpus(settings)
    saves = 1 + _affordable_saves(settings, due, gpu_seconds[0] / gpus)
    ending = gpus * (saves * settings.plan.save_seconds + settings.plan.finish_seconds)
    return _estimate(
        settings,
        mem_mb=_memory(engine, size / settings.training.nodes, settings.training.gpus, held),
        gpus=gpus,
        gpu_seconds=(gpu_seconds[0] + ending, gpu_seconds[1] + ending),
        responses=responses,
        tokens=tokens,
        kept_mb=2 * size / 1e6,
        state_mb=_STATES * _STATE * size / 1e6,
        saves=saves,
    )


def _affordable_saves(settings: Config, due: int, seconds: float) -> int:
    """Return how many checkpoints ``training.max_save_share`` leaves of those due in a training of some seconds."""
    share, each = settings.training.max_save_share, settings.plan.save_seconds
    if share == 1 or not each:
        return due
    return min(due, 1 + math.floor(seconds * share / ((1 - share) * each)))


def _estimate(
    settings: Config,
    *,
    mem_mb: int,
    gpus: float,
    gpu_seconds: tuple[float, float],
    responses: int,
    tokens: tuple[float, float],
    kept_mb: float,
    state_mb: float = 0,
    saves: int = 0,
) -> Estimate:
    """Complete an estimate: add the start-up time, and set the time limit."""
    cluster, start = settings.cluster, settings.plan.start_seconds
    seconds = start + gpu_seconds[0] / gpus
    limit = math.ceil((_MARGIN * seconds + cluster.grace_period) / 60)
    return Estimate(
        mem_mb=mem_mb,
        runtime=min(cluster.max_runtime, max(_MIN_MINUTES, limit)),
        responses=responses,
        tokens=round(tokens[0]),
        max_tokens=round(tokens[1]),
        seconds=math.ceil(seconds),
        gpu_seconds=math.ceil(seconds * gpus),
        max_gpu_seconds=math.ceil(start * gpus + gpu_seconds[1]),
        kept_mb=math.ceil(kept_mb),
        state_mb=math.ceil(state_mb),
        saves=saves,
    )


def _memory(engine: str, parameters: float, gpus: int, held: int = 0) -> int:
    """Return megabytes per node, rounded up to hundreds."""
    base, per_gpu, per_parameter = _MEMORY.get(engine, _CUSTOM)
    return math.ceil((base + gpus * per_gpu + (per_parameter + held) * parameters / 1e6) / 100) * 100


def _training_gpus(settings: Config) -> int:
    return max(1, settings.training.workers())


def _response_tokens(settings: Config, limits: Rollouts) -> float:
    return min(settings.plan.mean_response_tokens, limits.max_response_tokens)


def _turn_tokens(settings: Config, limits: Rollouts) -> float:
    """Return the expected tokens of a prompt and its response."""
    return min(settings.plan.mean_prompt_tokens, limits.max_prompt_tokens) + _response_tokens(settings, limits)


def model_size(settings: Config) -> int:
    """Count the parameters of ``base_model``; ``plan.model_parameters`` if it is no folder of safetensors.

    Raises UserError for damaged weights.
    """
    return _count_parameters(Path(settings.base_source())) or settings.plan.model_parameters


@cache
def _count_parameters(folder: Path) -> int:
    """Sum the tensors' sizes in the headers of a model's files."""
    files = used_weights(folder)
    if files[0].suffix == ".bin" or not files[0].exists():
        return 0
    return sum(math.prod(tensor["shape"]) for path in files for tensor in read_header(path).values())
